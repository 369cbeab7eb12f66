"""Layer groups from curves: alike ones together, over-sensitive ones alone, by the stated rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moco.analysis.sensitivity.curve_decisions import ALIKE, FAR_ABOVE, HARMFUL, NEGLIGIBLE, clusters, over_sensitive
from moco.errors import ConfigError

FLAT = [0.002, 0.002, 0.002]
CURVES = {
    "a": [0.002, 0.004, 0.01],
    "b": [0.2, 0.4, 1.0],
    "c": [0.003, 0.005, 0.02],
    "d": [0.012, 0.024, 0.06],
    "e": [0.002, 0.006, 0.01],
}
RESNET56 = {  # divergences at keep 0.9, 0.5 and 0.1 on 64 training images (benchmarks/sensitivity.py's network)
    "conv1": [0.0001, 12.9539, 5.8104],
    "layer1.0.conv1": [0.0, 0.0001, 0.0006],
    "layer1.4.conv1": [0.0, 0.0003, 0.0010],
    "layer1.5.conv1": [0.0, 0.0001, 0.0005],
    "layer2.0.conv1": [0.0, 0.2716, 1.0026],
    "layer2.7.conv1": [0.0, 0.0002, 0.0003],
    "layer3.0.conv2": [0.1679, 1.7789, 2.2749],
}


def test_layers_with_alike_curves_share_a_group_from_what_bears_most_on() -> None:
    found = clusters(CURVES)

    assert dict(found.groups) == {"g1": ("a", "c", "e"), "g2": ("d",)}
    assert found.ignored == ("b",)
    assert f"factor of {ALIKE:g}" in found.rule
    assert f"{HARMFUL:g} nats" in found.rule


def test_a_given_number_of_groups_is_kept() -> None:
    assert dict(clusters(CURVES, 1).groups) == {"g1": ("a", "c", "d", "e")}
    assert len(clusters(CURVES, 3).groups) == 3
    with pytest.raises(ConfigError, match="expected 1 to 4 groups of the layers that are left, got 5"):
        clusters(CURVES, 5)
    with pytest.raises(ConfigError, match="got 0"):
        clusters(CURVES, 0)


@pytest.mark.parametrize(("factor", "groups"), [(ALIKE * 0.95, 1), (ALIKE * 1.05, 2)])
def test_the_factor_between_two_layers_decides(factor: float, groups: int) -> None:
    assert len(clusters({"a": FLAT, "b": [value * factor for value in FLAT]}).groups) == groups


def test_the_distance_is_the_root_mean_square_over_the_levels() -> None:
    # one level of four by the factor f: sqrt(ln(f)^2 / 4) = ln(f) / 2, so f may be the square of the limit
    flat = [0.002] * 4
    near, far = [[*flat[:3], 0.002 * ALIKE**power] for power in (1.9, 2.1)]

    assert len(clusters({"a": flat, "b": near}).groups) == 1
    assert len(clusters({"a": flat, "b": far}).groups) == 2


def test_all_layers_of_a_group_are_alike_and_not_only_neighbours() -> None:
    chain = {name: [value * 4.0**place for value in FLAT] for place, name in enumerate("abc")}

    assert sorted(len(layers) for layers in clusters(chain).groups.values()) == [1, 2]


def test_negligible_divergences_are_alike() -> None:
    assert len(clusters({"a": [0.0] * 3, "b": [NEGLIGIBLE] * 3, "c": [1e-9] * 3}).groups) == 1


def test_only_what_is_harmful_and_far_above_the_median_layer_is_left_alone() -> None:
    def one(typical: float, others: float) -> tuple[str, ...]:
        return over_sensitive({"x": [typical] * 3, **{str(place): [others] * 3 for place in range(4)}})

    assert one(HARMFUL * 1.01, NEGLIGIBLE) == ("x",)
    assert one(HARMFUL * 0.99, NEGLIGIBLE) == ()
    assert one(FAR_ABOVE * 1.01, 1.0) == ("x",)
    assert one(FAR_ABOVE * 0.99, 1.0) == ()


def test_of_a_trained_resnet56_the_residual_streams_and_the_first_block_of_a_stage_are_left_alone() -> None:
    found = clusters(RESNET56)

    assert found.ignored == ("conv1", "layer2.0.conv1", "layer3.0.conv2")
    assert dict(found.groups) == {"g1": ("layer1.0.conv1", "layer1.4.conv1", "layer1.5.conv1", "layer2.7.conv1")}


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.lists(st.floats(0, 50), min_size=4, max_size=4), max_size=8))
def test_every_layer_is_in_one_group_or_left_alone(curves: dict[str, list[float]]) -> None:
    found = clusters(curves)
    placed = [*found.ignored, *(layer for layers in found.groups.values() for layer in layers)]

    assert sorted(placed) == sorted(curves)
    assert list(found.groups) == [f"g{place}" for place in range(1, len(found.groups) + 1)]
    assert len(found.ignored) <= len(curves) / 2  # what is far above the median


def test_curves_of_different_lengths_are_refused() -> None:
    with pytest.raises(ConfigError, match="same levels"):
        clusters({"a": [0.1], "b": [0.1, 0.2]})
    assert clusters({}).groups == {}
