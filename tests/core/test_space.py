from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from moco.errors import SpaceError
from moco.policy import Policy
from moco.space import LayerGroup, SearchSpace, n_values, snapped
from moco.testing.problems import SPACES

KEEP = FloatDistribution(0.1, 1.0)
BITS = IntDistribution(2, 8)
PRECISION = CategoricalDistribution(("int8", "float32"))


@pytest.fixture
def space() -> SearchSpace:
    neutral = {"keep": 1.0, "bits": 8, "precision": "float32"}
    return SearchSpace({"keep": KEEP, "bits": BITS, "precision": PRECISION}, neutral=neutral)


def test_a_space_has_a_parameter() -> None:
    with pytest.raises(SpaceError, match="expected at least one parameter"):
        SearchSpace({})


def test_a_space_is_made_of_distributions() -> None:
    with pytest.raises(SpaceError, match="'keep' must be one of Optuna's distributions, got tuple"):
        SearchSpace({"keep": (0.1, 1.0)})  # type: ignore[dict-item]


def test_groups_name_parameters_of_the_space() -> None:
    with pytest.raises(SpaceError, match=r"layer group 'stem': unknown parameter 'kep'; did you mean 'keep'\?"):
        SearchSpace({"keep": KEEP}, groups=(LayerGroup("stem", ("kep",)),))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kep": 1.0}, r"unknown parameter 'kep'; did you mean 'keep'\?"),
        ({"keep": 1.1}, "keep = 1.1 is outside FloatDistribution"),
        ({"keep": math.nan}, "keep = nan is outside"),
        ({"keep": "0.5"}, "keep = '0.5' is outside"),
        ({"keep": True}, "keep = True is outside"),
        ({"bits": 1}, "bits = 1 is outside IntDistribution"),
        ({"precision": "int4"}, "precision = 'int4' is outside CategoricalDistribution"),
    ],
)
def test_points_that_are_not_of_the_space_are_refused(space: SearchSpace, change: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        space.canonical({"keep": 0.5, "bits": 4, "precision": "int8", **change})


def test_a_missing_parameter_is_named(space: SearchSpace) -> None:
    with pytest.raises(SpaceError, match="parameter 'bits' is missing"):
        space.check({"keep": 0.5, "precision": "int8"})


@pytest.mark.parametrize(
    ("distribution", "one", "other"),
    [
        (FloatDistribution(0.1, 0.7, step=0.1), 0.3, 0.1 + 0.2),
        (FloatDistribution(-1.0, 1.0), 0.0, -0.0),
        (FloatDistribution(0.0, 4.0), 1, 1.0),
        (IntDistribution(0, 10), 4, 4.0),
        (IntDistribution(4, 64, step=4), 8, 9),
        (CategoricalDistribution((2, 4, 8)), 8, 8.0),
    ],
)
def test_values_that_round_alike_are_one_policy(distribution: BaseDistribution, one: Any, other: Any) -> None:
    space = SearchSpace({"x": distribution})
    first, second = space.canonical({"x": one}), space.canonical({"x": other})
    assert first == second
    assert hash(first) == hash(second)
    assert first.key == second.key


def test_the_order_of_a_point_does_not_matter(space: SearchSpace) -> None:
    point = {"keep": 0.5, "bits": 4, "precision": "int8"}
    assert space.canonical(point) == space.canonical(dict(reversed(point.items())))


def test_other_values_are_other_policies(space: SearchSpace) -> None:
    point = {"keep": 0.5, "bits": 4, "precision": "int8"}
    assert space.canonical(point) != space.canonical({**point, "bits": 5})


def test_a_codec_decides_what_was_executed() -> None:
    space = SPACES["rounded"]
    proposed = {"keep0": 0.61, "keep1": 1.0, "keep2": 0.3}
    policy = space.canonical(proposed)
    assert policy.settings == {"keep0": 4, "keep1": 8, "keep2": 2}
    assert space.executed(policy, proposed) == {"keep0": 0.5, "keep1": 1.0, "keep2": 0.25}
    assert space.cost(policy) == {"macs": 14.0}


def test_in_a_plain_space_the_canonical_point_was_executed() -> None:
    space = SearchSpace({"n": IntDistribution(4, 64, step=4)})
    assert space.executed(space.canonical({"n": 9}), {"n": 9}) == {"n": 8}


@pytest.mark.parametrize(
    ("distribution", "expected"),
    [
        (FloatDistribution(0.0, 1.0), None),
        (FloatDistribution(0.5, 0.5), 1),
        (FloatDistribution(0.1, 0.7, step=0.1), 7),
        (IntDistribution(2, 8), 7),
        (IntDistribution(1, 1000, log=True), 1000),
        (IntDistribution(4, 64, step=4), 16),
        (CategoricalDistribution(("a", "b", "c")), 3),
    ],
)
def test_number_of_values(distribution: BaseDistribution, expected: int | None) -> None:
    assert n_values(distribution) == expected


def test_number_of_policies() -> None:
    assert SearchSpace({"bits": BITS, "precision": PRECISION}).n_policies() == 14
    assert SearchSpace({"bits": BITS, "keep": KEEP}).n_policies() is None


def test_uniform_walks_from_neutral_to_the_far_end(space: SearchSpace) -> None:
    assert space.uniform(0.0) == {"keep": 1.0, "bits": 8, "precision": "float32"}
    assert space.uniform(0.5, 1) == {"keep": pytest.approx(0.55), "bits": 5, "precision": "int8"}
    assert space.uniform(1.0, 2) == {"keep": pytest.approx(0.1), "bits": 2, "precision": "float32"}
    assert space.n_variants() == 2


def test_uniform_starts_at_the_lower_bound_where_nothing_is_neutral() -> None:
    space = SearchSpace({"n": IntDistribution(1, 100, log=True)})
    assert [space.uniform(level)["n"] for level in (0.0, 0.5, 1.0)] == [1, 10, 100]
    assert space.n_variants() == 1


@given(level=st.floats(0, 1), variant=st.integers(0, 9), name=st.sampled_from(sorted(SPACES)))
def test_uniform_points_are_of_the_space(level: float, variant: int, name: str) -> None:
    SPACES[name].check(SPACES[name].uniform(level, variant))


@given(value=st.floats(-10, 10), name=st.sampled_from(["float", "step", "int", "int_step"]))
def test_snapping_twice_changes_nothing(value: float, name: str) -> None:
    distribution = SPACES["mixed"].distributions[name]
    once = snapped(distribution, value)
    assert snapped(distribution, once) == once
    SearchSpace({name: distribution}).check({name: once})


def test_policies_are_canonical_json() -> None:
    policy = Policy.of({"b": 1, "a": {"y": 2, "x": 3}})
    assert policy.text == '{"a":{"x":3,"y":2},"b":1}'
    assert policy == Policy.of({"a": {"x": 3, "y": 2}, "b": 1})
    assert policy.settings == {"a": {"x": 3, "y": 2}, "b": 1}


def test_the_key_of_a_policy_is_the_hash_of_its_text() -> None:
    """sha256sum of the two bytes {}."""
    assert Policy.of({}).key == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_a_policy_holds_no_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        Policy.of({"keep": math.nan})
