"""Starts from earlier evaluations, judged by the problem at hand: what was feasible for another protocol may not be."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from moco import pareto
from moco.policy import Policy
from moco.problem import Problem
from moco.study import Start, rank
from moco.trial import Evaluation, Suggestion, Trial, TrialState

STORED = "stored"
"""What names of these starts begin with."""


def stored_starts(
    problem: Problem,
    evaluations: Sequence[tuple[Policy, Evaluation]],
    most: int,
    taken: Collection[Policy] = (),
    given: bool = False,
) -> list[Start]:
    """At most so many starts: the best network, the rest of the feasible front, then others, the better first.

    A front that is longer than that is thinned evenly, so that its ends stay. Where nothing is feasible, what misses
    least comes first.

    Args:
        evaluations: in the problem's metrics; policies that are not of its space are left out.
        taken: policies that other starts have.
        given: whether they are declared as given.
    """
    trials = list(_judged(problem, evaluations, frozenset(taken)))
    ordered = sorted(trials, key=lambda trial: (rank(trial), -trial.number), reverse=True)
    front = pareto.front(trials)
    chosen = ordered[:1]
    chosen += _thinned([trial for trial in front if trial not in chosen], most - len(chosen))
    chosen += [trial for trial in ordered if trial not in chosen][: most - len(chosen)]
    return [Start(f"{STORED} {place}", trial.point, given) for place, trial in enumerate(chosen, start=1)]


def _judged(
    problem: Problem, evaluations: Sequence[tuple[Policy, Evaluation]], taken: frozenset[Policy]
) -> Iterator[Trial]:
    """The evaluations as trials of this problem."""
    codec = problem.space.codec
    assert codec is not None
    for number, (policy, evaluation) in enumerate(evaluations):
        point = codec.point(policy)
        if policy in taken or codec.policy(point) != policy:
            continue
        try:
            outcome, score = problem.judge(evaluation), problem.score(evaluation)
        except ValueError:  # it would fail as a trial, too
            continue
        yield Trial(number, Suggestion(number, point), TrialState.COMPLETE, point, policy, evaluation, outcome, score)


def _thinned(front: Sequence[Trial], most: int) -> list[Trial]:
    """At most so many of them, at even distances by their place, both ends included."""
    if len(front) <= most:
        return list(front)
    return [front[place] for place in np.unique(np.linspace(0, len(front) - 1, max(most, 0)).round().astype(int))]
