"""MobileNetV2 for small images."""

from __future__ import annotations

import pytest
import torch

from moco.errors import ConfigError
from moco.models import build_model


def test_only_strides_set_it_apart_from_torchvisions() -> None:
    ours, theirs = build_model("cifar_mobilenetv2"), build_model("mobilenet_v2", num_classes=10)
    shapes = [{n: t.shape for n, t in network.state_dict().items()} for network in (ours, theirs)]
    assert shapes[0] == shapes[1]
    maps = [network.features(torch.zeros(1, 3, 32, 32)).shape[2:] for network in (ours, theirs)]
    assert maps == [(4, 4), (1, 1)]


def test_the_width_multiplies_the_channels() -> None:
    network = build_model("cifar_mobilenetv2", num_classes=7, width=0.5)
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 7)
    assert network.features[0][0].out_channels == 16


@pytest.mark.parametrize("width", [0, -1.0, float("nan"), "0.5"])
def test_a_width_that_makes_no_network_is_refused(width: object) -> None:
    with pytest.raises(ConfigError, match=r"model\.width: expected a finite number above 0, got"):
        build_model("cifar_mobilenetv2", width=width)
