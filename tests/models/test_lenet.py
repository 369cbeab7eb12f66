"""Networks of two convolutions: what they take, and what they refuse."""

from __future__ import annotations

import pytest
import torch

from moco.errors import ConfigError
from moco.models import build_model


@pytest.mark.parametrize("name", ["lenet5", "lenet5_caffe"])
def test_a_lenet_takes_images_of_28_pixels(name: str) -> None:
    assert build_model(name, num_classes=4)(torch.zeros(2, 1, 28, 28)).shape == (2, 4)


def test_the_network_of_four_layers_takes_the_size_that_it_is_built_for() -> None:
    network = build_model("conv2_fc2", num_classes=3, in_channels=2, side=8)
    assert network(torch.zeros(1, 2, 8, 8)).shape == (1, 3)


@pytest.mark.parametrize("side", [0, 2, 30, 28.0])
def test_a_side_that_cannot_be_halved_twice_is_refused(side: object) -> None:
    with pytest.raises(ConfigError, match=r"model\.side: expected a multiple of 4, which is halved twice, got"):
        build_model("conv2_fc2", side=side)


def test_images_without_channels_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.in_channels: expected a whole number from 1, got 0"):
        build_model("conv2_fc2", in_channels=0)
