"""The network of the golden files: a residual block and a few layers, small enough to lie in the repository."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

WEIGHTS = Path(__file__).with_name("golden_network.safetensors")


def block(inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    """A convolution with its batch-norm."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs)
    )


class GoldenNetwork(nn.Module):
    """Images (n, 1, 8, 8) to logits (n, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = block(1, 16)
        self.inner = block(16, 16)
        self.outer = block(16, 16)
        self.down = block(16, 32, stride=2)
        self.point = block(32, 32, kernel=1)
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.stem(x))
        x = self.relu(x + self.outer(self.relu(self.inner(x))))
        x = self.relu(self.point(self.relu(self.down(x))))
        logits: torch.Tensor = self.linear(self.pool(x).flatten(1))
        return logits


def trained() -> nn.Module:
    """The network with the weights that lie beside this file."""
    network = GoldenNetwork()
    network.load_state_dict(load_file(WEIGHTS))
    return network.eval()


def recovered(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    """A recovery of one's own: the linear layer's bias is set to nothing."""
    with torch.no_grad():
        network.linear.bias.zero_()  # type: ignore[union-attr, operator]
