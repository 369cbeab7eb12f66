"""The libraries behind moco's searchers, run as their own users run them: what a wrapped one must not fall behind.

The bare library is seeded anew for every ask, with the number that moco's seed tree gives the wrapped one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
from optuna.samplers import BaseSampler, NSGAIISampler
from optuna.trial import TrialState

from moco.problem import Problem
from moco.randomness import generator
from moco.testing.loop import Evaluate, finished
from moco.trial import Outcome, Suggestion

MakeSampler = Callable[[int], BaseSampler]
Before = Callable[[optuna.Study, int], None]


def nothing(study: optuna.Study, number: int) -> None:
    """Nothing is done before an ask."""


def ask_seed(seed: int, n: int) -> int:
    """The number that a wrapped library is seeded with at the n-th ask."""
    return int(generator(seed, "searcher", n).integers(2**32))


def outcome_of(problem: Problem, evaluate: Evaluate, point: dict[str, Any]) -> Outcome:
    """The losses and violations of a point."""
    outcome = finished(problem, evaluate, Suggestion(0, point), 0).outcome
    assert outcome is not None
    return outcome


def optuna_points(
    problem: Problem, evaluate: Evaluate, make: MakeSampler, seed: int, n: int, before: Before = nothing
) -> list[dict[str, Any]]:
    """The first n suggestions of an Optuna study of its own.

    Args:
        before: what is done with the study before each ask.
    """
    study = optuna.create_study(directions=["minimize"] * len(problem.objectives))
    points = []
    for number in range(n):
        before(study, number)
        study.sampler = make(ask_seed(seed, number))
        trial = study.ask(dict(problem.space.distributions))
        points.append(dict(trial.params))
        outcome = outcome_of(problem, evaluate, points[-1])
        for i, violation in enumerate(outcome.violations):
            trial.set_constraint(str(i), violation)
        study.tell(trial, list(outcome.losses))
    return points


def select_parents(study: optuna.Study, number: int) -> None:
    """Let NSGA-II select who breeds the next generation as soon as one of 10 is full.

    Optuna does it at the next draw, and that draw alone then finds the parents in another order.
    """
    if number > 0 and number % 10 == 0:
        study.tell(study.ask(), state=TrialState.FAIL)  # Optuna renews its list of trials then
        NSGAIISampler(population_size=10, seed=0).get_parent_population(study, number // 10)
