"""Shows a comparison of searchers in MLflow: a parent run, and a nested run for each strategy and seed.

The nested runs carry the anytime curves as histories, a step a trial, so that MLflow's charts lay the strategies over
one another. Written between the runs, which it therefore never slows down; what goes wrong is a warning.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moco.run_folder.comparison_record import ComparisonRecord, RunRecord
from moco.run_folder.manifest import Manifest
from moco.run_folder.record import as_json
from moco.secret import Secret
from moco.tracking import mlflow_values as values
from moco.tracking.messages import error_line
from moco.tracking.mlflow_parent import ParentRun

FILES = ("experiment.yaml", "manifest.json", "compare.json", "compare.html")
_STATUS = {"finished": "FINISHED", "unfinished": "KILLED", "failed": "FAILED"}
_SEARCHER, _SEED, _TRIALS = "moco.searcher", "moco.seed", "moco.trials"


class MLflowComparison:
    """Writes a comparison to an MLflow store or server. Never raises: see `warnings`."""

    def __init__(
        self, tracking_uri: str | Secret, experiment_name: str, run_name: str, probe_timeout_s: float = 3.0
    ) -> None:
        """Nothing is imported, connected or written before `start`; arguments as for `ParentRun`."""
        self._hide = Secret.of(tracking_uri).hide
        self._parent = ParentRun(tracking_uri, experiment_name, run_name, probe_timeout_s)
        self._written: dict[tuple[str, str], tuple[str, str]] = {}
        self._problem: str | None = "it was not started"

    @property
    def warnings(self) -> tuple[str, ...]:
        """Nothing, or one text that says why runs are missing there."""
        problem = self._problem
        return () if problem is None else (f"MLflow: {problem}; the run folder is complete without it",)

    def start(self, manifest: Manifest, folder: Path) -> None:
        """Open the parent run, or continue the one that RUN/mlflow.json names."""
        self._problem = None
        with self._guarded():
            ended = self._parent.open(folder, values.search_tags(manifest), values.search_params(manifest))
            self._written = {(tags[_SEARCHER], tags[_SEED]): (tags["id"], tags[_TRIALS]) for tags in ended}

    def report(self, run: RunRecord, options: Mapping[str, Any], curves: Mapping[str, Mapping[int, float]]) -> None:
        """Write a run of the comparison; one that is there already with as many trials is left as it is.

        The strategy's `options` become parameters; `curves` have a value after each trial, by name.
        """
        known, told = self._written.get((run.searcher, str(run.seed)), ("", ""))
        if self._problem is None and told != str(run.trials):
            with self._guarded(), self._parent.working():
                self._write(run, options, curves, known)

    def finish(self, content: ComparisonRecord, folder: Path) -> None:
        """Write the summary and the files of the comparison, and end the parent run: killed where runs are missing."""
        if self._problem is not None:
            self._parent.close()
            return
        with self._guarded(), self._parent.last():
            numbers = {"summary": as_json(content.summary), "tests": _decided(content)}
            self._parent.log(self._parent.id, metrics=values.as_metrics(dict(values.flattened(numbers, "/"))))
            self._parent.client.set_terminated(self._parent.id, "FINISHED" if content.complete else "KILLED")
            for name in FILES:
                self._parent.log_file(folder / name)

    def abandon(self) -> None:
        """End the parent run as killed; a comparison that is resumed opens it again."""
        if self._problem is not None:
            self._parent.close()
            return
        with self._guarded(), self._parent.last():
            self._parent.client.set_terminated(self._parent.id, "KILLED")

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """A tracker may fail in any way; the comparison goes on without it."""
        try:
            yield
        except Exception as error:
            self._problem = error_line(error, self._hide)

    def _write(
        self, run: RunRecord, options: Mapping[str, Any], curves: Mapping[str, Mapping[int, float]], run_id: str
    ) -> None:
        now = round(time.time() * 1000)
        tags = values.as_tags({_SEARCHER: run.searcher, _SEED: run.seed, _TRIALS: run.trials})
        if not run_id:
            name = f"{run.searcher}, seed {run.seed}"
            run_id = self._parent.nested(name, now - round(1000 * run.spent_s), tags)
            known = {"searcher": run.searcher, "seed": run.seed, **options}
            self._parent.log(run_id, params=values.as_params(dict(values.flattened(known))))
        numbers = {name: value for name, value in run.to_json().items() if name not in {"seed", *curves}}
        self._parent.log(run_id, metrics=values.as_metrics(dict(values.flattened(numbers, "/"))))
        for name, history in curves.items():
            self._parent.log_steps(run_id, name, history)
        self._parent.client.set_tag(run_id, _TRIALS, tags[_TRIALS])
        self._parent.client.set_terminated(run_id, _STATUS[run.state], end_time=now)
        self._written[run.searcher, str(run.seed)] = run_id, tags[_TRIALS]


def _decided(content: ComparisonRecord) -> dict[str, Any]:
    """Probabilities by measure: Friedman's, and each pair's after correction."""
    found: dict[str, Any] = {}
    for key, tests in content.tests.items():
        found[key] = {f"{pair.first} against {pair.second}": pair.p_holm for pair in tests.pairs}
        if tests.friedman is not None:
            found[key]["friedman"] = tests.friedman.p
    return found
