"""What a trial costs in a comparison of searchers, in seconds of wall-clock.

Searches that are compared share their evaluations, so the second one to ask for a policy gets its numbers at once. It
is charged what the evaluation took when it was first made: a curve against time then shows what the search would have
taken alone, whatever ran before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from moco.trial import FIRST_MADE, Trial

SUGGESTING = "search"
"""The stage of `Evaluation.seconds` in which the study notes an ask and the tell before it."""

_NOT_EVALUATING = frozenset({SUGGESTING, "record", "tracking"})
"""Stages of the study, which differ from search to search and are no part of the evaluation."""


def suggestion_s(trial: Trial) -> float | None:
    """Seconds of the ask, with the tell before it; None where none were noted: the trial failed or was rejected."""
    return None if trial.evaluation is None else trial.evaluation.seconds.get(SUGGESTING)


def evaluation_s(trial: Trial) -> float:
    """Seconds that the trial's evaluation took when it was first made, in this search or in another one.

    0 for a policy that this search had evaluated before: the study itself answers it (W21). A trial without an
    evaluation took what it took: what cannot be built is in no store, and each search finds it out for itself.
    """
    if trial.evaluation is None:
        return trial.seconds
    if not trial.distinct:
        return 0.0
    first = trial.evaluation.details.get(FIRST_MADE)
    return _evaluating(first if first is not None else trial.evaluation.seconds)


def charged_s(trial: Trial) -> float:
    """Seconds that the trial is charged: its suggestion and its evaluation as first made; 0 for a given start."""
    return 0.0 if trial.suggestion.given else (suggestion_s(trial) or 0.0) + evaluation_s(trial)


def counted(trials: Iterable[Trial]) -> list[Trial]:
    """The trials that count in a budget: all but given starts."""
    return [trial for trial in trials if not trial.suggestion.given]


def is_stored(trial: Trial) -> bool:
    """Whether the trial's evaluation came out of a store: another search had made it."""
    return trial.distinct and trial.evaluation is not None and FIRST_MADE in trial.evaluation.details


def _evaluating(seconds: Mapping[str, float]) -> float:
    return sum(spent for stage, spent in seconds.items() if stage not in _NOT_EVALUATING)
