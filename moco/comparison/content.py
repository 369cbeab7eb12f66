"""The content of RUN/compare.json (docs/comparing.md has its schema)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from moco.comparison.curves import (
    Curve,
    band,
    charged_s,
    counted,
    evaluation_s,
    first_beyond_starts,
    first_feasible,
    is_stored,
    suggestion_s,
)
from moco.comparison.match import Match, Run, RunState
from moco.comparison.measures import HYPERVOLUME, SCORE, SECONDS, TRIALS, Comparison
from moco.comparison.rank_tests import ALPHA, finite, seeds_needed
from moco.run_folder import comparison_record as records
from moco.run_folder.comparison_record import ComparisonRecord, CurveRecord, MomentsRecord, RunRecord, SuggestionSeconds
from moco.run_folder.result import TrialsAndSeconds
from moco.strategy import failure_warnings
from moco.trial import Trial, TrialState

FORMAT = 1
MOST_POINTS = 200
"""Points of a curve: more than a figure has pixels to tell apart, and the file stays small."""


@dataclass(frozen=True)
class About:
    """What a comparison is of, beside its match; one on a callable has neither network nor protocol."""

    name: str
    start: Any  # as it was asked, in JSON, the same for all
    reference_point: tuple[float, ...] | None = None  # losses that were given for the hypervolume, and by whom
    point_of: str = "the problem"
    network: str | None = None
    protocol: str | None = None


def content(match: Match, runs: Sequence[Run], about: About, warnings: Sequence[str] = ()) -> ComparisonRecord:
    """All of compare.json."""
    comparison = compared(runs, about)
    problem = match.problem
    return ComparisonRecord(
        format=FORMAT,
        name=about.name,
        complete=sum(run.state is RunState.FINISHED for run in runs) == len(match.strategies) * len(match.seeds),
        network=about.network,
        protocol=about.protocol,
        problem=records.ComparedProblem(
            objectives=problem.objectives,
            bounds=tuple(f"{bound.metric} {bound.op} {bound.value:.6g}" for bound in problem.bounds),
            parameters=len(problem.space.distributions),
            policies=problem.space.n_policies(),
        ),
        budget=TrialsAndSeconds(trials=match.budget.trials, seconds=match.budget.seconds),
        start=about.start,
        seeds=match.seeds,
        searchers={c.label: records.StrategyRecord(**c.to_json()) for c in match.strategies},
        reference_point=_point(match, comparison, about),
        equal=TrialsAndSeconds(trials=comparison.equal_trials, seconds=comparison.equal_seconds),
        alpha=ALPHA,
        primary=SCORE if match.problem.scorer is not None else comparison.quantities[-1],
        seeds_needed=seeds_needed(len(match.strategies)),
        runs=tuple(run_entry(run, comparison) for run in runs),
        summary={label: _summary(comparison, label) for label in comparison.runs},
        curves=_curves(comparison),
        tests={measure.key: _tests(comparison, measure) for measure in comparison.measures},
        warnings=(*warnings, *_run_warnings(match, runs)),
    )


def compared(runs: Sequence[Run], about: About) -> Comparison:
    """The comparison of the runs that are finished."""
    finished: dict[str, dict[int, Sequence[Trial]]] = {run.label: {} for run in runs}
    for run in runs:
        if run.state is RunState.FINISHED and counted(run.trials):
            finished[run.label][run.seed] = run.trials
    return Comparison.of(finished, about.reference_point)


def _point(match: Match, comparison: Comparison, about: About) -> records.ReferencePoint | None:
    if HYPERVOLUME not in comparison.quantities or comparison.reference_point is None:
        return None
    origin = about.point_of if about.reference_point is not None else "beyond all feasible trials of this comparison"
    losses = dict(zip(match.problem.objectives, comparison.reference_point, strict=True))
    return records.ReferencePoint(losses=losses, of=origin)


def run_entry(run: Run, comparison: Comparison) -> RunRecord:
    """A run as `runs` of compare.json holds it."""
    trials = run.trials
    curves = {q: comparison.curves[q].get(run.label, {}).get(run.seed) for q in comparison.quantities}
    return RunRecord(
        searcher=run.label,
        seed=run.seed,
        state=run.state.value,
        reason=run.reason,
        trials=len(counted(trials)),
        given=len(trials) - len(counted(trials)),
        distinct=sum(trial.distinct for trial in trials),
        feasible=sum(trial.feasible for trial in trials),
        rejected=sum(trial.state is TrialState.REJECTED for trial in trials),
        failed=sum(trial.state is TrialState.FAILED for trial in trials),
        stored=sum(is_stored(trial) for trial in trials),
        values={quantity: _last(curve) for quantity, curve in curves.items()},
        first_feasible=first_feasible(trials),
        beyond_start=first_beyond_starts(trials),
        charged_s=math.fsum(map(charged_s, trials)),
        spent_s=sum(trial.seconds for trial in trials),
        suggestion_s=_suggestions([trials]),
    )


def _summary(comparison: Comparison, label: str) -> records.StrategySummary:
    runs = list(comparison.runs[label].values())
    return records.StrategySummary(
        seeds=len(runs),
        medians={measure.key: finite(comparison.median(measure, label)) for measure in comparison.measures},
        first_feasible=_moments([first_feasible(trials) for trials in runs]),
        beyond_start=_moments([first_beyond_starts(trials) for trials in runs]),
        distinct=float(np.median([sum(trial.distinct for trial in trials) for trials in runs])),
        charged_s=float(np.median([math.fsum(map(charged_s, trials)) for trials in runs])),
        suggestion_s=_suggestions(runs),
        evaluation_s=_evaluations(runs),
    )


def _moments(moments: Sequence[TrialsAndSeconds | None]) -> MomentsRecord:
    """Medians over all seeds, those that never got there last: None where that is half of them or more."""
    reached = [moment for moment in moments if moment is not None]
    never = [math.inf] * (len(moments) - len(reached))

    def median(name: str) -> float | None:
        return finite(float(np.median([getattr(moment, name) for moment in reached] + never)))

    return MomentsRecord(seeds=len(reached), trials=median("trials"), seconds=median("seconds"))


def _suggestions(runs: Sequence[Sequence[Trial]]) -> SuggestionSeconds | None:
    """Median and 90th percentile of a suggestion's seconds, the searcher's own asks only; None without any."""
    asked = [trial for trials in runs for trial in trials if trial.origin == "search"]
    spent = [seconds for trial in asked if (seconds := suggestion_s(trial)) is not None]
    if not spent:
        return None
    return SuggestionSeconds(median=float(np.median(spent)), p90=float(np.quantile(spent, 0.9)))


def _evaluations(runs: Sequence[Sequence[Trial]]) -> float | None:
    spent = [evaluation_s(t) for trials in runs for t in trials if t.distinct and t.state is TrialState.COMPLETE]
    return float(np.median(spent)) if spent else None


def _curves(comparison: Comparison) -> dict[str, dict[str, dict[str, CurveRecord]]]:
    """By strategy, quantity and axis: x, and the median and band of the seeds there."""
    found: dict[str, dict[str, dict[str, CurveRecord]]] = {label: {} for label in comparison.runs}
    for quantity in comparison.quantities:
        for label, by_seed in comparison.curves[quantity].items():
            curves = list(by_seed.values())
            most = max(len(curve.values) for curve in curves)
            trials = np.unique(np.rint(np.linspace(1, most, min(most, MOST_POINTS))).astype(int))
            seconds = _second_grid(curves)
            found[label][quantity] = {
                TRIALS: _band(trials, np.array([curve.after_trials(trials) for curve in curves])),
                SECONDS: _band(seconds, np.array([curve.at_seconds(seconds) for curve in curves])),
            }
    return found


def _band(x: np.ndarray, values: np.ndarray) -> CurveRecord:
    median, low, high = (tuple(finite(float(y)) for y in line) for line in band(values, seed=0))
    return CurveRecord(x=tuple(x.tolist()), median=median, low=low, high=high)


def _second_grid(curves: Sequence[Curve]) -> np.ndarray:
    """From the first trial of all to the end of the last, denser at the beginning, where most happens."""
    first = max(min(float(curve.seconds[0]) for curve in curves), 1e-9)
    last = max(first, *(float(curve.seconds[-1]) for curve in curves))
    grid = np.geomspace(first, last, MOST_POINTS)
    grid[-1] = last  # rounding must not end the curve before the last trial
    return grid


def _tests(comparison: Comparison, measure: records.Measure) -> records.MeasureTests:
    friedman, pairs = comparison.friedman(measure), tuple(comparison.pairs(measure))
    return records.MeasureTests(quantity=measure.quantity, axis=measure.axis, friedman=friedman, pairs=pairs)


def _run_warnings(match: Match, runs: Sequence[Run]) -> list[str]:
    """What a reader should know of the runs: missing ones, failed ones, trials that failed."""
    broken = [run for run in runs if run.state is RunState.FAILED]
    texts = [f"{run.label}, seed {run.seed}: the run failed: {run.reason}" for run in broken]
    missing = len(match.strategies) * len(match.seeds) - sum(run.state is not RunState.UNFINISHED for run in runs)
    if missing:
        texts.append(f"{missing} of {len(match.strategies) * len(match.seeds)} runs are not finished and left out")
    texts += _cut_short(match, [run for run in runs if run.state is RunState.FINISHED])
    failed: Counter[str] = Counter()
    for run in runs:
        failed[run.label] += sum(trial.state is TrialState.FAILED for trial in run.trials)
    texts += [f"{label}: {count} trials failed and count in its budget" for label, count in failed.items() if count]
    for label in failed:
        texts += failure_warnings([trial for run in runs if run.label == label for trial in run.trials], label)
    return texts


def _cut_short(match: Match, finished: Sequence[Run]) -> list[str]:
    """Runs that the budget of seconds ended, worst of all before the searcher was asked once."""
    short = [run for run in finished if len(counted(run.trials)) < match.budget.trials]
    limited = [run for run in short if match.out_of_time(run.trials)]
    if not limited:
        return []
    unasked = sum(all(trial.origin != "search" for trial in run.trials) for run in limited)
    fewest = min(len(counted(run.trials)) for run in limited)
    text = f"budget.seconds ended {len(limited)} of {len(finished)} runs, the shortest after {fewest} trials"
    return [text + (f"; {unasked} of them within the start: no strategy had a say there" if unasked else "")]


def _last(curve: Curve | None) -> float | None:
    """What the run had at its end; None where it had no trial, or none that counts."""
    return finite(float(curve.values[-1])) if curve is not None and len(curve.values) else None
