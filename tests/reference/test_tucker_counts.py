"""Uniform Tucker-2 of torchvision's networks has the thesis's counts (S1.45): stem, depthwise and linear untouched.

Every other convolution, those of 1x1 included, becomes three; the stride stays with the middle one.
"""

from __future__ import annotations

import math

import pytest
from torch import nn

from moco.compression.counting import count
from moco.compression.methods.low_rank import (
    FactorCache,
    TuckerRanks,
    factorise_,
    factorised_parameters,
    pays,
    tucker_ranks,
)
from moco.models import build_model
from tests.policies import why_not

PUBLISHED = [
    ("mobilenet_v2", 0.5, "7.47", "0.849"),
    ("resnet18", 0.5, "4.80", "0.786"),
    ("resnet50", 0.5, "31.99", "5.557"),
    ("resnet18", 0.9, "12.26", None),
]


def uniform(network: nn.Module, keep: float) -> dict[str, TuckerRanks]:
    return {
        name: tucker_ranks(keep, layer.in_channels, layer.out_channels)
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d) and why_not(layer, "tucker") is None
    }


@pytest.mark.slow
@pytest.mark.parametrize(("name", "keep", "parameters", "macs"), PUBLISHED)
def test_uniform_tucker_has_the_published_counts(name: str, keep: float, parameters: str, macs: str | None) -> None:
    network = build_model(name)
    settings = uniform(network, keep)
    factorise_(network, settings, FactorCache(network))
    counts = count(network, (3, 224, 224))

    assert f"{counts.parameters / 1e6:.2f}" == parameters
    assert macs is None or f"{counts.macs / 1e9:.3f}" == macs


@pytest.mark.parametrize(("name", "keep", "parameters", "_macs"), PUBLISHED)
def test_the_rule_states_the_published_parameters_without_building(
    name: str, keep: float, parameters: str, _macs: str | None
) -> None:
    network = build_model(name)
    total = sum(parameter.numel() for parameter in network.parameters())
    for layer, ranks in uniform(network, keep).items():
        shape = tuple(network.get_submodule(layer).weight.shape)  # type: ignore[union-attr, arg-type]
        total += factorised_parameters(shape, ranks) - math.prod(shape)

    assert f"{total / 1e6:.2f}" == parameters


def test_mobilenet_never_grows_where_only_what_pays_is_factorised() -> None:
    # Q03 and W30: uniform 0.5 more than doubles MobileNetV2, because its 1x1 layers break even at 0.158.
    network = build_model("mobilenet_v2")
    for keep in (0.1, 0.15, 0.3, 0.5, 0.9):
        for layer, ranks in uniform(network, keep).items():
            shape = tuple(network.get_submodule(layer).weight.shape)  # type: ignore[union-attr, arg-type]
            grows = factorised_parameters(shape, ranks) >= math.prod(shape)

            assert pays(shape, ranks) != grows
            assert not (keep >= 0.5 and pays(shape, ranks))
