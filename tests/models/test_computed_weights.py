"""A convolution that computes its weight in its forward pass becomes one that holds the resulting weight."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

import moco
from moco.models.computed_weights import PaddedConv2d
from moco.models.plain import plain
from tests.compression.toys import Chain, images, made
from tests.export.test_held import Standardised, found
from tests.policies import policy_of

BATCH = images(3, side=8)
SHAPE = (3, 8, 8)


class StandardisedByNorm(nn.Conv2d):
    """Standardised by a batch-norm of its filters, with a gain of its own and as much padding as the image asks for."""

    def __init__(self, inputs: int, outputs: int, stride: int = 2) -> None:
        super().__init__(inputs, outputs, 3, stride)
        self.gain = nn.Parameter(torch.linspace(0.5, 1.5, outputs)[:, None, None, None])

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002, torch's name
        flat = self.weight.reshape(1, self.out_channels, -1)
        weight = F.batch_norm(flat, None, None, weight=self.gain.view(-1), training=True, momentum=0.0, eps=1e-6)
        return F.conv2d(F.pad(input, (0, 1, 0, 1)), weight.reshape_as(self.weight), self.bias, self.stride)


class Gated(nn.Conv2d):
    """Its weight depends on the image."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002, torch's name
        return F.conv2d(input, self.weight * torch.sigmoid(input.mean()), self.bias, padding=1)


class Twice(nn.Conv2d):
    """Two convolutions with one weight."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002, torch's name
        return F.conv2d(F.conv2d(input, 2 * self.weight, padding=1), self.weight, padding=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("middle", "kind"), [(Standardised(8, 8, 3, padding=1), nn.Conv2d), (StandardisedByNorm(8, 8), PaddedConv2d)]
)
def test_a_standardised_convolution_is_held_and_pruned(middle: nn.Module, kind: type[nn.Module]) -> None:
    network = made(Chain, middle)
    network.middle.weight.requires_grad_(False)
    copied = plain(network, SHAPE)
    stays, groups = found(copied)

    assert type(copied.middle) is kind
    assert sorted(dict(copied.middle.named_parameters())) == ["bias", "weight"]
    assert not copied.middle.weight.requires_grad
    assert type(network.middle) is type(middle)
    assert stays == {}
    assert {channels.name for group in groups for channels in group.channel_groups} == {"stem", "middle", "last"}
    with torch.no_grad():
        torch.testing.assert_close(copied(BATCH), network(BATCH))
        thin = moco.compress(network, policy_of({"stem": (3, 8), "middle": (5, 8)}, {}), BATCH)
    assert thin.middle.weight.shape[:2] == (5, 3)


@pytest.mark.parametrize("middle", [Gated(8, 8, 3), Twice(8, 8, 3)])
def test_one_that_no_constant_weight_stands_for_is_left(middle: nn.Module) -> None:
    assert type(plain(made(Chain, middle), SHAPE).middle) is type(middle)


def test_a_convolution_of_two_names_stays_one() -> None:
    shared = Standardised(8, 8, 3, padding=1)
    copied = plain(made(Chain, nn.Sequential(shared, nn.ReLU(), shared)), SHAPE)

    assert type(copied.middle[0]) is nn.Conv2d
    assert copied.middle[0] is copied.middle[2]


def test_a_network_that_does_not_run_is_left_to_others_to_refuse() -> None:
    assert type(plain(made(Chain, Standardised(9, 8, 3)), SHAPE).middle) is Standardised
