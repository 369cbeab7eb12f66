"""Shows a search in MLflow: a parent run for the search, a nested run for each network, the chosen one as a model.

It may raise and may take seconds; the search reaches it through `moco.tracking.background`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from moco.run_folder.manifest import LayerRecord, Manifest
from moco.run_folder.network_file import USUAL, network_file
from moco.run_folder.reading import read_run
from moco.run_folder.result import Result
from moco.secret import Secret
from moco.tracking import mlflow_values as values
from moco.tracking.mlflow_model import ModelTerms, log_model
from moco.tracking.mlflow_parent import ParentRun
from moco.tracking.shown_search import Presenter, ShownSearch
from moco.trial import Trial, TrialState

_FILES = ("experiment.yaml", "manifest.json", "result.json", "trials.csv", "report.html")
_BEST_FILES = ("policy.json", "certificate.json", "card.md")
_FRONT_FILES = ("policy.json",)
_STATUS = {TrialState.COMPLETE: "FINISHED", TrialState.REJECTED: "KILLED", TrialState.FAILED: "FAILED"}
_TRIAL, _FRONT, _CHOSEN = "moco.trial", "moco.front", "moco.chosen"


class MLflowReporter:
    """Writes a search to an MLflow store or server (`moco.interfaces.Reporter`)."""

    def __init__(
        self,
        tracking_uri: str | Secret,
        experiment_name: str,
        run_name: str,
        presenter: Presenter,
        terms: ModelTerms | None = None,
        probe_timeout_s: float = 3.0,
    ) -> None:
        """Nothing is imported, connected or written before `start`; other arguments as for `ParentRun`."""
        self._presenter, self._terms = presenter, terms or ModelTerms()
        self._parent = ParentRun(tracking_uri, experiment_name, run_name, probe_timeout_s)
        self._losses: list[str] = []
        self._layers: tuple[LayerRecord, ...] = ()
        self._searcher = "search"
        self._runs: dict[int, str] = {}  # nested runs by trial
        self._marked: set[tuple[int, str]] = set()  # trials and tags that say what came of them

    def start(self, manifest: Mapping[str, Any], folder: Path) -> None:
        """Open the parent run, or to resume RUN/mlflow.json's again; a ConnectionError where no server answers."""
        begun = Manifest.from_json(manifest)
        self._losses, self._layers = list(begun.problem.objectives), begun.network.layers
        self._searcher = begun.searcher or self._searcher
        ended = self._parent.open(folder, begun)
        self._runs |= {int(tags[_TRIAL]): tags["id"] for tags in ended}
        self._marked |= {(int(t[_TRIAL]), tag) for t in ended for tag in (_FRONT, _CHOSEN) if t.get(tag) == "true"}

    def report(self, trial: Trial) -> None:
        """Write a trial as a nested run.

        One that is there already is left as it is, and a repeated policy, which says nothing new, is left out.
        """
        if trial.number in self._runs or not trial.distinct:
            return
        now = round(time.time() * 1000)
        with self._parent.working():
            began = now - round(trial.seconds * 1000)
            run = self._parent.nested(self._name(trial), began, values.trial_tags(trial))
            self._parent.log(run, values.trial_metrics(trial, self._losses), values.trial_params(trial))
            self._parent.client.set_terminated(run, _STATUS[trial.state], end_time=now)
        self._runs[trial.number] = run

    def finish(self, result: Mapping[str, Any], folder: Path) -> None:
        """Write the result, the front, the files of the run folder and the chosen network, and end the parent run."""
        with self._parent.last():
            self._parent.client.set_terminated(self._parent.id)  # first: whatever fails, no run stays "running"
            run = replace(read_run(folder), result=Result.from_json(result))
            shown = self._presenter.search(run)
            self._write(run.result, shown)
            self._parent.log_table("front.json", shown.front)
            if shown.importance:
                self._parent.log_table("importance.json", shown.importance)
            if shown.figure is not None:
                self._parent.client.log_text(self._parent.id, shown.figure, "front.html")
            for name in _FILES:
                self._parent.log_file(folder / name)
            self._mark(run.result)
            self._write_networks(run.result, folder)

    def abandon(self) -> None:
        """End the parent run as killed; a search that is resumed opens it again."""
        with self._parent.last():
            self._parent.client.set_terminated(self._parent.id, "KILLED")

    def _name(self, trial: Trial) -> str:
        """Number, origin and, where the searcher chose it, the policy."""
        if trial.origin != "search":
            return f"{trial.number} {trial.origin}"
        chosen = trial.state.value
        if trial.policy is not None:
            chosen = self._presenter.policy(trial.policy.settings, self._layers)
        return f"{trial.number} {self._searcher}: {chosen}"

    def _write(self, result: Result, shown: ShownSearch) -> None:
        """Numbers, curves, outcome and description."""
        parent = self._parent
        parent.log(parent.id, metrics=values.as_metrics(shown.metrics))
        for name, curve in shown.curves.items():
            parent.log_steps(parent.id, values.as_key(name), curve)
        statement = None if result.certificate is None else result.certificate.statement
        outcome = {"verdict": shown.verdict, "certified": values.truth(shown.certified), "certificate": statement}
        parent.tag(parent.id, values.as_tags({f"moco.{name}": value for name, value in outcome.items()}))
        parent.describe(shown.description)

    def _mark(self, result: Result) -> None:
        """Tag the nested runs of the front and of the chosen network; those of an earlier delivery lose their tags."""
        marks = {(entry.trial, _FRONT) for entry in result.front if entry.trial is not None}
        if result.best is not None and result.best.trial is not None:
            marks.add((result.best.trial, _CHOSEN))
        for number, tag in sorted(marks ^ self._marked):
            if number in self._runs:
                self._parent.tag(self._runs[number], {tag: values.truth((number, tag) in marks)})
        self._marked = marks

    def _write_networks(self, result: Result, folder: Path) -> None:
        """The chosen network as a model, then the files of best/ and front/."""
        for file in _files(folder / "best", _BEST_FILES):
            self._parent.log_file(file, "best")
        network, best = network_file(folder / "best"), result.best
        if network is not None and network.name == USUAL and best is not None:  # MLflow has no model of other forms
            known = {"experiment": result.experiment, "trial": best.trial, "sha256": best.sha256}
            about = {**(result.description or {}), **known}  # classes, size and normalisation
            log_model(self._parent, network, str(best.sha256), self._terms, about)
        kept = {str(entry.trial) for entry in result.front}
        self._parent.remove_files("front", kept)
        for number in sorted(kept):
            for file in _files(folder / "front" / number, _FRONT_FILES):
                self._parent.log_file(file, f"front/{number}")


def _files(folder: Path, names: Sequence[str]) -> list[Path]:
    """The files of these names in a folder, and its network."""
    network = network_file(folder)
    return [*(folder / name for name in names), *([] if network is None else [network])]
