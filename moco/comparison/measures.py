"""Strategies compared over seeds: what is measured of each run, and what can be said of each two strategies.

Two quantities, the best feasible score and the hypervolume of the feasible front, each at two ends: after the budget of
trials, and at the longest charged time that every run has used. Trials are what searching costs where an evaluation is
dear; time counts the searcher's own thinking too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from moco.comparison import rank_tests
from moco.comparison.curves import Curve, charged_clock, counted, hypervolume_curve, pooled_reference_point, score_curve
from moco.run_folder.comparison_record import FriedmanRecord, Measure, PairRecord
from moco.trial import Trial

SCORE, HYPERVOLUME = "score", "hypervolume"
TRIALS, SECONDS = "trials", "seconds"

Runs = Mapping[str, Mapping[int, Sequence[Trial]]]
"""Trials by strategy and seed, of finished runs."""

MEASURES = tuple(Measure(quantity, axis) for axis in (TRIALS, SECONDS) for quantity in (SCORE, HYPERVOLUME))


@dataclass(frozen=True)
class Comparison:
    """Finished runs of several strategies on one problem."""

    runs: Runs  # the strategies in the order in which they are told
    reference_point: tuple[float, ...] | None = None  # losses, for the hypervolume; None leaves the hypervolume out

    @staticmethod
    def of(runs: Runs, reference_point: Sequence[float] | None = None) -> Comparison:
        """The comparison of the strategies that have finished runs.

        Without a reference point it takes one beyond all feasible trials (`curves.pooled_reference_point`).
        """
        runs = {label: dict(by_seed) for label, by_seed in runs.items() if by_seed}
        point = reference_point
        if point is None:
            point = pooled_reference_point([trials for by_seed in runs.values() for trials in by_seed.values()])
        return Comparison(runs, None if point is None else tuple(point))

    @property
    def quantities(self) -> list[str]:
        """What is measured: the hypervolume needs several losses and a point."""
        losses = 0 if self.reference_point is None else len(self.reference_point)
        return [SCORE, HYPERVOLUME] if losses > 1 else [SCORE]

    @property
    def measures(self) -> list[Measure]:
        """All numbers that are taken of each run."""
        return [measure for measure in MEASURES if measure.quantity in self.quantities and self.runs]

    @cached_property
    def curves(self) -> dict[str, dict[str, dict[int, Curve]]]:
        """By quantity, strategy and seed."""
        return {
            quantity: {
                label: {seed: self._curve(quantity, trials) for seed, trials in by_seed.items()}
                for label, by_seed in self.runs.items()
            }
            for quantity in self.quantities
        }

    @cached_property
    def equal_trials(self) -> int:
        """Trials of the longest run; one that ended before (space or seconds exhausted) keeps its last value."""
        return max((len(counted(trials)) for trials in self._all()), default=0)

    @cached_property
    def equal_seconds(self) -> float:
        """The longest charged time that every run has used."""
        return min((float(charged_clock(trials)[-1]) for trials in self._all()), default=0.0)

    def values(self, measure: Measure) -> dict[str, dict[int, float]]:
        """The measure by strategy and seed; -inf for a run that had found nothing feasible by then."""
        return {
            label: {seed: self._value(curve, measure.axis) for seed, curve in by_seed.items()}
            for label, by_seed in self.curves[measure.quantity].items()
        }

    def pairs(self, measure: Measure) -> list[PairRecord]:
        """Every two strategies by that measure, Holm's correction over all of them."""
        return rank_tests.pairs(self.values(measure))

    def friedman(self, measure: Measure) -> FriedmanRecord | None:
        """All strategies at once, on the seeds that all have; None for fewer than three strategies or two seeds."""
        values = self.values(measure)
        if not values:
            return None
        shared = [seed for seed in next(iter(values.values())) if all(seed in found for found in values.values())]
        return rank_tests.friedman({label: [found[seed] for seed in shared] for label, found in values.items()})

    def verdict(self, first: str, second: str, measure: Measure | None = None) -> str:
        """`better`, `worse` or `cannot tell`, of the first against the second; KeyError where one has finished no run.

        Without a measure by the best feasible score after equal trials.
        """
        for pair in self.pairs(measure if measure is not None else MEASURES[0]):
            if (pair.first, pair.second) == (first, second):
                return str(pair.verdict)
            if (pair.first, pair.second) == (second, first):
                return str(rank_tests.OPPOSITE.get(pair.verdict, pair.verdict))
        raise KeyError(f"{first}, {second}")

    def median(self, measure: Measure, label: str) -> float:
        """Median of the measure over the strategy's seeds."""
        return float(np.median(list(self.values(measure)[label].values())))

    def _all(self) -> list[Sequence[Trial]]:
        return [trials for by_seed in self.runs.values() for trials in by_seed.values()]

    def _curve(self, quantity: str, trials: Sequence[Trial]) -> Curve:
        if quantity == SCORE:
            return score_curve(trials)
        assert self.reference_point is not None
        return hypervolume_curve(trials, self.reference_point)

    def _value(self, curve: Curve, axis: str) -> float:
        trials, seconds = np.array([self.equal_trials]), np.array([self.equal_seconds])
        return float((curve.after_trials(trials) if axis == TRIALS else curve.at_seconds(seconds))[0])
