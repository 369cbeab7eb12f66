"""What the ledger says of finalists: which trial's network each is of, and how far it was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moco.trial import FINALIST, Point, Suggestion, Trial, TrialState

BITS_OF = "bits_of"
"""Key of a suggestion's note: the number of the finalist whose weights are the same, in other bits."""
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
    bits_of: int | None = None  # number of the trial whose trained weights it has, in other bits; None where trained


def finalists(trials: Sequence[Trial]) -> list[Finalist]:
    """The finalists among the trials of a ledger that were trained, in their order."""
    return [one for one in files_of_finalists(trials) if one.bits_of is None]


def files_of_finalists(trials: Sequence[Trial]) -> list[Finalist]:
    """All finalists among the trials of a ledger, also those that are others in other bits, in their order."""
    return [_finalist(trial) for trial in trials if trial.suggestion.finalist]


def of_round(trials: Sequence[Trial], number: int) -> list[Finalist]:
    """Those of one round."""
    return [one for one in finalists(trials) if one.round == number]


def asked(base: Trial, round_number: int, steps: int, place: int) -> Suggestion:
    """The suggestion of a finalist's trial; `place` counts the finalists of a search from 0 on."""
    notes = {FINALIST: {"of": base.number, "round": round_number, "steps": steps}}
    return Suggestion(FIRST_ID - place, base.point, notes)


def asked_in_bits(trained: Finalist, point: Point, place: int) -> Suggestion:
    """The suggestion of a trained finalist in other bits, those of the point; `place` as `asked`."""
    said = {**trained.trial.suggestion.notes[FINALIST], BITS_OF: trained.trial.number, STEPS: trained.steps}
    return Suggestion(FIRST_ID - place, point, {FINALIST: said})


def _finalist(trial: Trial) -> Finalist:
    said: Mapping[str, Any] = trial.suggestion.notes[FINALIST]
    seconds = 0.0 if trial.evaluation is None else float(trial.evaluation.seconds.get("train", 0.0))
    made = said[STEPS] if trial.evaluation is None else trial.evaluation.details.get(STEPS, said[STEPS])
    bits_of = None if said.get(BITS_OF) is None else int(said[BITS_OF])
    return Finalist(trial, int(said["of"]), int(said["round"]), int(made), seconds, bits_of)


def completed(found: Sequence[Finalist]) -> list[Finalist]:
    """Those whose training went well."""
    return [one for one in found if one.trial.state is TrialState.COMPLETE]
