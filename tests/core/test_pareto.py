from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moco.pareto import front, hypervolume, non_dominated
from moco.trial import Outcome, Suggestion, Trial, TrialState

Points = list[tuple[float, float, float]]

GRID = st.integers(0, 6).map(float)
"""Few values, so that ties and duplicates are frequent."""

POINTS: st.SearchStrategy[Points] = st.lists(st.tuples(GRID, GRID, GRID), max_size=12)
REFERENCE = (5.0, 5.0, 5.0)


def dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    """The definition: nowhere worse, somewhere better."""
    return all(x <= y for x, y in zip(a, b, strict=True)) and tuple(a) != tuple(b)


def counted_volume(points: Points) -> float:
    """The hypervolume by counting the unit boxes below the reference that some point dominates."""
    boxes = np.stack(np.meshgrid(*[np.arange(0, 5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    return float(sum(any((np.array(point) <= box).all() for point in points) for box in boxes))


def trial(losses: tuple[float, ...], violation: float = 0.0, state: TrialState = TrialState.COMPLETE) -> Trial:
    outcome = Outcome(losses, violations=(violation,)) if state is TrialState.COMPLETE else None
    return Trial(0, Suggestion(0, {}), state, {}, outcome=outcome)


@pytest.mark.parametrize(
    ("points", "reference", "volume"),
    [
        ([(1, 1)], (3, 4), 6.0),
        ([(1, 3), (2, 2), (3, 1)], (4, 4), 6.0),
        ([(1, 3), (2, 2), (3, 1), (3, 3), (2, 2)], (4, 4), 6.0),
        ([(1, 3), (5, 0)], (4, 4), 3.0),
        ([(4, 1)], (4, 4), 0.0),
        ([(5, 5)], (4, 4), 0.0),
        ([(-1, -2)], (0, 0), 2.0),
        ([], (4, 4), 0.0),
        ([(2,), (1,)], (3,), 2.0),
        ([(0, 0, 0)], (1, 2, 3), 6.0),
        # Two boxes of 2 x 2 x 1 and 1 x 1 x 3 from the reference, which overlap in 1 x 1 x 1.
        ([(1, 1, 2), (2, 2, 0)], (3, 3, 3), 6.0),
        # Three slabs of 1 x 2 x 2 that share the cube of 1 and, two by two, 1 x 1 x 2: 3 * 4 - 3 * 2 + 1.
        ([(2, 1, 1), (1, 2, 1), (1, 1, 2)], (3, 3, 3), 7.0),
    ],
)
def test_hypervolumes_by_hand(points: list[tuple[float, ...]], reference: tuple[float, ...], volume: float) -> None:
    assert hypervolume(points, reference) == pytest.approx(volume)


@given(points=POINTS)
def test_the_hypervolume_is_what_counting_boxes_gives(points: Points) -> None:
    assert hypervolume(points, REFERENCE) == pytest.approx(counted_volume(points))


@given(points=POINTS, more=st.tuples(GRID, GRID, GRID))
def test_a_further_point_never_lessens_the_hypervolume(points: Points, more: tuple[float, float, float]) -> None:
    assert hypervolume([*points, more], REFERENCE) >= hypervolume(points, REFERENCE) - 1e-9


@given(points=POINTS, data=st.data())
def test_the_hypervolume_does_not_depend_on_the_order(points: Points, data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(points))
    assert hypervolume(shuffled, REFERENCE) == pytest.approx(hypervolume(points, REFERENCE))


@given(points=POINTS)
def test_the_hypervolume_is_that_of_the_front(points: Points) -> None:
    kept = [point for point, keep in zip(points, non_dominated(points), strict=True) if keep]
    assert hypervolume(kept, REFERENCE) == pytest.approx(hypervolume(points, REFERENCE))


@given(points=POINTS)
def test_non_dominated_is_the_definition_with_each_point_once(points: Points) -> None:
    expected = [
        not any(dominates(other, point) for other in points) and point not in points[:index]
        for index, point in enumerate(points)
    ]
    assert non_dominated(points).tolist() == expected


@pytest.mark.parametrize(
    ("points", "kept"),
    [
        ([], []),
        ([(1.0, 2.0), (1.0, 2.0), (2.0, 1.0), (3.0, 3.0)], [True, False, True, False]),
        ([(1.0, 1.0), (1.0, 2.0)], [True, False]),
        ([(2.0,), (1.0,), (1.0,)], [False, True, False]),
    ],
)
def test_non_dominated_points_by_hand(points: list[tuple[float, ...]], kept: list[bool]) -> None:
    assert non_dominated(points).tolist() == kept


def test_the_front_holds_feasible_complete_trials_by_their_first_loss() -> None:
    slow, fast, beaten = trial((1.0, 3.0)), trial((3.0, 1.0)), trial((3.0, 3.0))
    infeasible, failed = trial((0.0, 0.0), violation=0.1), trial((), state=TrialState.FAILED)
    assert front([fast, failed, beaten, infeasible, slow]) == [slow, fast]


def test_without_trials_there_is_no_front() -> None:
    assert front([]) == []
