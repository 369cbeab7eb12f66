from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from moco.encoding import decode
from moco.searchers.models.axes import MANY, axes_of, coordinates, neighbours, point_at
from moco.space import SearchSpace
from moco.testing.problems import SPACES

MIXED = SPACES["mixed"]


def test_every_point_comes_back_from_its_coordinates() -> None:
    axes, rng = axes_of(MIXED), np.random.default_rng(0)
    for _ in range(200):
        point = decode(MIXED, rng.random(len(MIXED.distributions)))
        back = point_at(axes, MIXED, coordinates(axes, MIXED, point))
        assert back == {
            name: pytest.approx(value) if isinstance(value, float) else value for name, value in point.items()
        }
        assert {name: type(value) for name, value in back.items()} == {
            name: type(value) for name, value in point.items()
        }


def test_parameters_of_one_value_have_no_axis() -> None:
    assert [axis.name for axis in axes_of(MIXED)] == [name for name in MIXED.distributions if "only" not in name]


@pytest.mark.parametrize(
    ("distribution", "values", "expected"),
    [
        (FloatDistribution(2.0, 4.0), [2.0, 3.0, 4.0], [0.0, 0.5, 1.0]),
        (FloatDistribution(1.0, 100.0, log=True), [1.0, 10.0, 100.0], [0.0, 0.5, 1.0]),
        (FloatDistribution(0.1, 0.5, step=0.1), [0.1, 0.2, 0.5], [0.0, 0.25, 1.0]),
        (IntDistribution(4, 64, step=4), [4, 34, 64], [0.0, 8 / 15, 1.0]),
        (CategoricalDistribution((None, "x", 3)), [None, "x", 3], [0.0, 1.0, 2.0]),
    ],
)
def test_an_axis_runs_from_the_lower_bound_to_the_upper_one(distribution, values, expected) -> None:  # type: ignore[no-untyped-def]
    space = SearchSpace({"p": distribution})
    axes = axes_of(space)

    assert [float(coordinates(axes, space, {"p": value})[0]) for value in values] == pytest.approx(expected)


def test_the_values_of_a_logarithmic_integer_lie_closer_and_closer() -> None:
    (axis,) = axes_of(SearchSpace({"p": IntDistribution(1, 4, log=True)}))

    assert np.diff(axis.values) == pytest.approx(np.diff(np.log([1, 2, 3, 4])) / np.log(4), rel=0.35)
    assert (np.diff(np.diff(axis.values)) < 0).all()
    assert axis.bounds == (0.0, 1.0)


def test_a_neighbour_differs_by_one_step_of_one_parameter() -> None:
    space = SearchSpace({"n": IntDistribution(2, 8), "c": CategoricalDistribution(("a", "b", "c"))})
    axes = axes_of(space)

    near = [point_at(axes, space, x) for x in neighbours(axes, coordinates(axes, space, {"n": 2, "c": "b"}))]

    assert near == [{"n": 3, "c": "b"}, {"n": 2, "c": "a"}, {"n": 2, "c": "c"}]


def test_very_fine_steps_count_as_continuous_but_stay_whole_numbers() -> None:
    space = SearchSpace({"n": IntDistribution(0, 2 * MANY)})
    axes = axes_of(space)

    assert axes[0].values == ()
    assert point_at(axes, space, np.array([0.50001])) == {"n": MANY}
