"""A prepared search of a network: search, certify, deliver, report."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import replace

from moco.errors import RunFolderError
from moco.execution.workers import Execution
from moco.finalists.trained_weights import TrainedWeights
from moco.interfaces import Reporter, Searcher
from moco.report.card import card
from moco.report.page import write_report
from moco.run.delivery import Delivery, Finisher
from moco.run.finals import Finals
from moco.run.job import Job
from moco.run.progress import Progress
from moco.run.results import manifest_of, result_of, timing_warnings
from moco.run.rivals import Rivals
from moco.run.session import RunSession
from moco.run_folder.manifest import Manifest
from moco.run_folder.network_file import usual_name
from moco.run_folder.result import Result
from moco.run_folder.seal import seal
from moco.run_folder.writing import (
    EXPERIMENT,
    FINALISTS,
    MANIFEST,
    RESULT,
    clear,
    write_json,
    write_network,
    write_text,
    write_trials,
    write_yaml,
)
from moco.strategy import failure_warnings
from moco.study import Budget, SearchAbortedError, Study
from moco.tracking.database import ledger_address
from moco.tracking.optuna_study import OptunaLedger
from moco.trial import Trial


class Search:
    """One prepared search in its run folder."""

    def __init__(
        self,
        session: RunSession,
        progress: Progress | None,
        execution: Callable[[], AbstractContextManager[Execution]],
        reporters: Sequence[Reporter] = (),
    ) -> None:
        """Take a search that has not begun, or that goes on; `execution` is where candidates are evaluated.

        `reporters` are told of it beside its own.
        """
        self.prepared, self.out, self.lock = session.prepared, session.out, session.lock
        self.progress, self.execution = progress, execution
        self.job: Job = self.prepared.job
        self.plan, self.reporters = self.job.plan, (*self.job.reporters, *reporters)
        self.manifest = manifest_of(self.prepared, session.times)
        self.space, self.clock = self.manifest.space, session.clock
        self.weights = TrainedWeights(self.out / FINALISTS)
        self.prepared.evaluator.builder.trained = self.weights
        self.rivals = Rivals(self.prepared, self.out, self._step)

    def run(self, resume: bool = False) -> Result:
        """Search until the budget is spent, then deliver and report."""
        self.rivals.check()
        if self.progress is not None:
            self.progress.space(self.space, self.prepared.warnings, self.prepared.certificate_forecast)
        finals = self._finals(resume)
        ledger = self._ledger(resume) if self.plan.recording.ledger else None
        if earlier := [] if ledger is None else ledger.trials():
            self._take_up(earlier, finals)
        write_yaml(self.out / EXPERIMENT, self.plan.recording.config)
        write_json(self.out / MANIFEST, self.manifest.to_json())
        for reporter in self.reporters:
            reporter.start(self.manifest.to_json(), self.out)
        try:
            with self.execution() as where:
                study = self._study(ledger, where, finals)
                if finals is None:
                    self._search(study, where, self.plan.search.budget)
                else:
                    self._search_and_train(study, where, finals)
            self._step("certifying on unseen images and timing the winner again")
            result = self._report(self._deliver(study))
        except BaseException:
            for reporter in self.reporters:
                reporter.abandon()
            raise
        finally:
            if ledger is not None:
                ledger.close()
        return result

    def _finals(self, resume: bool) -> Finals | None:
        """The finalists, where some are asked for; a ConfigError where a new search has no time for a first round."""
        if self.plan.finalists is None:
            return None
        finals = Finals(self.prepared, self.weights, self.clock)
        if not resume:
            finals.check()
        return finals

    def _take_up(self, earlier: Sequence[Trial], finals: Finals | None) -> None:
        """Count what earlier sessions have spent."""
        self.clock.earlier_s = max(trial.processor_s or 0.0 for trial in earlier)
        if finals is not None:
            finals.begin(earlier)

    def _step(self, text: str) -> None:
        """Show what is being done."""
        if self.progress is not None:
            self.progress.step(text)

    def _study(self, ledger: OptunaLedger | None, where: Execution, finals: Finals | None) -> Study:
        """The study, with all that the ledger holds; trackers are told of earlier trials, and take each once."""
        study = Study(
            self.prepared.problem,
            self._searcher(),
            where.evaluate,
            starts=self.prepared.starts,
            ledger=ledger,
            reporters=self.reporters,
            heard=None if finals is None else finals.heard([] if ledger is None else ledger.trials()),
            clock=self.clock,
        )
        for reporter in self.reporters:
            for trial in study.trials:
                reporter.report(trial)
        return study

    def _searcher(self) -> Searcher:
        (strategy,) = self.plan.search.strategies
        return strategy.build(self.prepared.problem, self.plan.seed)

    def _search_and_train(self, study: Study, where: Execution, finals: Finals) -> None:
        """A search, the first round of its finalists, a search that knows what that showed, and the other rounds."""
        first, *others = finals.plan.rounds
        self._search(study, where, finals.split.first, finals)
        finals.split.begin_training()
        self._search_on(study, where, finals)
        finals.train(study, (first,), self._step)
        if others and not study.stop_requested and not finals.has_begun(others[0], study.trials):
            study.begin_anew(self._searcher(), finals.heard(study.trials))
            self._search_closer(study, where, finals)
            self._search_on(study, where, finals)
            if not finals.has_begun(first, study.trials):  # nothing was worth it then
                finals.train(study, (first,), self._step)
        finals.train(study, tuple(others), self._step)
        finals.in_fewer_bits(study, self._step)
        write_trials(self.out, study.trials, self.prepared.problem.objectives)

    def _search_closer(self, study: Study, where: Execution, finals: Finals) -> None:
        """The second search: half of its trials are the searcher's, others lie near what promises most by now."""
        budget = finals.split.second()
        asked = math.ceil((study.n_counted + budget.trials) / 2)
        self._search(study, where, replace(budget, trials=asked), finals)
        while study.n_counted < budget.trials and not study.stop_requested:
            known, near = study.n_counted, finals.neighbour(study.trials)
            if near is None:
                break
            study.suggest(near)
            self._search(study, where, replace(budget, trials=known + 1, patience=None), finals)
            if study.n_counted == known:
                return
        self._search(study, where, budget, finals)

    def _search_on(self, study: Study, where: Execution, finals: Finals) -> None:
        """While few networks are known, or none is worth a training, what trainings would take is searched."""
        while not study.stop_requested and finals.needs_more(study.trials):
            known, more = len(study.trials), finals.split.more()
            if more is not None:
                self._search(study, where, more, finals)
            if len(study.trials) == known:
                return

    def _search(self, study: Study, where: Execution, budget: Budget, finals: Finals | None = None) -> None:
        if self.progress is not None:
            self.progress.begin(study, budget, None if finals is None else finals.split.left)
        gc.collect()
        gc.freeze()  # what is loaded by now stays: walking it anew cost every candidate some 30 ms
        try:
            on_trial = self.progress.trial if self.progress is not None else None
            study.run(budget, executor=where.executor, workers=where.workers, on_trial=on_trial)
        except SearchAbortedError as error:
            kept = "the finished trials are in the ledger, fix the cause and use --resume"
            advice = kept if self.plan.recording.ledger else "fix the cause"
            raise SearchAbortedError(f"{error}; {advice}", error.trials) from None
        finally:
            gc.unfreeze()
            write_trials(self.out, study.trials, self.prepared.problem.objectives)
        if study.stop_requested and not study.trials:
            raise KeyboardInterrupt

    def _deliver(self, study: Study) -> Result:
        """Certify, write the networks and result.json, then look at the baselines."""
        siblings = self.rivals.candidates(len(study.trials))
        with closing(Finisher(self.prepared, self.out, study.trials, siblings)) as finisher:
            delivery = finisher.deliver()
            if finisher.corrected or siblings.trials:
                write_trials(self.out, finisher.trials, self.prepared.problem.objectives)
            of_timings = [*timing_warnings(study.trials), *finisher.warnings]
            of_store = [text for text in self.prepared.evaluator.warnings if text not in self.prepared.warnings]
            of_searcher = failure_warnings(study.trials)
            warnings = [
                *self.prepared.warnings,
                *of_store,
                *of_searcher,
                *of_timings,
                *_reporter_warnings(self.reporters),
            ]
            result = result_of(self.prepared, study, delivery, finisher, self.space, warnings)
            self._write_networks(result, delivery, finisher)
            self._write_result(result)
            if self.rivals.baselines:
                rivals = self.rivals.beside(delivery, finisher)
                result = replace(result, rivals=rivals, warnings=(*result.warnings, *self.rivals.warnings))
                self._write_result(result)
        seal(self.out / "best")
        seal(self.out / "front")
        return result

    def _write_result(self, result: Result) -> None:
        """result.json, and the card of the network that is delivered."""
        write_json(self.out / RESULT, result.to_json())
        if result.best is not None:
            file = usual_name(self.out)
            text = card(result, self.manifest, self._snippet(self.manifest, file), file)
            write_text(self.out / "best" / "card.md", text)

    def _report(self, result: Result) -> Result:
        """Write the report and tell the trackers; what goes wrong there is a warning of the result."""
        write_report(self.out, self._snippet)
        for reporter in self.reporters:
            reporter.finish(result.to_json(), self.out)
        late = [w for w in _reporter_warnings(self.reporters) if w not in result.warnings]
        if late:
            result = replace(result, warnings=(*result.warnings, *late))
            write_json(self.out / RESULT, result.to_json())
            write_report(self.out, self._snippet)
        return result

    def _snippet(self, manifest: Manifest, file: str) -> str:
        """Python that runs the file on the search's target."""
        return self.job.target.snippet(file, manifest.network.input_shape, manifest.normalization)

    def _ledger(self, resume: bool) -> OptunaLedger:
        """The ledger; a RunFolderError where a shared database holds a search of this name that is not resumed."""
        name, fingerprint = self.plan.name, "-".join(self.job.fingerprint.values())
        address = ledger_address(self.out, self.plan.recording.storage)
        sole = self.prepared.job.plan.recording.storage is None
        ledger = OptunaLedger.open(address, name, self.prepared.problem, fingerprint, self.lock, sole=sole)
        if not resume and ledger.trials():
            raise RunFolderError(
                f"tracking.storage: the database holds a search '{name}' with these settings already; continue it "
                "in its own run folder with --resume, or give this one another name"
            )
        return ledger

    def _write_networks(self, result: Result, delivery: Delivery | None, finisher: Finisher) -> None:
        """best/ with its certificate, and front/ with a file for each of its trials."""
        clear(self.out / "best")
        clear(self.out / "front")
        name, ranking, said = self.job.network_name, self.plan.space.ranking, self.job.description.metadata
        if delivery is not None:
            assert result.certificate is not None
            best = self.out / "best"
            trial, of = delivery.trial, delivery.trial.suggestion.sibling or name
            assert trial.policy is not None
            write_network(best, delivery.artifact, trial.policy, of, delivery.network, ranking=ranking, metadata=said)
            write_json(best / "certificate.json", result.certificate.to_json())
        for entry in result.front:
            assert entry.trial is not None
            trial, folder = finisher.trials[entry.trial], self.out / "front" / str(entry.trial)
            assert trial.policy is not None
            of = trial.suggestion.sibling or name
            write_network(folder, finisher.built(trial.policy)[0], trial.policy, of, ranking=ranking)


def _reporter_warnings(reporters: Sequence[Reporter]) -> list[str]:
    return [warning for reporter in reporters for warning in getattr(reporter, "warnings", ())]
