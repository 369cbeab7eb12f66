"""A protocol's score as a function of each metric that it reads, the others as at the best trial so far.

Published scores are sums of such functions: an accuracy, less what a cost is, or what it is off a target. Some are
bent: `galen` falls on both sides of its target, `hybrid` above it alone. So the score is computed at knots from the
lowest to the highest value that a candidate may have, and at finer ones where it bends. Of scores that are no sums the
interplay of metrics is left out.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from moco.problem import Problem
from moco.searchers.models.outcome_transforms import OutcomeTransform
from moco.trial import Evaluation, MetricValue

COARSE, KNOTS, FINER = 17, 257, 16
"""Knots that tell whether a metric matters, knots of one that does, and parts of an interval beside which it bends."""
BENDS = 8  # bends that are looked at so closely at most, the sharpest
BEYOND = 10.0  # factor by which a cost may lie beyond what was told
ROUNDING = 1e-9  # of a curve's extent: a bend of less is none


@dataclass(frozen=True)
class ScoreCurve:
    """The score's change with one metric: a line from knot to knot, beyond the outermost as they go.

    Attributes:
        knots: (k,) values of the metric, k >= 2, rising.
        gains: (k,) by how much the score is above the best trial's.
        is_bent: whether it is no straight line.
    """

    knots: np.ndarray
    gains: np.ndarray
    is_bent: bool

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """The gains, of any shape, at these values of the metric."""
        return _continued(values, self.knots, self.gains)


def score_curves(
    problem: Problem, best: Evaluation, told: Sequence[Mapping[str, MetricValue]]
) -> dict[str, ScoreCurve]:
    """The curves of the metrics that the score changes with, in the order of the best trial's metrics."""
    found: dict[str, ScoreCurve] = {}
    for name, at_best in best.metrics.items():
        values = np.array([metrics[name].value for metrics in told if name in metrics])
        if not np.isfinite(values).all():  # nothing that is judged
            continue
        along = _Along(problem, best, name)
        coarse, knots = (_with(_spread(name, values, count), at_best.value) for count in (COARSE, KNOTS))
        if np.ptp(along(coarse)) > 0:
            found[name] = along.curve(knots)
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


def _with(knots: np.ndarray, value: float) -> np.ndarray:
    """The knots and this value, in its place; one that differs by rounding alone would make a slope of noise."""
    return np.sort(np.append(knots[~np.isclose(knots, value, rtol=ROUNDING, atol=0.0)], value))


@dataclass(frozen=True)
class _Along:
    """The score with one metric moved, above the score at the best trial."""

    problem: Problem
    best: Evaluation
    name: str

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """The gains (k,) at rising values (k,), of which one is the best trial's.

        Where there is no score, or it falls as a bound is missed, the curve goes on as it came: bounds are kept by
        themselves, and a fall may lie anywhere between two knots.
        """
        at_best = self.problem.unbounded_score(self.best)
        gains = np.array([self._score(float(value)) - at_best for value in values])
        there = np.isfinite(gains)
        return _continued(values, values[there], gains[there])

    def _score(self, value: float) -> float:
        moved = {**self.best.metrics, self.name: MetricValue(value, self.best.metrics[self.name].sem)}
        evaluation, falls = replace(self.best, metrics=moved), self.problem.unbounded_scorer is None
        try:
            if falls and self.problem.bounds and not self.problem.judge(evaluation).feasible:
                return math.nan
            return self.problem.unbounded_score(evaluation)
        except ValueError:  # a network of this value would have failed
            return math.nan

    def curve(self, knots: np.ndarray) -> ScoreCurve:
        """The curve through these knots, and through finer ones beside its sharpest bends."""
        gains = self(knots)
        bends = np.abs(np.diff(np.diff(gains) / np.diff(knots)) * np.diff(knots)[1:])
        sharp = np.flatnonzero(bends > ROUNDING * np.ptp(gains))
        sharpest = sharp[np.argsort(-bends[sharp], kind="stable")[:BENDS]]
        finer = [np.linspace(knots[i], knots[i + 2], 2 * FINER + 1) for i in sharpest]
        every = np.unique(np.concatenate([knots, *finer]))
        return ScoreCurve(every, self(every) if finer else gains, bool(len(sharp)))


def _continued(at: np.ndarray, values: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """The line through these points (k,) at other values, beyond the outermost points as it goes there."""
    if len(values) == 1:
        return np.full(at.shape, gains[0])
    left = np.clip(np.searchsorted(values, at) - 1, 0, len(values) - 2)
    slopes = np.diff(gains) / np.diff(values)
    return np.asarray(gains[left] + slopes[left] * (at - values[left]))
