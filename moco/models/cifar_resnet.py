"""Residual networks for small images: those of He et al. 2016 (section 4.2) for CIFAR, a ResNet-18, one for digits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from moco.errors import ConfigError

SHORTCUTS = ("A", "B")


class PadShortcut(nn.Module):
    """Option-A shortcut: every `stride`-th pixel of the input's channels, zeros in the other output channels.

    The buffer `source` (out_channels, int64) holds for each output channel the input channel that feeds it;
    `in_channels` stands for zero. Pruning rewrites `source` and `in_channels`, nothing else, so the graph of an
    exported network keeps its structure. The buffer may be absent from a file of weights.
    """

    source: Tensor

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.stride = in_channels, out_channels, stride
        source = torch.full((out_channels,), in_channels, dtype=torch.int64)
        offset = (out_channels - in_channels) // 2
        source[offset : offset + in_channels] = torch.arange(in_channels)
        self.register_buffer("source", source)

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, out_channels, height / stride, width / stride) of (n, in_channels, height, width)."""
        x = x[:, :, :: self.stride, :: self.stride]
        x = F.pad(x, (0, 0, 0, 0, 0, 1))
        return x.index_select(1, self.source)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Take `source` where the file has it, keep the present one where it has not (published files have not)."""
        state_dict.setdefault(prefix + "source", self.source)
        super()._load_from_state_dict(state_dict, prefix, *args)


def projection_shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """Option-B shortcut: a strided 1x1 convolution with its batch-norm."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm2d(out_channels)
    )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; only the first convolution's outputs are its own to prune."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, option: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.relu2 = nn.ReLU()
        shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            make = PadShortcut if option == "A" else projection_shortcut
            shortcut = make(in_channels, out_channels, stride)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Features (n, out_channels, height / stride, width / stride)."""
        out: Tensor = self.relu1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out)) + self.shortcut(x)
        return self.relu2(out)  # type: ignore[no-any-return]


class ResidualNetwork(nn.Module):
    """A 3x3 stem, stages of basic blocks that halve the image from the second on, pooling and a linear head."""

    def __init__(
        self, widths: tuple[int, ...], blocks: tuple[int, ...], num_classes: int, *, option: str, in_channels: int = 3
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, widths[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU()
        previous = widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True), start=1):
            first = BasicBlock(previous, width, 1 if stage == 1 else 2, option)
            rest = [BasicBlock(width, width, 1, option) for _ in range(count - 1)]
            self.add_module(f"layer{stage}", nn.Sequential(first, *rest))
            previous = width
        self.stages = tuple(f"layer{stage}" for stage in range(1, len(widths) + 1))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(previous, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, classes) of normalised images (n, channels, height, width)."""
        x = self.relu(self.bn1(self.conv1(x)))
        for stage in self.stages:
            x = self.get_submodule(stage)(x)
        return self.linear(self.flatten(self.pool(x)))  # type: ignore[no-any-return]


def check_shortcut(shortcut: str) -> str:
    """The shortcut option itself; a ConfigError where it is neither "A" nor "B"."""
    if shortcut not in SHORTCUTS:
        raise ConfigError(f"model.shortcut: expected 'A' or 'B', got {shortcut!r}")
    return shortcut


def cifar_resnet(depth: int, num_classes: int = 10, shortcut: str = "A") -> ResidualNetwork:
    """The 6n+2-layer network with 16-32-64 channels; shortcut "A" pads with zeros, "B" projects."""
    blocks = (depth - 2) // 6
    return ResidualNetwork((16, 32, 64), (blocks,) * 3, num_classes, option=check_shortcut(shortcut))


def cifar_resnet18(num_classes: int = 10) -> ResidualNetwork:
    """ResNet-18 with a 3x3 stem and without max-pooling, for 32x32 images; projection shortcuts."""
    return ResidualNetwork((64, 128, 256, 512), (2, 2, 2, 2), num_classes, option="B")


def digits_resnet(num_classes: int = 10, shortcut: str = "A") -> ResidualNetwork:
    """Stem of 32 channels, stages of 32 and 64, two blocks each, for one-channel images of digits.

    Widths are multiples of 16, so that halving one is a whole step on the latency staircase of CPU runtimes.
    """
    return ResidualNetwork((32, 64), (2, 2), num_classes, option=check_shortcut(shortcut), in_channels=1)


def digits_resnet6(num_classes: int = 10, shortcut: str = "A") -> ResidualNetwork:
    """A student of `digits_resnet`: half its widths and one block a stage, six layers with weights in all."""
    return ResidualNetwork((16, 32), (1, 1), num_classes, option=check_shortcut(shortcut), in_channels=1)


ZOO: dict[str, Callable[..., nn.Module]] = {
    **{f"cifar_resnet{depth}": partial(cifar_resnet, depth) for depth in (8, 14, 20, 32, 44, 56, 110)},
    "cifar_resnet18": cifar_resnet18,
    "digits_resnet": digits_resnet,
    "digits_resnet6": digits_resnet6,
}
"""Builder by name; each takes `num_classes` and the options of its signature."""
