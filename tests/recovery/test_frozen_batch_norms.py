"""Batch-norms that keep their statistics, folded into their layers: the same outputs and gradients, and no trace."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from moco.recovery.frozen_batch_norms import folded_into_layers
from tests.compression.toys import images, seeded


class Toy(nn.Module):
    """A biased convolution, one whose batch-norm has no scale, one that two batch-norms read, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.a_norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.b, self.b_norm = nn.Conv2d(4, 4, 3, groups=2, bias=False), nn.BatchNorm2d(4, affine=False)
        self.c, self.c_norm, self.c_other = nn.Conv2d(4, 6, 1), nn.BatchNorm2d(6), nn.BatchNorm2d(6)
        self.d, self.d_norm = nn.Linear(6, 5), nn.BatchNorm1d(5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.a_norm(self.a(x)))
        x = self.c(torch.relu(self.b_norm(self.b(x))))
        logits: torch.Tensor = self.d_norm(self.d((self.c_norm(x) + self.c_other(x)).mean(dim=(2, 3))))
        return logits


def toy() -> nn.Module:
    torch.manual_seed(0)
    network = Toy()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            if module.weight is not None:
                nn.init.normal_(module.weight)
                nn.init.normal_(module.bias)
    return network.eval()


@pytest.mark.parametrize("network", [toy(), seeded("cifar_resnet20")], ids=["toy", "resnet"])
def test_outputs_and_gradients_are_those_of_evaluation_mode(network: nn.Module) -> None:
    x, expected = images(4), deepcopy(network)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    expected(x).square().sum().backward()
    with folded_into_layers(network, x[:2]):
        logits = network(x)
        torch.testing.assert_close(logits, expected(x), rtol=1e-4, atol=1e-4)
        logits.square().sum().backward()
    network.eval()
    for (name, found), (_, wanted) in zip(network.named_parameters(), expected.named_parameters(), strict=True):
        assert found.grad is not None, name
        scale = wanted.grad.abs().max().clamp(min=1e-3)
        torch.testing.assert_close(found.grad / scale, wanted.grad / scale, rtol=1e-3, atol=1e-4)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not any("forward" in vars(module) for module in network.modules())
    network.zero_grad(set_to_none=True)
