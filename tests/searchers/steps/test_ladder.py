from __future__ import annotations

from dataclasses import replace

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from moco.searchers.steps.ladder import (
    all_uniform,
    at_depth,
    deeper,
    kind_of,
    kinds,
    levels_of,
    opening,
    rungs,
    single_steps,
    uniform,
)
from moco.searchers.steps.measured_curves import declared_growth
from moco.space import LayerGroup, SearchSpace
from moco.testing.problems import SPACES
from tests.searchers.layered import LAYERS, layered_space


def test_kinds_are_what_groups_call_their_parameters() -> None:
    assert kinds(layered_space()) == {
        "keep": tuple(f"l{i}.keep" for i in range(LAYERS)),
        "bits": tuple(f"l{i}.bits" for i in range(LAYERS)),
    }


def test_a_plain_space_has_no_kinds_and_no_ladder() -> None:
    assert kinds(SPACES["mixed"]) == {}
    assert rungs(SPACES["mixed"], 20) == []


def test_the_ladder_goes_from_light_to_heavy_each_policy_once() -> None:
    """Two kinds, degree 4: C(6, 4) = 15 policies, the largest lattice of at most 20."""
    space = layered_space()
    ladder = rungs(space, 20)
    depths = [((16 - p["l0.keep"]) / 12, (8 - p["l0.bits"]) / 6) for p in ladder]
    assert len({space.canonical(point) for point in ladder}) == len(ladder) == 15
    assert ladder[0] == space.neutral
    assert all(sum(depth) <= 1 + 1 / 6 for depth in depths)  # 12 channels in steps of two are rounded
    assert {(1.0, 0.0), (0.0, 1.0)} <= set(depths)
    assert depths[1:3] in ([(1 / 6, 0.0), (0.0, 1 / 3)], [(1 / 3, 0.0), (0.0, 1 / 3)])
    assert depths[-1] in ((1.0, 0.0), (0.0, 1.0))


def test_all_layers_of_a_rung_are_alike() -> None:
    for point in rungs(layered_space(), 20):
        assert len({point[f"l{i}.keep"] for i in range(LAYERS)}) == 1
        assert len({point[f"l{i}.bits"] for i in range(LAYERS)}) == 1


@pytest.mark.parametrize("most", [1, 2, 5])
def test_the_ladder_is_no_longer_than_asked(most: int) -> None:
    assert 1 <= len(rungs(layered_space(), most)) <= most


def test_depths_reach_from_neutral_to_the_far_end() -> None:
    assert [at_depth(IntDistribution(2, 8), d, 8) for d in (0.0, 0.5, 1.0)] == [8, 5, 2]
    assert [at_depth(FloatDistribution(1.0, 4.0), d, 1.0) for d in (0.0, 1.0)] == [1.0, 4.0]
    assert at_depth(FloatDistribution(0.01, 1.0, log=True), 0.5, 1.0) == pytest.approx(0.1)
    assert [at_depth(CategoricalDistribution(("a", "b", "c")), d, "b") for d in (0.0, 0.5, 1.0)] == ["b", "a", "c"]


def test_a_kind_of_one_group_only_is_a_kind() -> None:
    space = layered_space()
    extra = {**space.distributions, "net.activation_bits": IntDistribution(2, 8)}
    groups = (*space.groups, LayerGroup("net", ("net.activation_bits",)))
    wider = SearchSpace(extra, groups, {**space.neutral, "net.activation_bits": 8})
    assert set(kinds(wider)) == {"keep", "bits", "activation_bits"}
    assert len(rungs(wider, 20)) == 20  # three kinds, degree 3: C(6, 3)


def test_single_steps_differ_by_one_parameter_and_save_most_first() -> None:
    space = layered_space()
    base = uniform(space, {"keep": 0.5, "bits": 0.5})
    steps = single_steps(space, base, 20)
    assert len(steps) == 2 * LAYERS
    for point in steps:
        changed = [name for name in base if point[name] != base[name]]
        assert len(changed) == 1
        assert point[changed[0]] < base[changed[0]]
    before = space.cost(space.canonical(base))
    costs = [space.cost(space.canonical(point)) for point in steps]
    saved = [sum(1 - cost[name] / before[name] for name in before) for cost in costs]
    assert saved == sorted(saved, reverse=True)
    assert saved[0] > saved[-1]


def test_where_there_is_a_sensitivity_analysis_steps_that_save_most_for_what_they_lose_come_first() -> None:
    space = layered_space()
    harmless = {"kl_keep_10": 0.001, "kl_keep_4": 0.002, "kl_bits_5": 0.001, "kl_bits_2": 0.002}
    harmful = {name: 100 * value for name, value in harmless.items()}
    groups = [replace(group, features=harmless if group.name == "l2" else harmful) for group in space.groups]
    base = uniform(space, {"keep": 0.5, "bits": 0.5})
    first = single_steps(replace(space, groups=tuple(groups)), base, 2)
    assert {name for point in first for name in base if point[name] != base[name]} == {"l2.keep", "l2.bits"}
    partly = [replace(group, features=harmless if group.name == "l2" else {}) for group in space.groups]
    assert single_steps(replace(space, groups=tuple(partly)), base, 20) == single_steps(space, base, 20)


def test_the_analysis_is_read_between_its_values() -> None:
    space = layered_space()
    known = replace(space.groups[0], features={"kl_keep_10": 0.1, "kl_keep_4": 0.4})
    analysed = replace(space, groups=(known, *space.groups[1:]))
    assert declared_growth(analysed, "l0.keep", 16, 10) == pytest.approx(0.1)
    assert declared_growth(analysed, "l0.keep", 10, 4) == pytest.approx(0.3)
    assert 0.1 < (declared_growth(analysed, "l0.keep", 16, 8) or 0.0) < 0.4
    assert declared_growth(analysed, "l0.bits", 8, 4) is None
    assert declared_growth(analysed, "l1.keep", 16, 10) is None


def test_a_step_beyond_the_far_end_is_left_out() -> None:
    space = layered_space()
    base = {**space.neutral, "l0.keep": 4}
    assert len(single_steps(space, base, 20)) == 2 * LAYERS - 1


def test_steps_of_every_kind_of_parameter_stay_in_the_space() -> None:
    assert deeper(FloatDistribution(0.1, 1.0), 1.0, 1.0) == pytest.approx(0.91)
    assert deeper(FloatDistribution(0.1, 1.0), 0.1, 1.0) == 0.1
    choices = CategoricalDistribution(("int8", "float32", "mixed"))
    assert deeper(choices, "float32", "float32") == "int8"  # neutral is the first, whatever the order they stand in
    assert deeper(choices, "int8", "float32") == "mixed"
    assert deeper(choices, "mixed", "float32") == "mixed"
    space = replace(layered_space(), neutral={})
    assert len(single_steps(space, space.uniform(1.0), 3)) == 3


def test_a_step_in_many_values_is_a_tenth_of_the_range() -> None:
    """A hundredth of the filters would tell nothing."""
    assert deeper(IntDistribution(10, 100), 100, 100) == 91
    assert deeper(IntDistribution(2, 8), 8, 8) == 7


def test_kinds_are_told_by_names_without_the_numbers_of_layers() -> None:
    names = ("layer1.0.keep", "w3", "conv.3", "keep_12", "activation_bits", "7")
    assert [kind_of(name) for name in names] == ["keep", "w", "conv", "keep", "activation_bits", "7"]


def test_the_rungs_that_may_be_are_uniform_and_spread_evenly() -> None:
    space = layered_space()
    assert [dict(point) for point in opening(space)[:2]] == [space.neutral, uniform(space, {"keep": 0.5, "bits": 0.5})]
    assert len(opening(space)) == 4
    assert len(all_uniform(space)) == 7 * 7  # widths times bits: all there are
    assert len(all_uniform(SPACES["mixed"])) == 0
    assert levels_of([7, 91, 91], 2000) == [7, 17, 16]
    assert levels_of([3, 1], 100) == [3, 1]
    assert levels_of([9] * 20, 2000) == [3, *[2] * 9, *[1] * 10]
