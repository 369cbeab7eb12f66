from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from moco.encoding import decode, encode, from_unit, project, to_unit
from moco.errors import SpaceError
from moco.space import SearchSpace, n_values
from moco.testing.problems import MIXED, SPACES

UNIT = st.floats(0, 1)
KINDS = sorted(MIXED)


@pytest.mark.parametrize(
    ("distribution", "value", "coordinate"),
    [
        (FloatDistribution(-1.0, 3.0), 0.0, 0.25),
        (FloatDistribution(1e-4, 1.0, log=True), 1e-2, 0.5),
        (FloatDistribution(0.1, 0.4, step=0.1), 0.2, 0.375),
        (FloatDistribution(0.3, 0.3), 0.3, 0.5),
        (IntDistribution(0, 3), 3, 0.875),
        (IntDistribution(4, 16, step=4), 4, 0.125),
        (IntDistribution(5, 5), 5, 0.5),
        (IntDistribution(1, 1), 1, 0.5),
        (CategoricalDistribution(("a", "b")), "b", 0.75),
        (CategoricalDistribution(("a",)), "a", 0.5),
    ],
)
def test_coordinates_by_hand(distribution: BaseDistribution, value: Any, coordinate: float) -> None:
    assert to_unit(distribution, value) == pytest.approx(coordinate)
    assert from_unit(distribution, coordinate) == (value if isinstance(value, str) else pytest.approx(value))


@pytest.mark.parametrize("name", KINDS)
@given(u=UNIT)
def test_values_survive_the_round_trip(name: str, u: float) -> None:
    distribution = MIXED[name]
    value = from_unit(distribution, u)
    again = from_unit(distribution, to_unit(distribution, value))
    assert type(again) is type(value)
    if n_values(distribution) is None:
        assert again == pytest.approx(value)
    else:
        assert again == value
    SearchSpace({name: distribution}).check({name: value})


@pytest.mark.parametrize("name", KINDS)
@given(u=UNIT)
def test_a_coordinate_moves_to_the_middle_of_its_value(name: str, u: float) -> None:
    distribution = MIXED[name]
    n = n_values(distribution)
    # On a log scale the lowest integers have the widest share: 1 of 1..1000 spans log(1.5/0.5) of log(1000.5/0.5).
    widest = 0.146 if name == "int_log" else 0.0 if n is None else 1 / n
    assert abs(to_unit(distribution, from_unit(distribution, u)) - u) <= widest + 1e-9


@pytest.mark.parametrize("name", ["step", "int", "int_step", "precision", "odd"])
def test_discrete_values_have_equal_shares(name: str) -> None:
    distribution = MIXED[name]
    n = n_values(distribution) or 0
    middles = [from_unit(distribution, (k + 0.5) / n) for k in range(n)]
    assert len(set(middles)) == n
    for k, value in enumerate(middles):
        assert from_unit(distribution, (k + 0.01) / n) == from_unit(distribution, (k + 0.99) / n) == value


@given(a=UNIT, b=UNIT, name=st.sampled_from(["float", "log", "step", "int", "int_step", "int_log"]))
def test_numbers_keep_their_order(a: float, b: float, name: str) -> None:
    low, high = sorted([a, b])
    assert from_unit(MIXED[name], low) <= from_unit(MIXED[name], high)


@pytest.mark.parametrize("name", sorted(SPACES))
@given(seed=st.integers(0, 1000))
def test_points_survive_the_round_trip(name: str, seed: int) -> None:
    space = SPACES[name]
    point = decode(space, np.random.default_rng(seed).random(len(space.distributions)))
    again = decode(space, encode(space, point))
    assert list(again) == list(point) == list(space.distributions)
    for key, value in point.items():
        assert again[key] == (pytest.approx(value) if isinstance(value, float) else value)


def test_coordinates_beyond_the_cube_are_clipped() -> None:
    assert decode(SPACES["finite"], np.array([-0.5, 1.5])) == {"n": 0, "c": "b"}


@pytest.mark.parametrize("wrong", [np.array([0.5]), np.array([0.5, np.nan]), np.zeros((2, 1))])
def test_wrong_coordinates_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(SpaceError, match="unit cube: expected 2 finite coordinates"):
        decode(SPACES["finite"], wrong)


def test_points_of_another_space_are_refused() -> None:
    with pytest.raises(SpaceError, match="parameter 'c' is missing"):
        encode(SPACES["finite"], {"n": 1})


def test_projection_brings_what_was_executed_back_into_the_space() -> None:
    space = SearchSpace({"step": MIXED["step"], "keep": FloatDistribution(0.3, 1.0), "n": IntDistribution(2, 8)})
    assert project(space, {"n": 9, "keep": 0.25, "step": 0.33}) == {
        "step": pytest.approx(0.3), "keep": 0.3, "n": 8,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"n": 1}, r"expected the parameters \['c', 'n'\], got \['n'\]"),
        ({"n": 1, "c": "z"}, "c = 'z' is none of"),
    ],
)
def test_projection_guesses_nothing(point: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        project(SPACES["finite"], point)
