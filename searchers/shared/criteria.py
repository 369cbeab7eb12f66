"""What a searcher minimises: all losses of the problem, or the one scalar that orders its trials."""

from __future__ import annotations

from dataclasses import replace

from moco.problem import Problem
from moco.searchers.shared.option_checks import one_of
from moco.trial import Outcome, Trial, TrialState

LOSSES, SCORE = "losses", "score"


def check(optimise: str) -> None:
    """Refuse what is neither, by a ConfigError."""
    one_of("optimise", optimise, (LOSSES, SCORE))


def n_losses(problem: Problem, optimise: str) -> int:
    """How many numbers are minimised."""
    return 1 if optimise == SCORE else len(problem.objectives)


def outcome(problem: Problem, trial: Trial, optimise: str) -> Outcome | None:
    """The outcome of a complete trial, its losses being what is minimised; None for any other trial.

    The score is taken as if the bounds were met (`Problem.unbounded_score`): whether they are stands in the violations.
    """
    if trial.state is not TrialState.COMPLETE or trial.outcome is None:
        return None
    if optimise == LOSSES:
        return trial.outcome
    assert trial.evaluation is not None, "a complete trial has an evaluation"
    score, sem = problem.unbounded_score(trial.evaluation), problem.score_sem(trial.evaluation)
    return replace(trial.outcome, losses=(-score,), loss_sems=(sem,))
