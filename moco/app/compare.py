"""`moco compare`: an experiment searched by several strategies, with several seeds each, from one preparation.

The network, its splits, the reference and its timing are those of the experiment's own seed for all runs: the seeds of
a comparison are the searchers'. So all runs share their evaluations.
"""

from __future__ import annotations

import datetime as dt
import gc
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from moco.comparison.content import About, content, run_entry
from moco.comparison.curves import hypervolume_curve, score_curve
from moco.comparison.folder import CompareFolder, whole_seeds
from moco.comparison.match import Match, Run, RunState, check_seeds, runs
from moco.comparison.measures import Comparison
from moco.comparison.rank_tests import seeds_needed
from moco.compression.space.network_space import space_summary
from moco.errors import DeviceLostError, RunFolderError, WorkersLostError
from moco.experiment.build import NOTHING, Overrides, build_job
from moco.experiment.identity import fingerprint, mlflow_address, older_fingerprint, storage_address
from moco.experiment.loading import Experiment
from moco.experiment.schema import CompareConfig
from moco.experiment.strategies import chosen, strategies_of
from moco.experiment.worker import execution_of
from moco.file_lock import Lock
from moco.report.comparison.page import write_compare_page
from moco.report.comparison.text import short_seconds
from moco.run.job import Job, Prepared, versions
from moco.run.ownership import owned
from moco.run.progress import Progress
from moco.run.results import manifest_of
from moco.run.search import FILES, prepared_again
from moco.run_folder.comparison_record import ComparisonRecord
from moco.run_folder.manifest import SpaceRecord
from moco.run_folder.writing import EXPERIMENT, LEDGER, MANIFEST, claim, write_json, write_yaml
from moco.secret import Secret
from moco.strategy import Strategy
from moco.study import Study
from moco.torch_threads import one_thread
from moco.tracking.mlflow_comparison import MLflowComparison
from moco.trial import Trial

DEFAULT_SEEDS = 5
STORE = "evaluations.db"
"""In the run folder, where the experiment wants no store beside it: runs of a comparison always share theirs."""


@dataclass(frozen=True)
class CompareRequest:
    """What the command line says of a comparison.

    Attributes:
        searchers: labels of the experiment's `compare` section, or registered names; none takes the whole section.
        seeds: how many; None takes the section's, or five.
    """

    searchers: Sequence[str] = ()
    seeds: int | None = None


def strategies(experiment: Experiment, requested: Sequence[str]) -> tuple[Strategy, ...]:
    """The strategies that are compared.

    Raises:
        ConfigError: fewer than two, an unknown one, or options that do not exist.
    """
    section = experiment.searcher.model_dump(mode="json", exclude={"start"})
    declared = [entry.model_dump(mode="json", exclude_none=True) for entry in _section(experiment).searchers]
    return strategies_of(chosen(requested, declared, section), "--searchers" if requested else "compare.searchers")


def compare_experiment(
    experiment: Experiment,
    request: CompareRequest,
    out: Path,
    *,
    overrides: Overrides = NOTHING,
    resume: bool = False,
    progress: Progress | None = None,
) -> ComparisonRecord:
    """Compare strategies on the experiment into `out`, and give the content of compare.json.

    Args:
        overrides: what comes in place of the experiment's.
        resume: continue the comparison that `out` holds; strategies and seeds may be added.

    Raises:
        MocoError: in one line, what is wrong; finished trials stay in their ledgers.
    """
    found = strategies(experiment, request.searchers)
    seeds = check_seeds(_first(request.seeds, _section(experiment).seeds, DEFAULT_SEEDS), experiment.seed)
    study = f"{experiment.name} (comparison)" if experiment.tracking.dashboard else None
    with owned(out, study, storage_address(experiment), resume=resume) as lock, one_thread(for_children=True):
        job = _job(experiment, out, overrides, found)
        job = replace(job, warnings=(*job.warnings, *lock.warnings))
        begun = claim(out, job.fingerprint, job.older_fingerprint)
        job = replace(job, fingerprint=(begun and begun.fingerprint) or job.fingerprint)
        if begun and not (job.ledger and (job.storage or (out / LEDGER).exists())):
            raise RunFolderError(f"{out}: nothing to resume, there is no ledger; choose another --out")
        if progress is not None:
            progress.step(f"preparing: tracing, exporting, scoring and timing the reference of {job.network_name}")
        prepared = prepared_again(job, out / FILES, begun)
        sessions = [*(begun.sessions if begun else ()), dt.datetime.now(dt.UTC).isoformat(timespec="seconds")]
        with closing(prepared), execution_of(prepared, experiment, overrides, out) as where:
            match = Match(
                prepared.problem,
                where.evaluate,
                found,
                seeds,
                job.budget,
                prepared.starts,
                where.executor,
                where.workers,
            )
            comparing = Comparing(prepared, match, out, progress, lock)
            comparing.check(resume=resume)
            return comparing.run(sessions, experiment, mlflow_address(experiment, out))


class Comparing:
    """One prepared comparison in its folder. It is its own watcher: it shows each run as it goes."""

    def __init__(
        self,
        prepared: Prepared,
        match: Match,
        out: Path,
        progress: Progress | None,
        lock: Lock | None = None,
    ) -> None:
        """Take a comparison that has not begun, or that goes on; `lock`: that it alone writes to its ledgers."""
        self.prepared, self.match, self.out, self.progress = prepared, match, out, progress
        job, problem = prepared.job, prepared.problem
        point = problem.reference_point
        self.about = About(
            name=job.name,
            start=job.start,
            reference_point=None if point is None else problem.loss_point(point),
            network=job.network_name,
            protocol=job.config["objective"]["protocol"],
        )
        fingerprint = "-".join(job.fingerprint.values())
        self.folder = CompareFolder(out, job.name, problem, fingerprint, write_compare_page, job.storage, lock)
        self.done: list[Run] = []

    def check(self, *, resume: bool) -> None:
        """Pass strategies that fit and ledgers that can be used; nothing is written before but empty studies.

        Raises:
            ConfigError, RunFolderError: one does not, or cannot.
        """
        self.match.check()
        if self.prepared.job.ledger:
            self.folder.check(self.match.strategies, self.match.seeds[0], resume=resume)

    def run(
        self, sessions: Sequence[str], experiment: Experiment, mlflow: tuple[Secret, str] | None
    ) -> ComparisonRecord:
        """Run all that is not finished, and write what is known whenever a seed is."""
        job = self.prepared.job
        space = SpaceRecord.from_json(space_summary(self.prepared.space))
        command = f"moco compare experiment.yaml --searchers {','.join(c.label for c in self.match.strategies)} "
        command += f"--seeds {len(self.match.seeds)} --out again"
        libraries = versions(job.target.distributions)
        manifest = replace(manifest_of(self.prepared, sessions, libraries, space), command=command, searcher=None)
        if self.progress is not None:
            self.progress.space(space, self.prepared.warnings, self._outlook())
        write_yaml(self.out / EXPERIMENT, job.config)
        write_json(self.out / MANIFEST, manifest.to_json())
        tracker = MLflowComparison(*mlflow, experiment.name) if mlflow is not None else None
        if tracker is not None:
            tracker.start(manifest, self.out)
        gc.collect()
        gc.freeze()  # what is loaded by now stays: walking it anew cost every candidate some 30 ms
        try:
            self._runs(tracker)
        except (KeyboardInterrupt, DeviceLostError, WorkersLostError):  # what is finished is worth reading
            self._written(tracker)
            raise
        except BaseException:
            if tracker is not None:
                tracker.abandon()
            raise
        finally:
            gc.unfreeze()
        found = self._written(tracker)
        shutil.rmtree(self.out / FILES, ignore_errors=True)
        return found

    def begin(self, study: Study, strategy: Strategy, seed: int) -> None:
        """A run is about to begin, or to go on."""
        if self.progress is not None:
            count = len(self.match.strategies) * len(self.match.seeds)
            self.progress.title = f"{strategy.label}, seed {seed} (run {len(self.done) + 1} of {count}): "
            self.progress.begin(study, self.match.budget)

    def trial(self, trial: Trial) -> None:
        """A trial of the present run is over."""
        if self.progress is not None:
            self.progress.trial(trial)

    @property
    def stopping(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self.progress is not None and self.progress.stopping

    def _runs(self, tracker: MLflowComparison | None) -> None:
        ledger = self.folder.ledger if self.prepared.job.ledger else lambda *_: None
        for run in runs(self.match, ledger, self):
            self.done.append(run)
            self.folder.write_run(run)
            if self.progress is not None:
                self.progress.say(_line(run))
            if tracker is not None and run.state is not RunState.UNFINISHED:
                self._report(tracker, run)
            if whole_seeds(self.done, self.match.strategies):
                self.folder.write(content(self.match, self.done, self.about, self.prepared.warnings))

    def _report(self, tracker: MLflowComparison, run: Run) -> None:
        """Tell MLflow of a run, with its curves: a hypervolume only where the problem has a fixed reference point."""
        point = self.about.reference_point
        found = {"best_score": score_curve(run.trials)}
        if point is not None and len(point) > 1:
            found["hypervolume"] = hypervolume_curve(run.trials, point)
        histories = {
            name: {step: float(value) for step, value in enumerate(curve.values, 1) if value > -float("inf")}
            for name, curve in found.items()
        }
        strategy = next(c for c in self.match.strategies if c.label == run.label)
        entry = run_entry(run, Comparison.of({run.label: {run.seed: run.trials}}, point))
        tracker.report(entry, strategy.to_json(), histories)

    def _written(self, tracker: MLflowComparison | None) -> ComparisonRecord:
        """compare.json and the page; what goes wrong with MLflow at the very end is in the next writing of them."""
        warnings = list(self.prepared.warnings)
        found = content(self.match, self.done, self.about, [*warnings, *_warnings(tracker)])
        self.folder.write(found)
        if tracker is not None:
            tracker.finish(found, self.out)
            if set(tracker.warnings) - set(found.warnings):
                found = content(self.match, self.done, self.about, [*warnings, *tracker.warnings])
                self.folder.write(found)
        return found

    def _outlook(self) -> str:
        """What the seeds can show at all, said before hours are spent."""
        needed, count = seeds_needed(len(self.match.strategies)), len(self.match.seeds)
        if count >= needed:
            return ""
        return (
            f"{count} seeds of {len(self.match.strategies)} strategies can never show a difference at 5 %: at least "
            f"{needed} seeds are needed; the curves and medians are told all the same"
        )


def _job(experiment: Experiment, out: Path, overrides: Overrides, found: Sequence[Strategy]) -> Job:
    """The experiment's job without its own searcher and tracker, with a store in any case, and of what runs share."""
    job = build_job(experiment, out, overrides)
    shared = {name: section for name, section in job.config.items() if name != "compare"}
    shared |= {"searcher": {"start": job.start}, "comparison": True}
    return replace(
        job,
        fingerprint=fingerprint(shared, job.network, job.data, job.target, job.storage),
        older_fingerprint=older_fingerprint(shared, job.storage),
        store=job.store if job.store is not None else out / STORE,
        reporters=(),
        compared=tuple(found),  # the experiment's own searcher need not be compared, nor fit
    )


def _line(run: Run) -> str:
    """A run that is over, in a line."""
    best = score_curve(run.trials).values
    score = f"best {best[-1]:.4g}" if len(best) and best[-1] > -float("inf") else "nothing feasible"
    charged = short_seconds(float(score_curve(run.trials).seconds[-1])) if len(best) else "0 s"
    reason = f": {run.reason}" if run.reason else ""
    return (
        f"{run.label}, seed {run.seed}: {run.state.value}, {len(run.trials)} trials, {score}, {charged} charged{reason}"
    )


def _warnings(tracker: MLflowComparison | None) -> tuple[str, ...]:
    return () if tracker is None else tracker.warnings


def _section(experiment: Experiment) -> CompareConfig:
    return experiment.compare if experiment.compare is not None else CompareConfig()


def _first(*values: int | None) -> int:
    return next(value for value in values if value is not None)
