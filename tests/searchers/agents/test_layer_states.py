from __future__ import annotations

import numpy as np
import pytest

from moco.searchers.agents.layer_states import S1, S3, static_features
from moco.space import LayerGroup

NAMES = ("index", "is_linear", "out_channels", "in_channels", "input_height", "input_width", "stride", "kernel")


def group(name: str, **features: float) -> LayerGroup:
    return LayerGroup(name, (f"{name}.keep",), (name,), features)


def layers() -> list[LayerGroup]:
    """Three layers with every feature that a network's have."""
    rows = [(0, 0, 16, 3, 32, 32, 1, 3), (1, 0, 64, 16, 32, 32, 2, 3), (2, 1, 10, 64, 1, 1, 0, 1)]
    further = [(432, 442368, 2360960), (9216, 2359296, 640), (640, 640, 0)]
    return [
        group(f"l{i}", **dict(zip(NAMES, row, strict=True)), weights=more[0], macs=more[1], macs_after=more[2])
        for i, (row, more) in enumerate(zip(rows, further, strict=True))
    ]


def test_s1_has_eleven_static_features_of_thirteen() -> None:
    """The other two, the previous action and the remaining MACs, depend on actions (S1.31)."""
    assert static_features(layers(), S1, identity=False).shape == (3, 11)


def test_the_layers_of_the_space_span_each_column() -> None:
    found = static_features(layers(), S1, identity=False)
    assert found.min(axis=0)[:10].tolist() == [-1.0] * 10
    assert found.max(axis=0)[:10].tolist() == [1.0] * 10


def test_counts_are_scaled_by_their_logarithm() -> None:
    three = [group(f"l{i}", index=i, macs=macs) for i, macs in enumerate((1e3, 1e4, 1e5))]
    assert static_features(three, S1, identity=False)[:, 1] == pytest.approx([-1, 0, 1])


def test_what_follows_is_a_share_of_the_network() -> None:
    three = [group(f"l{i}", index=i, macs=1, macs_after=2 - i) for i in range(3)]
    assert static_features(three, S1, identity=False)[:, 2] == pytest.approx([1 / 3, -1 / 3, -1])


def test_a_layer_that_lacks_a_feature_stands_in_the_middle() -> None:
    two = [group("a", index=0, kl_keep_0_5=0.1), group("b", index=1), group("c", index=2, kl_keep_0_5=10.0)]
    assert static_features(two, S3, identity=False)[:, 1].tolist() == [-1, 0, 1]


def test_divergences_are_of_s3_alone() -> None:
    two = [group("a", index=0, kl_int8=0.1), group("b", index=1, kl_int8=1.0)]
    assert static_features(two, S1, identity=False).shape == (2, 1)
    assert static_features(two, S3, identity=False).shape == (2, 2)


def test_layers_without_features_are_told_apart_by_their_place() -> None:
    assert static_features([group("a"), group("b"), group("c")], S1, identity=False)[:, 0].tolist() == [-1, 0, 1]


def test_a_column_that_tells_nothing_is_zero() -> None:
    two = [group("a", index=0, kernel=3), group("b", index=1, kernel=3)]
    assert static_features(two, S1, identity=False)[:, 1].tolist() == [0, 0]


def test_identity_tells_which_layer_it_is() -> None:
    assert np.array_equal(static_features(layers(), S1, identity=True)[:, 11:], np.eye(3))
