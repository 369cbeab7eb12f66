"""The chosen network beside the reference and the baselines, as rows that page, console and card print alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from moco.metrics import COST, ERRORS, interval
from moco.report.formatting import ordered, ratio
from moco.report.verdict import chosen_metrics, is_feasible
from moco.run_folder.reading import numbers
from moco.run_folder.result import Result
from moco.run_folder.trial_record import Baseline, TrialRecord


@dataclass(frozen=True)
class Row:
    """One network of the comparison.

    Attributes:
        trial: its number in the ledger; None where it is not one (the reference, when no trial evaluated it).
        feasible: None for the reference, which is not judged.
        metrics: in stored units.
        ratios: value / reference by metric.
        intervals: 95 % interval by metric, in stored units.
    """

    name: str
    trial: int | None
    feasible: bool | None
    metrics: Mapping[str, float]
    ratios: Mapping[str, float | None] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def compare(result: Result, trials: Sequence[TrialRecord] = ()) -> list[Row]:
    """The chosen network, the reference, then the baselines; without a chosen network the rest."""
    reference, best, baselines = numbers(result.reference), result.best, _baselines(result)
    if any(COST in entry.metrics for entry in ([] if best is None else [best]) + baselines):
        reference.setdefault(COST, 1.0)
    by_number = {trial.number: trial for trial in trials}
    rows = [Row("reference", None, None, reference)]
    if best is not None:
        metrics = chosen_metrics(result)
        name = "chosen" if is_feasible(result) else "best effort"
        ratios = _ratios(metrics, reference)
        rows.insert(0, Row(name, best.trial, is_feasible(result), metrics, ratios, _chosen_intervals(result)))
    for entry in baselines:
        metrics = numbers(entry.metrics)
        intervals = _trial_intervals(None if entry.trial is None else by_number.get(entry.trial), metrics)
        rows.append(Row(entry.name, entry.trial, entry.feasible, metrics, _ratios(metrics, reference), intervals))
    return rows


def compared_metrics(rows: Sequence[Row]) -> list[str]:
    """The metrics that any of the rows has, what matters most first."""
    return ordered(name for row in rows for name in row.metrics)


def _baselines(result: Result) -> list[Baseline]:
    return [entry for entry in result.baselines if entry.name != "reference"]


def _ratios(metrics: Mapping[str, float], reference: Mapping[str, float]) -> dict[str, float | None]:
    # the ratio of two accuracies or of a cost, which is a ratio already, says nothing
    plain = [name for name in metrics if name not in {*ERRORS, COST}]
    return {name: ratio(metrics[name], reference.get(name)) for name in plain}


def _chosen_intervals(result: Result) -> dict[str, tuple[float, float]]:
    known = [(name, ends) for name, ends in result.intervals.items() if ends is not None]
    intervals = {name: (low, high) for name, (low, high) in known if low is not None and high is not None}
    return intervals | {name: (entry.low, entry.high) for name, entry in result.retimed.items() if entry is not None}


def _trial_intervals(trial: TrialRecord | None, metrics: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    if trial is None:
        return {}
    sems = {name: sem for name, sem in trial.sems.items() if name in metrics and sem > 0}
    return {name: interval(name, metrics[name], sem) for name, sem in sems.items()}
