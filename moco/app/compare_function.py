"""`moco.compare`: any searchers on any callable, with the same statistics as `moco compare`."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from moco.app.arguments import budget_of, check_function, check_problem, check_start, losses_at, seconds_of, seeds_of
from moco.app.search_function import Value, evaluation_of
from moco.comparison.content import About, compared, content
from moco.comparison.folder import CompareFolder
from moco.comparison.match import Match, Run, runs
from moco.comparison.measures import Comparison
from moco.experiment.strategies import strategies_of
from moco.policy import Policy
from moco.problem import Problem
from moco.report.comparison.page import write_compare_page
from moco.report.comparison.text import summary
from moco.run.uniform_starts import starts_of
from moco.run_folder.comparison_record import ComparisonRecord
from moco.run_folder.writing import opened
from moco.strategy import strategy_warnings
from moco.study import Start
from moco.trial import FIRST_MADE, Evaluation, Point

STAGE = "evaluate"  # the one stage of a callable's evaluation


@dataclass(frozen=True)
class CompareResult:
    """What a comparison found."""

    runs: Sequence[Run]  # all of them, seed by seed
    comparison: Comparison  # the finished ones, with their curves, tests and verdicts
    record: ComparisonRecord  # what RUN/compare.json holds

    @property
    def content(self) -> dict[str, Any]:
        """What RUN/compare.json holds, as JSON (docs/comparing.md)."""
        return self.record.to_json()

    @property
    def text(self) -> str:
        """The outcome in plain sentences."""
        found = summary(self.record)
        return "\n".join([found.headline, *found.more])

    def verdict(self, first: str, second: str) -> str:
        """`better`, `worse` or `cannot tell`, of the first against the second at equal trials.

        By the problem's score, or by the hypervolume where it has several objectives and no score of its own. A
        KeyError where one of them has finished no run.
        """
        for label in (first, second):
            if label not in self.comparison.runs:
                raise KeyError(f"no strategy '{label}' has finished a run; there are {', '.join(self.comparison.runs)}")
        primary = [m for m in self.comparison.measures if m.quantity == self.record.primary]
        return self.comparison.verdict(first, second, primary[0] if primary else None)


def compare(  # noqa: PLR0913, each is a keyword of the published signature
    problem: Problem,
    evaluate: Callable[[Point], Mapping[str, Value]],
    *,
    searchers: Sequence[str | Mapping[str, Any]],
    seeds: int | Sequence[int] = 8,
    trials: int = 100,
    seconds: float | None = None,
    start: str | Sequence[str | Point | Start] = "none",
    reference_point: Mapping[str, float] | None = None,
    evaluation_s: float | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    name: str = "comparison",
    on_run: Callable[[Run], None] | None = None,
) -> CompareResult:
    """Compare searchers on `problem` with `evaluate`.

    Each point is evaluated once, whoever asks for it first, and charged to each run that comes upon it.

    Args:
        evaluate: as for `moco.search`.
        searchers: registered names, or `{"name": …, "label": …, option: value}`; each label once.
        seeds: how many from 0 on, or which.
        trials: the budget of each run.
        seconds: the same in charged seconds.
        start: as for `moco.search`, the same for all.
        reference_point: {objective: value} for the hypervolume; without one the problem's, else a point beyond all
            feasible trials.
        evaluation_s: what an evaluation is charged, where the callable stands in for one that would take that long;
            None takes what the callable took.
        out: a folder for compare.json, compare.html and the ledgers; None writes nothing.
        resume: continue the comparison in `out`; its `evaluate` must still be the same.
        name: what `out` calls it.
        on_run: called after each run.

    Raises:
        ConfigError: an argument is not what it should be, an unknown searcher or option, or one that does not fit the
            problem.
        RunFolderError: `out` cannot be written, or holds another comparison.
    """
    check_problem(problem)
    check_function("evaluate", evaluate, "a point {parameter: value}")
    if on_run is not None:
        check_function("on_run", on_run, "a run")
    check_start(start)
    shared = SharedEvaluations(evaluate, seconds_of("evaluation_s", evaluation_s))
    match = Match(
        problem=problem,
        evaluate=shared,
        strategies=strategies_of(searchers),
        seeds=seeds_of(seeds),
        budget=budget_of(trials, seconds),
        starts=starts_of(problem.space, start),
    )
    match.check()
    cautions = strategy_warnings(match.strategies, problem, match.budget.trials)
    given = reference_point if reference_point is not None else problem.reference_point
    point_of = "the caller" if reference_point is not None else "the problem"
    about = About(name, _start_text(start), None if given is None else losses_at(given, problem), point_of)
    done: list[Run] = []
    with nullcontext() if out is None else opened(Path(out), resume) as lock:
        folder = None if out is None else _folder(Path(out), name, problem, _start_text(start))
        if folder is not None:
            folder.check(match.strategies, match.seeds[0], resume=resume)
        for caution in (*cautions, *(lock.warnings if lock is not None else ())):
            warnings.warn(caution, stacklevel=2)
        try:
            for run in runs(match, folder.ledger if folder is not None else None):
                shared.remember(run)
                done.append(run)
                if folder is not None:
                    folder.write_run(run)
                if on_run is not None:
                    on_run(run)
        except KeyboardInterrupt:  # what is finished is worth reading
            if folder is not None and done:
                folder.write(content(match, done, about, cautions))
            raise
        found = content(match, done, about, cautions)
        if folder is not None:
            folder.write(found)
    return CompareResult(tuple(done), compared(done, about), found)


class SharedEvaluations:
    """Evaluates each policy once, for all runs."""

    def __init__(self, evaluate: Callable[[Point], Mapping[str, Value]], evaluation_s: float | None = None) -> None:
        """Take the callable; nothing is evaluated yet."""
        self._evaluate, self._evaluation_s = evaluate, evaluation_s
        self._known: dict[Policy, Evaluation] = {}

    def __call__(self, policy: Policy) -> Evaluation:
        """The policy's evaluation; one that was made before tells what it took then."""
        if policy in self._known:
            known = self._known[policy]
            return replace(known, seconds={}, details={**known.details, FIRST_MADE: dict(known.seconds)})
        began = time.perf_counter()
        found = evaluation_of(self._evaluate(policy.settings))
        took = time.perf_counter() - began
        evaluation = replace(found, seconds={STAGE: took if self._evaluation_s is None else self._evaluation_s})
        self._known[policy] = evaluation
        return evaluation

    def remember(self, run: Run) -> None:
        """Take over the evaluations of a run: of one that was resumed they are not known yet."""
        for trial in run.trials:
            if trial.policy is not None and trial.evaluation is not None and trial.policy not in self._known:
                first = trial.evaluation.details.get(FIRST_MADE, trial.evaluation.seconds)
                seconds = {STAGE: float(first.get(STAGE, 0.0))}
                self._known[trial.policy] = Evaluation(trial.evaluation.metrics, seconds=seconds)


def _start_text(start: str | Sequence[str | Point | Start]) -> str:
    if isinstance(start, str):
        return start
    return ", ".join(o if isinstance(o, str) else o.name if isinstance(o, Start) else repr(o) for o in start)


def _folder(out: Path, name: str, problem: Problem, start: str) -> CompareFolder:
    """The folder; its trials share the space, the objectives and bounds, and the start."""
    space = {parameter: repr(distribution) for parameter, distribution in problem.space.distributions.items()}
    text = repr((space, dict(problem.objectives), problem.bounds, start))
    return CompareFolder(out, name, problem, Policy.of({"compared": text}).key[:16], write_compare_page)
