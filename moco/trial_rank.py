"""Which of a search's trials is the better one, and which the best."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from moco.trial import Trial, TrialState


def rank(trial: Trial) -> tuple[bool, float]:
    """Orders complete trials, the best last: feasibility first, then the score, or the total violation (W13)."""
    assert trial.outcome is not None
    assert trial.score is not None
    return rank_of(trial.feasible, trial.score, trial.outcome.violations)


def rank_of(feasible: bool, score: float, violations: Sequence[float]) -> tuple[bool, float]:
    """Likewise, by what is known of a complete trial."""
    return feasible, score if feasible else -sum(max(violation, 0.0) for violation in violations)


def best(trials: Iterable[Trial]) -> Trial | None:
    """The best complete trial; of equals the earlier one. Infeasible only where none is feasible."""
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    return max(complete, key=lambda trial: (rank(trial), -trial.number), default=None)
