"""The smallest loop that runs a searcher on a function: what contracts, comparisons and tests stand on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from moco import registry
from moco.interfaces import Searcher
from moco.problem import Problem
from moco.trial import Evaluation, MetricValue, Point, Suggestion, Trial, TrialState

Evaluate = Callable[[Point], Mapping[str, float]]


def build(name: str, problem: Problem, seed: int = 0, options: Mapping[str, Any] | None = None) -> Searcher:
    """The registered searcher of that name, with its default options but for those that are given."""
    cls = registry.plugin("searcher", name)
    searcher: Searcher = cls(problem, cls.Options(**(options or {})), seed)
    return searcher


def finished(problem: Problem, evaluate: Evaluate, suggestion: Suggestion, number: int) -> Trial:
    """The suggestion as a complete trial: rounded to its policy, evaluated and judged."""
    policy = problem.space.canonical(suggestion.point)
    point = problem.space.executed(policy, suggestion.point)
    evaluation = Evaluation({name: MetricValue(value) for name, value in evaluate(point).items()})
    outcome = problem.judge(evaluation)
    score = problem.score(evaluation)
    return Trial(number, suggestion, TrialState.COMPLETE, point, policy, evaluation, outcome, score)


def without_result(problem: Problem, suggestion: Suggestion, number: int, state: TrialState) -> Trial:
    """The suggestion as a rejected or failed trial."""
    policy = problem.space.canonical(suggestion.point)
    return Trial(number, suggestion, state, suggestion.point, policy, reason="the test wants it so")


def run(
    searcher: Searcher,
    problem: Problem,
    evaluate: Evaluate,
    n: int,
    first: int = 0,
    bad: Mapping[int, TrialState] | None = None,
) -> list[Trial]:
    """`n` trials, one after the other; those whose number is in `bad` end without a result."""
    trials = []
    for number in range(first, first + n):
        suggestion = searcher.ask()
        state = (bad or {}).get(number)
        if state is None:
            trial = finished(problem, evaluate, suggestion, number)
        else:
            trial = without_result(problem, suggestion, number, state)
        searcher.tell(trial)
        trials.append(trial)
    return trials


def told(searcher: Searcher, trials: Iterable[Trial]) -> Searcher:
    """The searcher, told the trials in this order."""
    for trial in trials:
        searcher.tell(trial)
    return searcher


def points(trials: Iterable[Trial]) -> list[dict[str, Any]]:
    """What was proposed, in the order of the trials."""
    return [dict(trial.suggestion.point) for trial in trials]
