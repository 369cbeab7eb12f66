"""What the ledger says of finalists: which trial's network each is of, and how far it was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moco.trial import FINALIST, Suggestion, Trial, TrialState

STEPS = "steps"
"""Key of a finalist's details: steps that were made in all its rounds, fewer than asked where the machine was slow."""
FIRST_ID = -1_000_000
"""Ids of their suggestions go down from here: those of starts never come as far."""


@dataclass(frozen=True)
class Finalist:
    """One network after a round."""

    trial: Trial  # after this round; failed where the training diverged
    of: int  # number of the trial whose network was trained
    round: int  # from 0 on
    steps: int  # of all its rounds together
    processor_s: float  # that this round's training took


def finalists(trials: Sequence[Trial]) -> list[Finalist]:
    """The finalists among the trials of a ledger, in their order."""
    return [_finalist(trial) for trial in trials if trial.suggestion.finalist]


def of_round(trials: Sequence[Trial], number: int) -> list[Finalist]:
    """Those of one round."""
    return [one for one in finalists(trials) if one.round == number]


def asked(base: Trial, round_number: int, steps: int, place: int) -> Suggestion:
    """The suggestion of a finalist's trial; `place` counts the finalists of a search from 0 on."""
    notes = {FINALIST: {"of": base.number, "round": round_number, "steps": steps}}
    return Suggestion(FIRST_ID - place, base.point, notes)


def _finalist(trial: Trial) -> Finalist:
    said: Mapping[str, Any] = trial.suggestion.notes[FINALIST]
    seconds = 0.0 if trial.evaluation is None else float(trial.evaluation.seconds.get("train", 0.0))
    made = said[STEPS] if trial.evaluation is None else trial.evaluation.details.get(STEPS, said[STEPS])
    return Finalist(trial, int(said["of"]), int(said["round"]), int(made), seconds)


def completed(found: Sequence[Finalist]) -> list[Finalist]:
    """Those whose training went well."""
    return [one for one in found if one.trial.state is TrialState.COMPLETE]
