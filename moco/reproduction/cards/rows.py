"""Rows of cards: what a policy's network is, on images that no search has seen, with every metric measured here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.stats import beta

from moco.compression.policy_settings import NEUTRAL
from moco.evaluation.accuracy import Correct
from moco.metrics import METRICS
from moco.policy import Policy
from moco.reproduction.lab import Lab
from moco.reproduction.raw import RawRow, Reading
from moco.trial import Trial, TrialState

NO_COUNTER = "no power counter on this machine"
RATIOS = {"latency_ratio": "latency_ms", "size_ratio": "size_mb", "parameters_ratio": "parameters"}
RATIOS |= {"macs_ratio": "macs", "bops_ratio": "bops", "throughput_ratio": "throughput_ips", "init_ratio": "init_s"}
"""Columns that are a metric over the reference's."""
TWELVE = (
    *("top1_error", "top5_error", "parameters", "size_mb", "flops", "flop_per_s", "throughput_ips", "latency_ms"),
    *("load_ms", "init_s", "energy_j", "power_w"),
)
"""The thesis's twelve metrics (S1.01 to S1.12)."""
Z95 = 1.959964


def described(lab: Lab, name: str, policy: Policy | None, columns: Sequence[str], **facts: str) -> RawRow:
    """The row of a policy's network, None the reference's, with these columns; what they lack is told as absent."""
    found = lab.profile(policy)
    values = {**found, **ratios(lab, found), **accuracies(lab, policy)}
    values["search_top1_error"] = found["top1_error"]
    return row_of(lab, name, values, columns, **facts)


def row_of(lab: Lab, name: str, values: Mapping[str, Reading], columns: Sequence[str], **facts: str) -> RawRow:
    """A row with those of the values that the card has columns for."""
    absent = {column: _why(lab, column) for column in columns if column not in values}
    kept = {column: values[column] for column in columns if column in values}
    return RawRow(name=name, network=lab.subject.name, values=kept, absent=absent, **facts)


def with_values(row: RawRow, columns: Sequence[str], **values: float | None) -> RawRow:
    """The row with further values, those of the card's columns; None is absent."""
    kept = {name: Reading(value=value) for name, value in values.items() if name in columns and value is not None}
    lacking = {name: reason for name, reason in row.absent.items() if name not in kept}
    return replace(row, values={**row.values, **kept}, absent=lacking)


def with_reading(row: RawRow, column: str, reading: Reading) -> RawRow:
    """The row with one more value, with its interval."""
    lacking = {name: reason for name, reason in row.absent.items() if name != column}
    return replace(row, values={**row.values, column: reading}, absent=lacking)


def accuracies(lab: Lab, policy: Policy | None) -> dict[str, Reading]:
    """Errors on the certification split, and the change of top-1 against the reference in points, with intervals."""
    return accuracies_of(lab, lab.fresh(policy or NEUTRAL))


def accuracies_of(lab: Lab, fresh: Correct) -> dict[str, Reading]:
    """The same of a network by which certification images it has right."""
    reference = lab.fresh_reference
    lost, gained = int(np.sum(reference.top1 & ~fresh.top1)), int(np.sum(fresh.top1 & ~reference.top1))
    n = len(fresh.top1)
    change = (gained - lost) / n
    sem = float(np.sqrt(max((lost + gained) / n - change**2, 0.0) / n))
    return {
        "top1_error": share(int(np.sum(~fresh.top1)), n),
        "top5_error": share(int(np.sum(~fresh.top5)), n),
        "top1_change_pp": Reading(value=100 * change, low=100 * (change - Z95 * sem), high=100 * (change + Z95 * sem)),
    }


def share(wrong: int, n: int) -> Reading:
    """A share of images with Clopper and Pearson's exact 95 % interval."""
    low = 0.0 if wrong == 0 else float(beta.ppf(0.025, wrong, n - wrong + 1))
    high = 1.0 if wrong == n else float(beta.ppf(0.975, wrong + 1, n - wrong))
    return Reading(value=wrong / n, low=low, high=high)


def fresh_gap(lab: Lab, trial: Trial) -> float:
    """By how much the search split says a trial's accuracy too high, in points, by images that no search has seen."""
    assert trial.policy is not None
    assert trial.evaluation is not None
    seen = 1 - trial.evaluation.metrics["top1_error"].value
    expected = 1 - lab.reference["top1_error"]
    fresh: Correct = lab.fresh(trial.policy)
    return 100 * ((seen - expected) - (fresh.accuracy - lab.fresh_reference.accuracy))


def complete(trials: Sequence[Trial]) -> list[Trial]:
    """The trials that were evaluated."""
    return [trial for trial in trials if trial.state is TrialState.COMPLETE]


def ratios(lab: Lab, found: Mapping[str, Reading]) -> dict[str, Reading]:
    """The columns of RATIOS whose metrics were found."""
    made = {}
    for column, name in RATIOS.items():
        if name in found and (reference := lab.reference.get(name)):
            one = found[name]
            ends = [None if end is None else end / reference for end in (one.low, one.high)]
            made[column] = Reading(value=one.value / reference, low=ends[0], high=ends[1])
    return made


def _why(lab: Lab, column: str) -> str:
    if column in lab.unmeasured:
        return lab.unmeasured[column]
    if column in {"energy_j", "power_w"}:
        return NO_COUNTER
    return "not measured here" if column in METRICS else "not of this row"
