"""The chosen network beside the reference and the baselines, as rows that page, console and card print alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from moco.metrics import interval
from moco.report.formatting import ordered, ratio
from moco.report.verdict import chosen_metrics, is_feasible
from moco.run_folder.reading import TrialRecord, numbers


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


def compare(result: Mapping[str, Any], trials: Sequence[TrialRecord] = ()) -> list[Row]:
    """The chosen network, the reference, then the baselines; without a chosen network the rest."""
    reference = numbers(result["reference"])
    if any("cost" in numbers(entry.get("metrics")) for entry in (result.get("best") or {}, *_baselines(result))):
        reference.setdefault("cost", 1.0)
    by_number = {trial.number: trial for trial in trials}
    rows = [Row("reference", None, None, reference)]
    best = result.get("best")
    if best is not None:
        metrics = chosen_metrics(result)
        name = "chosen" if is_feasible(result) else "best effort"
        ratios = _ratios(metrics, reference)
        rows.insert(0, Row(name, best.get("trial"), is_feasible(result), metrics, ratios, _chosen_intervals(result)))
    for entry in _baselines(result):
        metrics = numbers(entry.get("metrics"))
        intervals = _trial_intervals(by_number.get(entry.get("trial", -1)), metrics)
        ratios = _ratios(metrics, reference)
        rows.append(Row(str(entry["name"]), entry.get("trial"), entry.get("feasible"), metrics, ratios, intervals))
    return rows


def compared_metrics(rows: Sequence[Row]) -> list[str]:
    """The metrics that any of the rows has, what matters most first."""
    return ordered(name for row in rows for name in row.metrics)


def _baselines(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [entry for entry in result.get("baselines") or [] if entry["name"] != "reference"]


def _ratios(metrics: Mapping[str, float], reference: Mapping[str, float]) -> dict[str, float | None]:
    # the ratio of two accuracies or of a cost, which is a ratio already, says nothing
    plain = [name for name in metrics if name not in {"top1_error", "top5_error", "cost"}]
    return {name: ratio(metrics[name], reference.get(name)) for name in plain}


def _chosen_intervals(result: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    intervals = {name: (ends[0], ends[1]) for name, ends in (result.get("intervals") or {}).items() if ends}
    for name, entry in (result.get("retimed") or {}).items():
        if entry and entry.get("low") is not None and entry.get("high") is not None:
            intervals[name] = (entry["low"], entry["high"])
    return {name: ends for name, ends in intervals.items() if None not in ends}


def _trial_intervals(trial: TrialRecord | None, metrics: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    if trial is None:
        return {}
    sems = {name: sem for name, sem in trial.sems.items() if name in metrics and sem > 0}
    return {name: interval(name, metrics[name], sem) for name, sem in sems.items()}
