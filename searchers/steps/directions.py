"""In which direction parameters compress, where nobody told: what the two ends of a space show.

On a space of numbers where a top-1 or top-5 error is minimised or bounded, the policy of all lower bounds and that of
all upper bounds come first. Where one errs more and gives less of another loss, that is compression: all parameters are
taken to compress towards that end. Where one end is better in everything, nothing is learned.
"""

from __future__ import annotations

from dataclasses import replace

from optuna.distributions import CategoricalDistribution

from moco.declared_layers import FALLING, RISING
from moco.metrics import ERRORS, Direction
from moco.problem import Problem
from moco.searchers.shared.trial_history import TrialHistory
from moco.trial import Point, Trial


def ends(problem: Problem) -> list[Point]:
    """All lower and all upper bounds; none where directions are known, or where nothing could be learned from them."""
    space = problem.space
    choices = any(isinstance(d, CategoricalDistribution) for d in space.distributions.values())
    if space.neutral or space.codec is not None or choices or _error_of(problem) is None or len(problem.objectives) < 2:
        return []
    return [{n: getattr(d, bound) for n, d in space.distributions.items()} for bound in ("low", "high")]


def with_directions(problem: Problem, told: TrialHistory) -> Problem | None:
    """The problem with the directions that its ends show; None where they are not told yet, or show none."""
    found = [told.complete(problem.space.canonical(point)) for point in ends(problem)]
    low, high = found if len(found) == 2 else (None, None)
    if low is None or high is None:
        return None
    for light, heavy, way in ((low, high, RISING), (high, low, FALLING)):
        if _errs_more(problem, heavy, light) and _saves(problem, heavy, light):
            return replace(problem, monotone=dict.fromkeys(problem.space.distributions, way))
    return None


def _error_of(problem: Problem) -> str | None:
    """The error among what is minimised, else among what is bounded."""
    small = [name for name, way in problem.objectives.items() if way == Direction.MINIMIZE]
    return next((name for name in (*small, *(bound.metric for bound in problem.bounds)) if name in ERRORS), None)


def _errs_more(problem: Problem, one: Trial, other: Trial) -> bool:
    name = _error_of(problem)
    assert name is not None
    assert one.evaluation is not None
    assert other.evaluation is not None
    return problem.metrics(one.evaluation)[name].value > problem.metrics(other.evaluation)[name].value


def _saves(problem: Problem, one: Trial, other: Trial) -> bool:
    """Whether it has less of every loss that is no error."""
    assert one.outcome is not None
    assert other.outcome is not None
    pairs = zip(problem.objectives, one.outcome.losses, other.outcome.losses, strict=True)
    return all(a < b for name, a, b in pairs if name not in ERRORS)
