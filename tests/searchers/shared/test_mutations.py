from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from moco.encoding import decode
from moco.searchers.shared.mutations import copied, crossed, stepped, swapped, units
from moco.space import LayerGroup, SearchSpace
from moco.testing.problems import SPACES
from moco.trial import Point

DRAWS = range(200)


def layers() -> SearchSpace:
    """Three groups with ratios and bits, of which the last may take fewer bits, and a parameter of its own."""
    keep, bits = FloatDistribution(0.1, 1.0), IntDistribution(2, 8)
    distributions = {f"g{i}.{kind}": d for i in range(3) for kind, d in (("keep", keep), ("bits", bits))}
    distributions["g2.bits"] = IntDistribution(2, 4)
    groups = tuple(LayerGroup(f"g{i}", (f"g{i}.keep", f"g{i}.bits")) for i in range(3))
    return SearchSpace({**distributions, "rank": CategoricalDistribution(("l1", "l2"))}, groups)


POINT = {"g0.keep": 0.2, "g0.bits": 2, "g1.keep": 0.5, "g1.bits": 5, "g2.keep": 0.9, "g2.bits": 4, "rank": "l1"}


def changed(before: Point, after: Point) -> dict[str, object]:
    return {name: after[name] for name in before if after[name] != before[name]}


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_units_are_the_groups_and_what_belongs_to_none() -> None:
    assert units(layers()) == (*({"keep": f"g{i}.keep", "bits": f"g{i}.bits"} for i in range(3)), {"": "rank"})


def test_a_step_changes_one_parameter_to_what_lies_next() -> None:
    seen = [changed(POINT, stepped(layers(), POINT, 0.1, rng(seed))) for seed in DRAWS]
    assert all(len(one) == 1 for one in seen)
    assert {one["g1.bits"] for one in seen if "g1.bits" in one} == {4, 6}
    assert {one["g2.bits"] for one in seen if "g2.bits" in one} == {3}, "it lies at its upper end"
    assert {one["rank"] for one in seen if "rank" in one} == {"l2"}


def test_continuous_steps_have_the_stated_mean_length() -> None:
    space = SearchSpace({"x": FloatDistribution(0.0, 10.0)})
    lengths = [abs(stepped(space, {"x": 5.0}, 0.1, rng(seed))["x"] - 5.0) for seed in range(2000)]
    assert np.mean(lengths) == pytest.approx(1.0, abs=4 * 1 / np.sqrt(3 * 2000))


def test_a_swap_exchanges_what_corresponds() -> None:
    seen = [changed(POINT, swapped(layers(), POINT, rng(seed))) for seed in DRAWS]
    both = {"g0.keep": 0.5, "g0.bits": 5, "g1.keep": 0.2, "g1.bits": 2}
    assert both in seen
    assert {"g0.keep": 0.9, "g2.keep": 0.2} in seen, "bits of the last group have other bounds"
    assert all(one in (both, {"g0.keep": 0.9, "g2.keep": 0.2}, {"g1.keep": 0.9, "g2.keep": 0.5}) for one in seen)


def test_a_copy_comes_from_a_neighbour() -> None:
    seen = [changed(POINT, copied(layers(), POINT, rng(seed))) for seed in DRAWS]
    first_from_second, second_from_first = {"g0.keep": 0.5, "g0.bits": 5}, {"g1.keep": 0.2, "g1.bits": 2}
    expected = [first_from_second, second_from_first, {"g1.keep": 0.9}, {"g2.keep": 0.5}]
    assert all(one in seen for one in expected)
    assert all(one in expected for one in seen)


def test_a_child_has_each_unit_from_one_parent() -> None:
    other = {"g0.keep": 1.0, "g0.bits": 8, "g1.keep": 1.0, "g1.bits": 8, "g2.keep": 1.0, "g2.bits": 2, "rank": "l2"}
    children = [crossed(layers(), POINT, other, rng(seed)) for seed in DRAWS]
    for unit in units(layers()):
        both = [{name: parent[name] for name in unit.values()} for parent in (POINT, other)]
        found = [{name: child[name] for name in unit.values()} for child in children]
        assert all(one in found for one in both)
        assert all(one in both for one in found)


@pytest.mark.parametrize("name", SPACES)
def test_nothing_leaves_the_space(name: str) -> None:
    space = SPACES[name]
    for seed in range(50):
        draw = rng(seed)
        point: Point = decode(space, draw.random(len(space.distributions)))
        for made in (stepped(space, point, 0.3, draw), swapped(space, point, draw), copied(space, point, draw)):
            space.check(made)
            point = made
