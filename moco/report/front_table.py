"""The front for a tracker: a table with a row a network, and a page with its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from moco.metrics import ERRORS
from moco.report.document import document, element, plot, plots
from moco.report.formatting import label, plotted, shown_interval, unit
from moco.report.front import Cloud, front_figure, panels
from moco.report.policy_text import in_short
from moco.report.verdict import Row, compare, compared_metrics
from moco.run_folder.manifest import LayerRecord
from moco.run_folder.reading import RunFolder
from moco.run_folder.result import Result
from moco.run_folder.trial_record import Baseline, TrialRecord, TrialSummary

_DIGITS = 6
REFERENCE = "reference"


def front_table(run: RunFolder) -> list[dict[str, Any]]:
    """A row a network by column: the chosen one, the rest of the front, then the starts and the reference.

    Metrics are in their printed units, errors as accuracies in percent; what is not known of a network is None.
    """
    networks = _Networks(run)
    rows = compare(replace(run.result, baselines=networks.others), run.trials)
    ordered_rows = [row for row in rows if row.name != REFERENCE] + [row for row in rows if row.name == REFERENCE]
    metrics = compared_metrics(rows)
    return [{**networks.identity(row), **_numbers(row, metrics), **networks.evidence(row)} for row in ordered_rows]


def front_page(run: RunFolder) -> str | None:
    """The front against all trials, a figure a cost, as a page; None where no trial has an accuracy and a cost."""
    cloud = Cloud.of(run.result, run.trials)
    names = panels(cloud, run.result.objectives)
    if not names:
        return None
    figures = []
    for name in names:
        first = name == names[0]
        figure = front_figure(cloud, name, 430 if first else 290, first)
        figures.append(plot(f"front-{name}", f"Accuracy against {label(name)}", figure, first))
    title = f"The front of {run.result.experiment}"
    return document(title, element("header", element("h1", title)), element("main", plots(figures)))


class _Networks:
    """What is known of the networks of a result, by trial."""

    def __init__(self, run: RunFolder) -> None:
        self.result, self.layers, self.file = run.result, run.manifest.network.layers, run.file
        self.trials = {trial.number: trial for trial in run.trials}
        self.front = {entry.trial for entry in run.result.front}
        self.others = _but_the_chosen(run.result, self.trials)

    def identity(self, row: Row) -> dict[str, Any]:
        """Role, trial, origin and policy."""
        number = self._number(row)
        trial = None if number is None else self.trials.get(number)
        origin = None if trial is None else trial.origin
        other = "front" if number in self.front else "start"
        role = row.name if row.name in {"chosen", "best effort", REFERENCE} else other
        return {
            "role": role,
            "trial": number,
            "origin": self.result.searcher if origin == "search" else origin,
            "policy": _policy(row, trial, self.result, self.layers),
        }

    def evidence(self, row: Row) -> dict[str, Any]:
        """Whether it is feasible, on the front and certified, and its file in the run folder; None where not tested."""
        number, best = self._number(row), self.result.best
        chosen = best is not None and row.name in {"chosen", "best effort"}
        trial = None if number is None else self.trials.get(number)
        folder = "best" if chosen else f"front/{number}" if number in self.front else None
        sha256 = None if trial is None or trial.evaluation is None else trial.evaluation.artifact_sha256
        if chosen and best is not None:
            sha256 = best.sha256
        feasible = trial.feasible if row.feasible is None and trial is not None else row.feasible
        tested = {"feasible": feasible, "on front": number in self.front, "certified": self._certified(number, chosen)}
        return {**tested, "file": None if folder is None else f"{folder}/{self.file}", "sha256": sha256}

    def _certified(self, number: int | None, chosen: bool) -> bool | None:
        """Whether its top-1 was tested against the floor on unseen images, and held; None where it was not."""
        certificate = self.result.certificate
        if certificate is None or certificate.floor is None:
            return None
        tested = {attempt.trial: attempt.holds for attempt in certificate.attempts}
        return certificate.holds if chosen else tested.get(number)

    def _number(self, row: Row) -> int | None:
        """The row's trial; the reference's where one evaluated it."""
        if row.trial is not None or row.name != REFERENCE:
            return row.trial
        return next((number for number, trial in self.trials.items() if trial.origin == REFERENCE), None)


def _but_the_chosen(result: Result, trials: Mapping[int, TrialRecord]) -> tuple[Baseline, ...]:
    """The rest of the front, then the starts that are not on it, each once."""
    told = set() if result.best is None else {result.best.trial}
    found = []
    for entry in (*result.front, *result.baselines):
        if entry.trial in told:
            continue
        told.add(entry.trial)
        found.append(entry if isinstance(entry, Baseline) else _as_baseline(entry, trials))
    return tuple(found)


def _as_baseline(entry: TrialSummary, trials: Mapping[int, TrialRecord]) -> Baseline:
    trial = None if entry.trial is None else trials.get(entry.trial)
    name = "front" if trial is None else trial.origin
    return Baseline(name=name, feasible=True, trial=entry.trial, policy=entry.policy, metrics=entry.metrics)


def _policy(row: Row, trial: TrialRecord | None, result: Result, layers: Sequence[LayerRecord]) -> str | None:
    if row.name == REFERENCE:
        return "the uncompressed network"
    known = {entry.trial: entry.policy for entry in (*result.front, *result.baselines)}
    if result.best is not None:
        known[result.best.trial] = result.best.policy
    policy = known.get(row.trial) if trial is None or trial.policy is None else trial.policy
    return None if policy is None else in_short(policy, layers)


def _numbers(row: Row, metrics: Sequence[str]) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for name in metrics:
        of = f" ({unit(name)})" if unit(name) else ""
        value, ends = row.metrics.get(name), row.intervals.get(name)
        cells[f"{label(name)}{of}"] = None if value is None else _rounded(plotted(name, value))
        if name in ERRORS or ends is not None:
            cells[f"{label(name)} 95 %"] = None if ends is None else shown_interval(name, *ends)
    return cells


def _rounded(value: float) -> float:
    """A number for a cell: counts whole, others to a few significant digits."""
    number = value if float(value).is_integer() else float(f"{value:.{_DIGITS}g}")
    return int(number) if float(number).is_integer() else number
