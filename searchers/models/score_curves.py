"""A protocol's score as a function of each metric that it reads, the others as at the best trial so far.

Published scores are sums of such functions: an accuracy, less what a cost is, or what it is off a target. Some are
bent: `galen` falls on both sides of its target, `hybrid` above it alone. So the score is computed at knots from the
lowest to the highest value that a candidate may have, and at finer ones where it bends. Of scores that are no sums the
interplay of metrics is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from moco.problem import Problem
from moco.searchers.models.outcome_transforms import OutcomeTransform
from moco.trial import Evaluation, MetricValue

COARSE, KNOTS, FINER = 17, 257, 16
"""Knots that tell whether a metric matters, knots of one that does, and parts of an interval beside which it bends."""
BENDS = 16  # intervals that are parted at most, those of the sharpest bends
BEYOND = 10.0  # factor by which a cost may lie beyond what was told
ROUNDING = 1e-9  # of a curve's extent: a bend of less is none


@dataclass(frozen=True)
class ScoreCurve:
    """The score's change with one metric: a line from knot to knot (k,), beyond them as the outermost ones go.

    Attributes:
        gains: (k,) by how much the score is above the best trial's; NaN where it cannot be computed.
        is_bent: whether it is no straight line.
    """

    knots: np.ndarray
    gains: np.ndarray
    is_bent: bool

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """The gains, of any shape, at these values of the metric."""
        left = np.clip(np.searchsorted(self.knots, values) - 1, 0, len(self.knots) - 2)
        slopes = np.diff(self.gains) / np.diff(self.knots)
        return np.asarray(self.gains[left] + slopes[left] * (values - self.knots[left]))


def score_curves(
    problem: Problem, best: Evaluation, told: Sequence[Mapping[str, MetricValue]]
) -> dict[str, ScoreCurve]:
    """The curves of the metrics that the score changes with, in the order of the best trial's metrics."""
    found: dict[str, ScoreCurve] = {}
    for name in best.metrics:
        values = np.array([metrics[name].value for metrics in told if name in metrics])
        along = _Along(problem, best, name)
        coarse = _spread(name, values, COARSE)
        if np.ptp(np.nan_to_num(along(coarse))) > 0:
            found[name] = along.curve(np.union1d(_spread(name, values, KNOTS), best.metrics[name].value))
    return found


def bent(curves: Mapping[str, ScoreCurve], among: Collection[str]) -> bool:
    """Whether the score is no straight line in one of these metrics."""
    return any(curve.is_bent for name, curve in curves.items() if name in among)


def _spread(name: str, told: np.ndarray, count: int) -> np.ndarray:
    """(count,) values of the metric, evenly spread on its scale, from below the least told to above the greatest."""
    low, high = float(told.min()), float(told.max())
    scale = OutcomeTransform.of(name, told)
    if scale is OutcomeTransform.LOGIT:
        return np.linspace(0.0, 1.0, count)
    if scale is OutcomeTransform.LOG:
        return np.geomspace(low / BEYOND, high * BEYOND, count)
    extent = high - low or abs(high) or 1.0
    return np.linspace(min(low - extent, 0.0) if low < 0 else 0.0, high + extent, count)


@dataclass(frozen=True)
class _Along:
    """The score with one metric moved, above the score at the best trial."""

    problem: Problem
    best: Evaluation
    name: str

    def __call__(self, values: np.ndarray) -> np.ndarray:
        at_best = self.problem.unbounded_score(self.best)
        return np.array([self._score(float(value)) - at_best for value in values])

    def _score(self, value: float) -> float:
        moved = {**self.best.metrics, self.name: MetricValue(value, self.best.metrics[self.name].sem)}
        try:
            return self.problem.unbounded_score(replace(self.best, metrics=moved))
        except ValueError:  # a network of this value would have failed
            return float("nan")

    def curve(self, knots: np.ndarray) -> ScoreCurve:
        """The curve through these knots, and through finer ones beside its sharpest bends."""
        gains = self(knots)
        bends = np.abs(np.diff(np.diff(gains) / np.diff(knots)) * np.diff(knots)[1:])
        sharp = np.flatnonzero(np.nan_to_num(bends) > ROUNDING * np.ptp(gains[np.isfinite(gains)]))
        sharpest = sharp[np.argsort(-bends[sharp], kind="stable")[: BENDS // 2]]
        finer = [np.linspace(knots[i], knots[i + 2], 2 * FINER + 1) for i in sharpest]
        added = np.setdiff1d(np.concatenate(finer), knots) if finer else np.empty(0)
        order = np.argsort(np.append(knots, added), kind="stable")
        return ScoreCurve(np.append(knots, added)[order], np.append(gains, self(added))[order], bool(len(sharp)))
