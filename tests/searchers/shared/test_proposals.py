from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from optuna.distributions import IntDistribution

from moco.errors import ConfigError
from moco.problem import Problem
from moco.searchers.shared.option_checks import at_least, probability
from moco.searchers.shared.proposals import REDRAWS, ProposalCounter
from moco.trial import Suggestion, Trial, TrialState


@pytest.fixture
def problem() -> Problem:
    return Problem(space={"n": IntDistribution(0, 9)}, objectives={"loss": "minimize"})


def told(problem: Problem, n: int, state: TrialState = TrialState.COMPLETE) -> Trial:
    point = {"n": n}
    return Trial(0, Suggestion(-1, point), state, point, problem.space.canonical(point))


@pytest.mark.parametrize("state", TrialState)
def test_a_told_policy_is_drawn_again(problem: Problem, state: TrialState) -> None:
    draws: Iterator[int] = iter([3, 3, 4])
    asks = ProposalCounter(problem, seed=0)
    asks.tell(told(problem, 3, state))
    assert asks.next(lambda _: {"n": next(draws)}).point == {"n": 4}


def test_the_last_redraw_is_proposed_where_it_is_new(problem: Problem) -> None:
    draws: Iterator[int] = iter([3] * REDRAWS + [4])
    asks = ProposalCounter(problem, seed=0)
    asks.tell(told(problem, 3))
    assert asks.next(lambda _: {"n": next(draws)}).point == {"n": 4}


def test_a_neighbour_is_proposed_where_draws_give_nothing_new(problem: Problem) -> None:
    asks, draws = ProposalCounter(problem, seed=0), []
    asks.tell(told(problem, 3))

    point = asks.next(lambda _: draws.append(0) or {"n": 3}).point
    assert point != {"n": 3}
    problem.space.check(point)
    assert len(draws) == 1 + REDRAWS


def test_a_neighbour_changes_as_few_parameters_as_it_can() -> None:
    names = [f"p{i}" for i in range(20)]
    problem = Problem(space={name: IntDistribution(0, 9) for name in names}, objectives={"loss": "minimize"})
    point = dict.fromkeys(names, 0)
    asks = ProposalCounter(problem, seed=0)
    asks.tell(Trial(0, Suggestion(-1, point), TrialState.COMPLETE, point, problem.space.canonical(point)))

    neighbour = asks.next(lambda _: point).point
    assert sum(neighbour[name] != 0 for name in names) == 1


def test_a_point_is_repeated_where_the_space_holds_no_other(problem: Problem) -> None:
    asks = ProposalCounter(problem, seed=0)
    for n in range(10):
        asks.tell(told(problem, n))
    assert asks.next(lambda _: {"n": 3}).point == {"n": 3}


def test_a_pending_policy_may_be_proposed_again(problem: Problem) -> None:
    """A pending ask is not known to a searcher that is rebuilt, so nothing may depend on it."""
    asks = ProposalCounter(problem, seed=0)
    assert [asks.next(lambda _: {"n": 3}).point for _ in range(2)] == [{"n": 3}, {"n": 3}]


def test_each_ask_has_a_generator_of_its_own(problem: Problem) -> None:
    asks, seen = ProposalCounter(problem, seed=0), []
    for _ in range(3):
        asks.next(lambda rng: seen.append(rng.random()) or {"n": 1})
    again = ProposalCounter(problem, seed=0)
    again.tell(replace(told(problem, 5), suggestion=Suggestion(1, {"n": 5})))
    again.next(lambda rng: seen.append(rng.random()) or {"n": 1})
    assert len(set(seen)) == 3
    assert seen[3] == seen[2]


@pytest.mark.parametrize("value", [1, 2.5, "3", True, None])
def test_counts_below_the_least_are_refused(value: object) -> None:
    with pytest.raises(ConfigError, match=r"searcher\.steps: expected a whole number of at least 2, got"):
        at_least("steps", value, 2)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "0.5", True])
def test_what_is_no_probability_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match=r"searcher\.swapping: expected a probability in 0\.\.1, got"):
        probability("swapping", value)  # type: ignore[arg-type]


def breaking(_: object) -> dict[str, int]:
    raise ValueError("not a number")


@pytest.mark.filterwarnings("ignore:the searcher could not")
def test_what_the_model_failed_at_is_in_the_notes_of_the_next_suggestion_alone(problem: Problem) -> None:
    asks = ProposalCounter(problem, seed=0)
    with asks.surviving("learn"):
        raise OverflowError("too large")
    first, second = asks.next(breaking), asks.next(lambda _: {"n": 1})
    assert first.failures == tuple(
        f"could not {what} by its model, and goes on without where it cannot: {why}"
        for what, why in (("learn", "OverflowError: too large"), ("propose", "ValueError: not a number"))
    )
    assert second.failures == ()


@pytest.mark.filterwarnings("ignore:the searcher could not")
def test_a_searcher_that_is_rebuilt_notes_no_failure_twice(problem: Problem) -> None:
    first, again = ProposalCounter(problem, seed=0), ProposalCounter(problem, seed=0)
    with first.surviving("learn"):
        raise OverflowError
    noted = first.number({"n": 1})
    with again.surviving("learn"):  # at the trial before
        raise OverflowError
    for asks in (first, again):
        asks.tell(Trial(0, noted, TrialState.COMPLETE, noted.point, problem.space.canonical(noted.point)))
    assert first.number({"n": 2}) == again.number({"n": 2}) == Suggestion(1, {"n": 2})
