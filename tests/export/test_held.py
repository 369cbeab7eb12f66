"""What the exported file has no weight for is known before a search."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from moco.compression.compressor import Compressor
from moco.compression.space.layer_groups import PER_LAYER, grouped
from moco.export.held import COMPUTED, not_held
from moco.export.template import build_template
from tests.compression.toys import Chain, images, made
from tests.policies import policy_of

EXAMPLE = images(2, side=8)


class Standardised(nn.Conv2d):
    """A convolution that standardises its weight in each forward pass."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002, torch's name
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / (weight.square().mean((1, 2, 3), keepdim=True) + 1e-5).sqrt()
        return F.conv2d(input, weight, self.bias, self.stride, self.padding)


class Tied(nn.Module):
    """Two convolutions of one weight, of which the one that is used first is defined last."""

    def __init__(self, swapped: bool = False) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.a, self.b = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.b.weight = self.a.weight
        self.between = nn.Conv2d(8, 8, 1)
        self.order = (self.b, self.a) if swapped else (self.a, self.b)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = self.order
        x = torch.relu(second(torch.relu(self.between(torch.relu(first(torch.relu(self.stem(x))))))))
        return self.head(x.mean((2, 3)))


def found(network: nn.Module) -> tuple[Any, Any]:
    """What is not held, and what is left of the groups."""
    compressor = Compressor.of(network, EXAMPLE)
    proto = build_template(network, EXAMPLE).render(network)
    stays, whole = not_held(proto, network, compressor.graph, [layer.name for layer in compressor.counts.layers])
    groups = grouped(network, compressor.counts, compressor.graph, PER_LAYER)
    return stays, [group.without(stays, whole) for group in groups]


@pytest.mark.slow
@pytest.mark.parametrize("middle", [nn.Conv2d(8, 8, 1), nn.ConvTranspose2d(8, 8, 2), nn.BatchNorm2d(8)])
def test_all_of_an_ordinary_network_is_held(middle: nn.Module) -> None:
    stays, groups = found(made(Chain, middle))

    assert stays == {}
    assert {c.name for group in groups for c in group.channel_groups} >= {"stem", "last"}


def test_a_weight_that_is_computed_stays_and_so_do_the_channels_around() -> None:
    stays, groups = found(made(Chain, Standardised(8, 8, 3)))

    assert stays == {"middle": COMPUTED}
    assert [layer for group in groups for layer in group.layers] == ["stem", "last", "head"]
    assert [c.name for group in groups for c in group.channel_groups] == ["last"]


@pytest.mark.slow
@pytest.mark.parametrize("swapped", [False, True])
def test_tied_weights_are_not_changed_one_by_one(swapped: bool) -> None:
    stays, groups = found(made(Tied, swapped))

    assert stays == {
        "a": "it has its weight in common with 'b'", "b": "it has its weight in common with 'a'",
    }  # fmt: skip
    assert [layer for group in groups for layer in group.layers] == ["stem", "between", "head"]
    assert {c.name for group in groups for c in group.channel_groups} <= {"stem", "a", "b", "between"}
    assert any(group.channel_groups for group in groups)
    assert "b" not in {c.name for group in groups for c in group.channel_groups}, "the file calls both 'a'"


@pytest.mark.parametrize("widths", [{}, {"stem": (4, 8)}])
def test_tied_weights_count_once(widths: dict[str, tuple[int, int]]) -> None:
    network = made(Tied)
    compressor, policy = Compressor.of(network, EXAMPLE), policy_of(widths, {})
    real = sum(parameter.numel() for parameter in compressor.compress(policy).parameters())
    whole = sum(parameter.numel() for parameter in network.parameters())
    costs = compressor.costs.of({name: width for name, (width, _) in widths.items()})

    assert (costs["parameters"], costs["packed_size_mb"]) == (real, real * 4 / 1e6)
    assert sum(layer.parameters for layer in compressor.counts.layers) == compressor.counts.parameters == whole
    assert (real < whole) == bool(widths)
