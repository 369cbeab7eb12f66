"""Shows a comparison of searchers in MLflow: a parent run, and a nested run for each strategy and seed.

The nested runs carry the anytime curves as histories, a step a trial, so that MLflow's charts lay the strategies over
one another. Written between the runs, which it therefore never slows down; what goes wrong is a warning.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
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
from moco.tracking.shown_search import MOST_METRICS

FILES = ("experiment.yaml", "manifest.json", "compare.json", "compare.html")
_STATUS = {"finished": "FINISHED", "unfinished": "KILLED", "failed": "FAILED"}
_SEARCHER, _SEED, _TRIALS = "moco.searcher", "moco.seed", "moco.trials"


class MLflowComparison:
    """Writes a comparison to an MLflow store or server. Never raises: see `warnings`."""

    def __init__(
        self,
        tracking_uri: str | Secret,
        experiment_name: str,
        run_name: str,
        describe: Callable[[ComparisonRecord], str],
        probe_timeout_s: float = 3.0,
    ) -> None:
        """Nothing is imported, connected or written before `start`; arguments as for `ParentRun`.

        `describe` says what came of a comparison, as its page does.
        """
        self._describe = describe
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
            ended = self._parent.open(folder, manifest)
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
            self._parent.log(self._parent.id, metrics=values.as_metrics(_compared(content)))
            self._parent.describe(self._describe(content))
            self._parent.client.set_terminated(self._parent.id, "FINISHED" if content.complete else "KILLED")
            self._parent.log_table("strategies.json", _strategies(content))
            self._parent.log_table("tests.json", _tests(content))
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


def _compared(content: ComparisonRecord) -> dict[str, float]:
    """The median of each strategy and the probability over all, by the primary measures; the tables hold the rest."""
    found: dict[str, Any] = {"seeds": len(content.seeds), "runs": len(content.runs)}
    measures = {key: tests for key, tests in content.tests.items() if tests.quantity == content.primary}
    for key, tests in measures.items():
        if tests.friedman is not None:
            found[f"tests/{key}/friedman"] = tests.friedman.p
    for key in measures:
        found |= {f"summary/{name}/{key}": summary.medians.get(key) for name, summary in content.summary.items()}
    numbers = [(name, value) for name, value in found.items() if value is not None]
    return dict(numbers[:MOST_METRICS])


def _strategies(content: ComparisonRecord) -> list[dict[str, Any]]:
    """A row a strategy: its medians over the seeds."""
    rows = {name: dict(values.flattened(as_json(summary), " ")) for name, summary in content.summary.items()}
    return [{"strategy": name, **row} for name, row in rows.items()]


def _tests(content: ComparisonRecord) -> list[dict[str, Any]]:
    """A row a pair and measure, and one for all strategies together."""
    rows = []
    for key, tests in content.tests.items():
        if tests.friedman is not None:
            rows.append({"measure": key, "first": "all", "second": "all", "p": tests.friedman.p})
        rows += [{"measure": key, **pair.to_json()} for pair in tests.pairs]
    return rows
