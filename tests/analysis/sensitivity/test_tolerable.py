"""The policy that cuts every group as far as its sensitivity curves allow."""

from __future__ import annotations

from typing import Any

import pytest

from moco.analysis.sensitivity.curve_decisions import lowest, tolerable
from moco.analysis.sensitivity.layer_sensitivity import Curve, Sensitivity
from moco.compression.policy_settings import bits_of, pruned, refitted_of
from moco.errors import ConfigError
from moco.space import SearchSpace
from tests.compression.space.test_codec import ALL, TINY, space_of
from tests.policies import precisions_of

LEVELS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
RISING = (0.0, 0.001, 0.002, 0.004, 0.01, 0.02, 0.05, 0.1, 0.3, 0.9)


def curve(*divergences: float) -> Curve:
    return Curve("a", "keep", LEVELS[: len(divergences)], divergences)


@pytest.mark.parametrize(
    ("curves", "most", "level"),
    [
        ([curve(*RISING)], 0.01, 0.6),
        ([curve(*RISING)], 0.0099, 0.7),
        ([curve(*RISING)], 5.0, 0.1),
        ([curve(*RISING)], 0.0, 1.0),
        # Of two layers the worse one decides.
        ([curve(*RISING), curve(0.0, 0.002, 0.02)], 0.01, 0.9),
        # A curve that dips after it rose is not trusted beyond the rise.
        ([curve(0.0, 0.02, 0.001)], 0.01, 1.0),
        ([curve(0.02, 0.001)], 0.01, None),
        ([curve(*RISING), None], 0.01, None),
        ([], 0.01, None),
    ],
)
def test_the_heaviest_level_that_all_curves_allow(curves: list[Curve | None], most: float, level: float | None) -> None:
    assert lowest(curves, most) == level


def analysis(**steepness: float) -> Sensitivity:
    """Curves of every layer and channel group; those of a named group are so many times as steep."""
    layers = tuple(layer.name for layer in TINY.counts.layers)
    curves = []
    for group in TINY.graph.groups:
        factor = steepness.get(group.replace(".", "_"), 1.0)
        curves.append(Curve(group, "keep", LEVELS, tuple(factor * divergence for divergence in RISING)))
    for layer in layers:
        factor = steepness.get(layer.replace(".", "_"), 1.0)
        curves.append(Curve(layer, "int8", (8.0,), (0.005 * factor,)))
        for parameter in ("weight_bits", "activation_bits"):
            divergences = tuple(factor * d for d in (0.001, 0.002, 0.003, 0.005, 0.02, 0.2, 1.0, 3.0))
            curves.append(Curve(layer, parameter, tuple(float(bits) for bits in range(8, 0, -1)), divergences))
    owners = {name: group.name for group in TINY.graph.groups.values() for name in group.producers}
    return Sensitivity(tuple(curves), layers, owners, 64)


def groups(space: SearchSpace) -> list[str]:
    return [name for name in space.distributions if name.endswith(".keep")]


PLAIN = space_of(precisions=("float32", "int8"))


def test_every_group_is_cut_to_its_level_and_no_further_than_the_space_allows() -> None:
    point = tolerable(PLAIN, analysis(), 0.01)
    assert {point[name] for name in groups(PLAIN)} == {0.6}
    assert set(precisions_of(PLAIN.canonical(point)).values()) == {"int8"}
    heaviest = tolerable(PLAIN, analysis(), 9.0)
    assert {heaviest[name] for name in groups(PLAIN)} == {0.3}, "the lowest ratio that the space has"
    assert tolerable(PLAIN, analysis(), 1e-9) == PLAIN.neutral


def test_a_sensitive_group_stays_wider_and_in_float() -> None:
    name = next(iter(TINY.graph.groups))
    point = tolerable(PLAIN, analysis(**{name.replace(".", "_"): 100.0}), 0.01)
    assert point[f"{name}.keep"] == 1.0
    assert {point[other] for other in groups(PLAIN) if other != f"{name}.keep"} == {0.6}
    assert name not in precisions_of(PLAIN.canonical(point))


def test_more_tolerance_never_cuts_less() -> None:
    keeps = [[tolerable(PLAIN, analysis(), most)[name] for name in groups(PLAIN)] for most in (0.002, 0.01, 0.05, 0.3)]
    assert keeps == sorted(keeps, reverse=True)


def test_bits_are_the_fewest_that_each_layer_allows() -> None:
    space = space_of(precisions=("float32", "int8", "mixed"), weight_bits=(2, 8), activation_bits=(4, 8))
    policy = space.canonical(tolerable(space, analysis(), 0.02))
    found = {(bits.weights, bits.activations) for bits in bits_of(policy).values()}
    assert found == {(4, 4)}
    policy = space.canonical(tolerable(space, analysis(), 9.0))
    assert (2, 4) in {(bits.weights, bits.activations) for bits in bits_of(policy).values()}


def test_where_the_method_is_chosen_pruning_is() -> None:
    space = space_of(**ALL)
    policy = space.canonical(tolerable(space, analysis(), 0.01))
    assert set(pruned(policy)) == set(TINY.graph.groups)
    assert not refitted_of(policy), "filter pruning, of which the curves are, stands first"


@pytest.mark.parametrize("options", [{"rank": (0.3, 1.0)}, {"density": (0.3, 1.0)}])
def test_what_has_no_curve_stays_neutral(options: dict[str, Any]) -> None:
    space = space_of(**options)
    point = tolerable(space, analysis(), 0.05)
    assert all(point[name] == space.neutral[name] for name in space.distributions if not name.endswith(".keep"))
    assert any(point[name] < 1 for name in groups(space))


def test_an_analysis_of_another_network_is_refused() -> None:
    other = Sensitivity((Curve("features.0", "keep", LEVELS, RISING),), ("features.0",), {}, 64)
    with pytest.raises(ConfigError, match=r"^space\.sensitivity: the analysis knows no layer of this space"):
        tolerable(PLAIN, other, 0.1)
