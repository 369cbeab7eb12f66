"""`moco compare`: an experiment searched by several strategies, with several seeds each, from one preparation.

The network, its splits, the reference and its timing are those of the experiment's own seed for all runs: the seeds of
a comparison are the searchers'. So all runs share their evaluations.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from moco.comparison.content import About, content, run_entry
from moco.comparison.curves import hypervolume_curve, score_curve
from moco.comparison.folder import CompareFolder, whole_seeds
from moco.comparison.match import Match, Run, RunState, Watcher, check_seeds, runs
from moco.comparison.measures import Comparison
from moco.comparison.rank_tests import seeds_needed
from moco.errors import DeviceLostError, WorkersLostError
from moco.experiment.build import NOTHING, Overrides, comparison_of, plan_of
from moco.experiment.identity import mlflow_address
from moco.experiment.schema import CompareConfig, Experiment
from moco.experiment.strategies import chosen, strategies_of
from moco.experiment.worker import execution_of
from moco.report.comparison.page import write_compare_page
from moco.report.comparison.text import short_seconds, summary
from moco.run.progress import Progress
from moco.run.results import manifest_of
from moco.run.session import RunSession, session
from moco.run_folder.comparison_record import ComparisonRecord
from moco.run_folder.writing import EXPERIMENT, MANIFEST, write_json, write_yaml
from moco.secret import Secret
from moco.strategy import Strategy
from moco.study import Study
from moco.tracking.mlflow_comparison import MLflowComparison
from moco.trial import Trial

DEFAULT_SEEDS = 5


@dataclass(frozen=True)
class CompareRequest:
    """What the command line says of a comparison."""

    searchers: Sequence[str] = ()  # labels of the section `compare`, or registered names; none takes the whole section
    seeds: int | None = None  # how many; None takes the section's, or five


def strategies(experiment: Experiment, requested: Sequence[str]) -> tuple[Strategy, ...]:
    """The strategies that are compared; a ConfigError on fewer than two, an unknown one or an unknown option."""
    section = experiment.searcher.model_dump(mode="json", exclude={"start"})
    declared = [entry.model_dump(mode="json", exclude_none=True) for entry in _section(experiment).searchers]
    found = strategies_of(chosen(requested, declared, section), "--searchers" if requested else "compare.searchers")
    return tuple(strategy.within(experiment.budget.answer_seconds) for strategy in found)


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

    To `resume` is to continue the comparison that `out` holds; strategies and seeds may be added. A MocoError says in
    one line what is wrong; finished trials stay in their ledgers.
    """
    found = strategies(experiment, request.searchers)
    count = request.seeds if request.seeds is not None else _section(experiment).seeds
    seeds = check_seeds(DEFAULT_SEEDS if count is None else count, experiment.seed)
    plan = comparison_of(plan_of(experiment, out, overrides.folder), found, out)
    mlflow, parts = mlflow_address(experiment, out), (overrides.network, overrides.data)
    study = f"{plan.name} (comparison)"
    with (
        session(plan, out, study, parts, resume=resume, progress=progress) as begun,
        execution_of(begun.prepared, experiment, overrides, out) as where,
    ):
        problem, starts = begun.prepared.problem, begun.prepared.starts
        match = Match(problem, where.evaluate, found, seeds, plan.search.budget, starts, where.executor, where.workers)
        comparing = Comparing(begun, match, progress)
        match.check()  # nothing is written before but empty studies
        if plan.recording.ledger:
            comparing.folder.check(found, seeds[0], resume=resume)
        return comparing.run(mlflow)


class Comparing(Watcher):
    """One prepared comparison in its folder. It is its own watcher: it shows each run as it goes."""

    def __init__(self, session: RunSession, match: Match, progress: Progress | None) -> None:
        """Take a comparison that has not begun, or that goes on."""
        self.session, self.prepared, self.out = session, session.prepared, session.out
        self.match, self.progress = match, progress
        job, problem = self.prepared.job, self.prepared.problem
        self.plan, point = job.plan, problem.reference_point
        self.about = About(
            name=self.plan.name,
            start=self.plan.search.start,
            reference_point=None if point is None else problem.loss_point(point),
            network=job.network_name,
            protocol=self.plan.objective.name,
        )
        key, storage = "-".join(job.fingerprint.values()), self.plan.recording.storage
        self.folder = CompareFolder(self.out, self.plan.name, problem, key, write_compare_page, storage, session.lock)
        self.done: list[Run] = []

    def run(self, mlflow: tuple[Secret, str] | None) -> ComparisonRecord:
        """Run all that is not finished, and write what is known whenever a seed is."""
        command = f"moco compare experiment.yaml --searchers {','.join(c.label for c in self.match.strategies)} "
        command += f"--seeds {len(self.match.seeds)} --out again"
        manifest = replace(manifest_of(self.prepared, self.session.times), command=command, searcher=None)
        if self.progress is not None:
            self.progress.space(manifest.space, self.prepared.warnings, self._outlook())
        write_yaml(self.out / EXPERIMENT, self.plan.recording.config)
        write_json(self.out / MANIFEST, manifest.to_json())
        tracker = MLflowComparison(*mlflow, self.plan.name, _described) if mlflow is not None else None
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
        return self._written(tracker)

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
        for run in runs(self.match, self.folder.ledger if self.plan.recording.ledger else None, self):
            self.done.append(run)
            self.folder.write_run(run)
            if self.progress is not None:
                self.progress.say(_line(run))
            if tracker is not None and run.state is not RunState.UNFINISHED:
                self._report(tracker, run)
            if whole_seeds(self.done, self.match.strategies):
                self._write()

    def _report(self, tracker: MLflowComparison, run: Run) -> None:
        """Tell MLflow of a run, with its curves: a hypervolume only where the problem has a fixed reference point."""
        point = self.about.reference_point
        found = {"best_score": score_curve(run.trials)}
        if point is not None and len(point) > 1:
            found["hypervolume"] = hypervolume_curve(run.trials, point)
        steps = {name: enumerate(map(float, curve.values), 1) for name, curve in found.items()}
        histories = {name: {at: value for at, value in values if value > -math.inf} for name, values in steps.items()}
        strategy = next(c for c in self.match.strategies if c.label == run.label)
        entry = run_entry(run, Comparison.of({run.label: {run.seed: run.trials}}, point))
        tracker.report(entry, strategy.to_json(), histories)

    def _written(self, tracker: MLflowComparison | None) -> ComparisonRecord:
        """compare.json and the page; what goes wrong with MLflow at the very end is in the next writing of them."""
        found = self._write(() if tracker is None else tracker.warnings)
        if tracker is not None:
            tracker.finish(found, self.out)
            if set(tracker.warnings) - set(found.warnings):
                found = self._write(tracker.warnings)
        return found

    def _write(self, warnings: Sequence[str] = ()) -> ComparisonRecord:
        found = content(self.match, self.done, self.about, [*self.prepared.warnings, *warnings])
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


def _line(run: Run) -> str:
    """A run that is over, in a line."""
    best = score_curve(run.trials).values
    score = f"best {best[-1]:.4g}" if len(best) and best[-1] > -math.inf else "nothing feasible"
    charged = short_seconds(float(score_curve(run.trials).seconds[-1])) if len(best) else "0 s"
    text = f"{run.label}, seed {run.seed}: {run.state.value}, {len(run.trials)} trials, {score}, {charged} charged"
    return f"{text}: {run.reason}" if run.reason else text


def _described(content: ComparisonRecord) -> str:
    """What came of the comparison, for its description in MLflow."""
    found = summary(content)
    return "\n\n".join((found.headline, *found.more))


def _section(experiment: Experiment) -> CompareConfig:
    return experiment.compare if experiment.compare is not None else CompareConfig()
