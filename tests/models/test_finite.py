"""What is not finite in a network is said in one line, by the module that it comes from."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import moco
from moco.errors import ConfigError
from moco.models.finite import check_finite
from moco.models.plain import plain
from tests.compression.toys import Chain, images, made
from tests.policies import policy_of

BATCH = images(3, side=8)


class Log(nn.Module):
    """A logarithm of what may be negative."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.log(x - 1e6)


class Between(nn.Module):
    """The same outside of any module."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.log(self.conv(x).mean((2, 3)) - 1e6))


def spoilt(spoil: Callable[[nn.Module], object]) -> nn.Module:
    network = made(Chain, nn.BatchNorm2d(8))
    with torch.no_grad():
        spoil(network)
    return network


def overflowing(network: nn.Module) -> None:
    network.stem.weight *= 1e30
    network.middle.weight *= 1e30


HELD = {
    "NaN": (
        spoilt(lambda n: n.last.weight[0, 1].fill_(float("nan"))),
        "9 of the 432 values of 'last.weight' are NaN or infinite; give weights of before its training diverged",
    ),
    "infinite": (spoilt(lambda n: n.head.bias[1:3].fill_(float("inf"))), "2 of the 5 values of 'head.bias'"),
    "statistics": (spoilt(lambda n: n.middle.running_mean[1:2].fill_(float("nan"))), "'middle.running_mean'"),
    "variance": (
        spoilt(lambda n: n.middle.running_var[3:4].fill_(-0.5)),
        "'middle' has a running variance of -0.5, expected none below 0",
    ),
}
GIVEN = {
    "overflow": (
        spoilt(overflowing),
        r"first from 'middle' \(BatchNorm2d\), which reads values up to [0-9.]+e\+30; look",
    ),
    "logarithm": (made(Chain, Log()), r"first from 'middle' \(Log\)"),
    "between modules": (made(Between), r"first in the forward pass before 'head' \(Linear\)"),
}


@pytest.mark.parametrize(("network", "text"), [*HELD.values(), *GIVEN.values()], ids=[*HELD, *GIVEN])
def test_what_is_not_finite_is_named(network: nn.Module, text: str) -> None:
    with pytest.raises(ConfigError, match=text) as error:
        check_finite(network, BATCH)

    assert "\n" not in str(error.value)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


@pytest.mark.parametrize(("network", "text"), HELD.values(), ids=HELD)
def test_compress_refuses_such_weights(network: nn.Module, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        moco.compress(network, policy_of({"stem": (4, 8)}, {}), BATCH)


def test_a_finite_network_passes_and_so_does_a_variance_that_epsilon_makes_positive() -> None:
    check_finite(spoilt(lambda n: n.middle.running_var[3:4].fill_(-1e-7)), BATCH)


def test_images_that_are_not_finite_are_no_fault_of_the_network() -> None:
    check_finite(made(Chain, nn.Identity()), torch.full((2, 3, 8, 8), float("nan")))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_network_of_another_precision_is_taken_in_single(dtype: torch.dtype) -> None:
    network = made(Chain, nn.BatchNorm2d(8))
    copied = plain(network.to(dtype))

    assert next(network.parameters()).dtype == dtype
    with torch.no_grad():
        torch.testing.assert_close(copied(BATCH), plain(network.float())(BATCH))
    assert moco.compress(network.to(dtype), policy_of({"stem": (4, 8)}, {}), BATCH).stem.out_channels == 4
