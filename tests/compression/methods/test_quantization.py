"""Which layers may have fewer bits than int8 (S3.16)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from moco.compression.alignment import is_aligned
from moco.compression.counting import LayerCount
from moco.compression.methods.quantization import QuantizationOptions
from moco.compression.policy_settings import bits_of
from moco.compression.precision import Bits
from moco.errors import SpaceError
from tests.compression.space.test_codec import drawn, space_of
from tests.compression.space.test_network_space import TINY

CONV = LayerCount("c", 9, "conv", 32, 8, (3, 3), (1, 1), 1, (4, 4), (4, 4))
LINEAR = replace(CONV, kind="linear", in_channels=3, output_hw=(1, 1))


@pytest.mark.parametrize(
    ("layer", "legal"),
    [
        (CONV, True),
        (replace(CONV, in_channels=48), False),
        (replace(CONV, out_channels=12), False),
        (replace(CONV, output_hw=(1, 4)), False),
        (replace(CONV, kind="depthwise", groups=32), False),
        (LINEAR, True),
        (replace(LINEAR, out_channels=10), False),
    ],
)
def test_the_rules_are_galens(layer: LayerCount, legal: bool) -> None:
    assert is_aligned(layer) is legal


def test_layers_that_are_not_aligned_are_int8_where_mixed_is_chosen() -> None:
    space = space_of("per-layer", precisions=("float32", "int8", "mixed"), bits={"mixed_layers": "aligned"})
    chosen = {name: "mixed" for name in space.distributions if name.endswith(".precision")}
    policy = space.canonical({**space.uniform(0.5), **chosen})
    free = space_of("per-layer", precisions=("float32", "int8", "mixed"))
    layers = {layer.name: layer for layer in TINY.counts.layers}
    for name, bits in bits_of(free.canonical({**free.uniform(0.5), **chosen})).items():
        assert bits_of(policy)[name] == (bits if is_aligned(layers[name]) else Bits(8, 8))
    assert not all(map(is_aligned, layers.values()))


@pytest.mark.parametrize("groups", ["per-layer", "per-block"])
def test_policies_are_read_back_as_points(groups: str) -> None:
    space = space_of(groups, precisions=("float32", "int8", "mixed"), bits={"mixed_layers": "aligned"})
    assert space.codec is not None
    for policy in drawn(space, 30):
        assert space.codec.policy(space.codec.point(policy)) == policy


def test_what_other_layers_run_in_must_be_declared() -> None:
    with pytest.raises(SpaceError, match=r"space.quantization.mixed_layers.*int8"):
        QuantizationOptions(("mixed",), mixed_layers="aligned")
