"""A prepared search of a network: search, certify, deliver, report."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from pathlib import Path

from moco.analysis.payoff.verdicts import PayOffReport
from moco.compression.space.network_space import space_summary
from moco.errors import RunFolderError
from moco.execution.workers import Execution
from moco.file_lock import Lock
from moco.interfaces import Reporter
from moco.registry import plugin
from moco.report.card import card
from moco.report.page import write_report
from moco.run.delivery import Delivery, Finisher
from moco.run.job import Job, Prepared, prepare, versions
from moco.run.progress import Progress
from moco.run.results import manifest_of, result_of, timing_warnings
from moco.run.starts import from_records
from moco.run_folder.manifest import Manifest, SpaceRecord
from moco.run_folder.result import Result
from moco.run_folder.writing import (
    EXPERIMENT,
    MANIFEST,
    RESULT,
    clear,
    ledger_address,
    write_json,
    write_network,
    write_text,
    write_trials,
    write_yaml,
)
from moco.study import SearchAbortedError, Study
from moco.tracking.optuna_study import OptunaLedger

FILES = ".files"
"""Folder of the candidates' files while a search runs."""


def prepared_again(job: Job, files: Path, begun: Manifest | None) -> Prepared:
    """The prepared job, with what an earlier session has measured and chosen; `begun` is None where it is the first."""
    if begun is None:
        return prepare(job, files)
    payoff = PayOffReport.from_json(begun.payoff) if begun.payoff else None
    starts = None if begun.starts is None else from_records(begun.starts)
    return prepare(job, files, begun.reference, payoff, starts)


class Search:
    """One prepared search in its run folder."""

    def __init__(
        self,
        prepared: Prepared,
        out: Path,
        progress: Progress | None,
        sessions: Sequence[str],
        lock: Lock | None = None,
        execution: Callable[[], AbstractContextManager[Execution]] | None = None,
    ) -> None:
        """Take a search that has not begun, or that goes on.

        Args:
            sessions: the times at which it was started.
            lock: that it alone writes to its ledger.
            execution: where candidates are evaluated; in this process where it is None.
        """
        self.lock = lock
        self.execution = execution or (lambda: nullcontext(Execution(prepared.evaluator)))
        self.prepared, self.out, self.progress = prepared, out, progress
        self.job: Job = prepared.job
        self.space = SpaceRecord.from_json(space_summary(prepared.space))
        self.manifest = manifest_of(prepared, sessions, versions(self.job.target.distributions), self.space)

    def run(self, resume: bool = False) -> Result:
        """Search until the budget is spent, then deliver and report."""
        if self.progress is not None:
            self.progress.space(self.space, self.prepared.warnings, self.prepared.outlook)
        ledger = self._ledger(resume) if self.job.ledger else None
        write_yaml(self.out / EXPERIMENT, self.job.config)
        write_json(self.out / MANIFEST, self.manifest.to_json())
        for reporter in self.job.reporters:
            reporter.start(self.manifest.to_json(), self.out)
        try:
            with self.execution() as where:
                study = self._study(ledger, where)
                self._search(study, where)
            if self.progress is not None:
                self.progress.step("certifying on unseen images and timing the winner again")
            result = self._reported(self._delivered(study))
        except BaseException:
            for reporter in self.job.reporters:
                reporter.abandon()
            raise
        finally:
            if ledger is not None:
                ledger.close()
        shutil.rmtree(self.out / FILES, ignore_errors=True)
        return result

    def _study(self, ledger: OptunaLedger | None, where: Execution) -> Study:
        """The study, with all that the ledger holds; trackers are told of earlier trials, and take each once."""
        job = self.job
        searcher = plugin("searcher", job.searcher)(self.prepared.problem, job.searcher_options, job.seed)
        study = Study(
            self.prepared.problem,
            searcher,
            where.evaluate,
            starts=self.prepared.starts,
            ledger=ledger,
            reporters=job.reporters,
        )
        for reporter in job.reporters:
            for trial in study.trials:
                reporter.report(trial)
        return study

    def _search(self, study: Study, where: Execution) -> None:
        if self.progress is not None:
            self.progress.begin(study, self.job.budget)
        gc.collect()
        gc.freeze()  # what is loaded by now stays: walking it anew cost every candidate some 30 ms
        try:
            on_trial = self.progress.trial if self.progress is not None else None
            study.run(self.job.budget, executor=where.executor, workers=where.workers, on_trial=on_trial)
        except SearchAbortedError as error:
            kept = "the finished trials are in the ledger, fix the cause and use --resume"
            raise SearchAbortedError(f"{error}; {kept if self.job.ledger else 'fix the cause'}", error.trials) from None
        finally:
            gc.unfreeze()
            write_trials(self.out, study.trials, self.prepared.problem.objectives)

    def _delivered(self, study: Study) -> Result:
        """Certify, and write the networks and result.json."""
        with closing(Finisher(self.prepared, self.out)) as finisher:
            return self._ended(study, finisher)

    def _ended(self, study: Study, finisher: Finisher) -> Result:
        delivery = finisher.deliver(study.trials)
        of_timings = [*timing_warnings(study.trials), *finisher.warnings]
        warnings = [*self.prepared.warnings, *of_timings, *_reporter_warnings(self.job.reporters)]
        result = result_of(self.prepared, study, delivery, finisher, self.space, warnings)
        self._write_networks(result, delivery, finisher, study)
        write_json(self.out / RESULT, result.to_json())
        if delivery is not None:
            text = card(result, self.manifest, self._snippet(self.manifest, "model.onnx"))
            write_text(self.out / "best" / "card.md", text)
        return result

    def _reported(self, result: Result) -> Result:
        """Write the report and tell the trackers; what goes wrong there is a warning of the result."""
        write_report(self.out, self._snippet)
        for reporter in self.job.reporters:
            reporter.finish(result.to_json(), self.out)
        late = [w for w in _reporter_warnings(self.job.reporters) if w not in result.warnings]
        if late:
            result = replace(result, warnings=(*result.warnings, *late))
            write_json(self.out / RESULT, result.to_json())
            write_report(self.out, self._snippet)
        return result

    def _snippet(self, manifest: Manifest, file: str) -> str:
        """Python that runs the file on the search's target."""
        return self.job.target.snippet(file, manifest.network.input_shape, manifest.normalization)

    def _ledger(self, resume: bool) -> OptunaLedger:
        """The ledger; in a shared database it may hold a search of this name already.

        Raises:
            RunFolderError: it does, and the search is not resumed.
        """
        job = self.job
        address, fingerprint = ledger_address(self.out, job.storage), "-".join(job.fingerprint.values())
        ledger = OptunaLedger.open(address, job.name, self.prepared.problem, fingerprint, self.lock)
        if not resume and ledger.trials():
            raise RunFolderError(
                f"tracking.storage: the database holds a search '{job.name}' with these settings already; continue it "
                "in its own run folder with --resume, or give this one another name"
            )
        return ledger

    def _write_networks(self, result: Result, delivery: Delivery | None, finisher: Finisher, study: Study) -> None:
        """best/ with its certificate, and front/ with a file for each of its trials."""
        clear(self.out / "best")
        clear(self.out / "front")
        name = self.job.network_name
        if delivery is not None:
            assert delivery.trial.policy is not None
            assert result.certificate is not None
            write_network(
                self.out / "best", delivery.artifact, delivery.trial.policy, name, delivery.network, self.job.ranking
            )
            write_json(self.out / "best" / "certificate.json", result.certificate.to_json())
        for entry in result.front:
            assert entry.trial is not None
            policy = study.trials[entry.trial].policy
            assert policy is not None
            folder = self.out / "front" / str(entry.trial)
            write_network(folder, finisher.built(policy)[0], policy, name, ranking=self.job.ranking)


def _reporter_warnings(reporters: Sequence[Reporter]) -> list[str]:
    return [warning for reporter in reporters for warning in getattr(reporter, "warnings", ())]
