"""Rewards of a sequential agent: the problem's score on a fixed scale, and what misses a bound below all that meets it.

score, larger is better, is what the agents optimise, also where a problem has several losses. With the mean m and the
standard deviation d of the first feasible scores, which are kept from then on (W22):

    feasible             max((score - m) / d, -LIMIT)
    infeasible, graded   -LIMIT - min(total violation / TOTAL, 1) LIMIT         feasibility first (W13)
    infeasible, flat     (-50 - m) / d                                          the cliff of S1.21

Scores in other units give the same rewards. A rejected policy earns the least of graded rewards; from a failed trial
nothing is learned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from moco.trial import Trial, TrialState

GRADED, FLAT = "graded", "flat"

FIRST = 5
"""Feasible trials that fix the scale: fewer give a poor standard deviation, more would wait for long."""

LIMIT = 3.0
"""Standard deviations below the mean at which feasible rewards end and infeasible ones begin."""

TOTAL = 1.0
"""Total violation, each relative to its bound, from which on the reward does not fall any further."""

FLAT_PENALTY = -50.0


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of the scores that fix it."""

    mean: float
    deviation: float


def scale_of(trials: Sequence[Trial], startup: int) -> Scale | None:
    """The scale that a search fixes: by the feasible ones among its first `startup` trials, or by the first `FIRST`.

    None while there are fewer than `FIRST`: until then all that is known is feasibility.
    """
    scores = [trial.score for trial in trials if trial.feasible and trial.score is not None]
    early = [t.score for t in trials[:startup] if t.feasible and t.score is not None]
    scores = early if len(early) >= FIRST else scores[:FIRST]
    if len(trials) < startup or len(scores) < FIRST:
        return None
    return Scale(fmean(scores), pstdev(scores) or 1.0)


def reward(trial: Trial, scale: Scale | None, penalty: str = GRADED) -> float:
    """The reward of a complete or rejected trial; of a feasible one 0 while there is no scale."""
    mean, deviation = (0.0, 1.0) if scale is None else (scale.mean, scale.deviation)
    if trial.feasible and trial.score is not None:
        return 0.0 if scale is None else max((trial.score - mean) / deviation, -LIMIT)
    if penalty == FLAT:
        return (FLAT_PENALTY - mean) / deviation
    if trial.state is TrialState.REJECTED or trial.outcome is None:
        return -2 * LIMIT
    missed = math.fsum(max(violation, 0.0) for violation in trial.outcome.violations)
    return -LIMIT - LIMIT * min(missed / TOTAL, 1.0)


def teaches(trial: Trial) -> bool:
    """Whether there is something to learn from a trial: it was built, or cannot be."""
    return trial.policy is not None and trial.state is not TrialState.FAILED
