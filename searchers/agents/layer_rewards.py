"""Rewards of a sequential agent: the problem's score, and what misses a bound below all that meets it (W13).

score, larger is better, is what the agents optimise, also where a problem has several losses.

*Ranks*: the trials that are learned from are ordered, rejected ones first, then infeasible ones by how far they miss
their bounds, then feasible ones by score; the r-th of n earns the normal quantile of (r - 1/2) / n. However skewed the
scores are, and as good as they become, half of the rewards lie above 0.

*Graded* and *flat*: with the mean m and the standard deviation d of the first feasible scores, kept from then on (W22):

    feasible             max((score - m) / d, -LIMIT)
    infeasible, graded   -LIMIT - min(total violation / TOTAL, 1) LIMIT
    infeasible, flat     (-50 - m) / d                                          the cliff of S1.21

*Score*: the problem's score as it is, whatever bounds it misses, as where the published reward has its own penalty; a
rejected policy earns the least of those that are learned from.

On ranks and on a fixed scale, scores in other units give the same rewards. A rejected policy earns the least of graded
rewards; from a failed trial nothing is learned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from moco.trial import Outcome, Trial, TrialState

RANKS, GRADED, FLAT, SCORE = "ranks", "graded", "flat", "score"

FIRST = 5  # feasible trials that fix the scale: fewer give a poor standard deviation, more would wait for long
LIMIT = 3.0  # standard deviations below the mean at which feasible rewards end and infeasible ones begin
TOTAL = 1.0  # total violation, each relative to its bound, from which on the reward does not fall any further
FLAT_PENALTY = -50.0


@dataclass(frozen=True)
class RewardScale:
    """Mean and standard deviation of the scores that fix it."""

    mean: float
    deviation: float


def scale_of(trials: Sequence[Trial], startup: int) -> RewardScale | None:
    """The scale that a search fixes: by the feasible ones among its first `startup` trials, or by the first `FIRST`.

    None while there are fewer than `FIRST`: until then all that is known is feasibility.
    """
    scores = [trial.score for trial in trials if trial.feasible and trial.score is not None]
    early = [t.score for t in trials[:startup] if t.feasible and t.score is not None]
    scores = early if len(early) >= FIRST else scores[:FIRST]
    if len(trials) < startup or len(scores) < FIRST:
        return None
    return RewardScale(fmean(scores), pstdev(scores) or 1.0)


def rewards(trials: Sequence[Trial], scale: RewardScale | None, kind: str) -> np.ndarray:
    """(n,) of complete or rejected trials: `ranks` among them, their `score`, or `graded` or `flat` on the scale."""
    if kind == SCORE:
        least = min((trial.score for trial in trials if trial.score is not None), default=0.0)
        return np.array([least if trial.score is None else trial.score for trial in trials])
    return ranked(trials) if kind == RANKS else np.array([reward(trial, scale, kind) for trial in trials])


def ranked(trials: Sequence[Trial]) -> np.ndarray:
    """(n,) normal quantiles of the trials' ranks; equals share theirs."""
    keys = [_place(trial) for trial in trials]
    order = {key: place for place, key in enumerate(sorted(set(keys)))}
    return np.asarray(ndtri((rankdata([order[key] for key in keys]) - 0.5) / len(keys)))


def _place(trial: Trial) -> tuple[int, float]:
    """Orders trials, the best last."""
    if trial.state is TrialState.REJECTED or trial.outcome is None:
        return 0, 0.0
    if trial.feasible and trial.score is not None:
        return 2, trial.score
    return 1, -_missed(trial.outcome)


def reward(trial: Trial, scale: RewardScale | None, kind: str = GRADED) -> float:
    """The reward of a complete or rejected trial on a scale; of a feasible one 0 while there is none."""
    mean, deviation = (0.0, 1.0) if scale is None else (scale.mean, scale.deviation)
    if trial.feasible and trial.score is not None:
        return 0.0 if scale is None else max((trial.score - mean) / deviation, -LIMIT)
    if kind == FLAT:
        return (FLAT_PENALTY - mean) / deviation
    if trial.state is TrialState.REJECTED or trial.outcome is None:
        return -2 * LIMIT
    return -LIMIT - LIMIT * min(_missed(trial.outcome) / TOTAL, 1.0)


def _missed(outcome: Outcome) -> float:
    return math.fsum(max(violation, 0.0) for violation in outcome.violations)


def teaches(trial: Trial) -> bool:
    """Whether there is something to learn from a trial: it was built, or cannot be."""
    return trial.policy is not None and trial.state is not TrialState.FAILED
