"""Networks near a trial's that the search has not tried, with what the tried ones say of them.

A search of few trials leaves gaps: of ResNet-56 without some of its 25 branches it had tried 18 and 15 of them, and
what promised most lay between. Neighbours differ from the trial in one parameter. Their exact costs are counted; their
other metrics are the trial's own, moved by what a regression over all trials says of the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from moco.encoding import from_unit, project
from moco.metrics import ERRORS, FALL_WITH_BITS
from moco.policy import Policy
from moco.run.metric_law import LEAST_TRIALS, MetricLaw, is_of_the_space
from moco.space import SearchSpace, n_values
from moco.trial import NEIGHBOUR_OF, Evaluation, MetricValue, Point, Suggestion, Trial

MOST_VALUES = 16
"""Of a parameter, that are looked at: a finer one is cut into so many."""
FIRST_ID = -500_000
"""Ids of their suggestions go down from here: those of starts never come as far, finalists have lower ones."""


class Neighbours:
    """Of the trials of one search."""

    def __init__(self, space: SearchSpace, trials: Sequence[Trial], evaluated: Callable[[Trial], Evaluation]) -> None:
        """Learn from the trials of the space; `evaluated` gives what is known of a trial's network."""
        self.space, self._evaluated = space, evaluated
        told = [trial for trial in trials if is_of_the_space(trial)]
        self._tried = {trial.policy for trial in trials}
        self._laws = _laws(space, told, [evaluated(trial).metrics for trial in told])

    def of(self, trial: Trial) -> Iterator[Trial]:
        """Each neighbour of the trial, as if it had been tried; none where too little is known.

        Those with the trial's own weights in other bits are left out.
        """
        assert trial.policy is not None
        own, seen = self.space.cost(trial.policy), set(self._tried)
        for point in self._points(project(self.space, trial.point)) if self._laws else ():
            policy = self.space.canonical(point)
            if policy in seen:
                continue
            seen.add(policy)
            costs = self.space.cost(policy)
            if any(costs[name] != own[name] for name in costs.keys() - {*FALL_WITH_BITS}):
                yield self._as_tried(trial, policy, point, costs)

    def _points(self, point: Point) -> Iterator[Point]:
        for name, distribution in self.space.distributions.items():
            count = min(n_values(distribution) or MOST_VALUES, MOST_VALUES)
            for place in range(count):
                yield {**point, name: from_unit(distribution, (place + 0.5) / count)}

    def _as_tried(self, trial: Trial, policy: Policy, point: Point, costs: Mapping[str, float]) -> Trial:
        evaluation = self._evaluated(trial)
        metrics = dict(evaluation.metrics)
        for name, law in self._laws.items():
            value = metrics[name].value * law.factor(trial, policy, point)
            metrics[name] = replace(metrics[name], value=min(value, 1.0) if name in ERRORS else value)
        metrics |= {name: MetricValue(float(cost)) for name, cost in costs.items() if name in metrics}
        found = replace(evaluation, metrics=metrics, samples={}, seconds={}, artifact_sha256=None)
        return replace(trial, point=point, policy=policy, evaluation=found, outcome=None, score=None)


def suggested(neighbour: Trial, place: int) -> Suggestion:
    """The suggestion by which a neighbour is tried; `place` counts those of a search from 0 on."""
    return Suggestion(FIRST_ID - place, neighbour.point, {NEIGHBOUR_OF: neighbour.number})


def _laws(
    space: SearchSpace, trials: Sequence[Trial], metrics: Sequence[Mapping[str, MetricValue]]
) -> dict[str, MetricLaw]:
    """Of each metric that is above 0 everywhere; none of too few trials. Exact costs are counted all the same."""
    if len(trials) < LEAST_TRIALS:
        return {}
    names = [name for name in metrics[0] if all(name in one and one[name].value > 0 for one in metrics)]
    return {name: MetricLaw.of(space, trials, [one[name].value for one in metrics]) for name in names}
