"""`moco.search`: any searcher on any callable, without a network, a file or a tracker."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from moco import pareto
from moco.app.arguments import budget_of, check_function, check_problem, check_start, losses_at, options_given, whole
from moco.errors import ConfigError
from moco.execution.workers import Execution, in_workers, too_many_workers
from moco.experiment.options import name_and_options, options_of
from moco.interfaces import refuse_misfit
from moco.metrics import real_number
from moco.policy import Policy
from moco.problem import Problem
from moco.registry import DEFAULT_SEARCHER, blaming, plugin
from moco.run.uniform_starts import starts_of
from moco.strategy import Strategy, strategy_warnings
from moco.study import SearchAbortedError, Start, Study
from moco.trial import Evaluation, MetricValue, Point, Trial, TrialState
from moco.trial_rank import best

Value = float | tuple[float, float | None]


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        trials: all of them, in the order of finishing.
    """

    problem: Problem
    trials: Sequence[Trial]

    @property
    def front(self) -> list[Trial]:
        """Feasible trials that no other dominates."""
        return pareto.front(self.trials)

    @property
    def failed(self) -> list[Trial]:
        """Trials whose evaluation raised or gave no usable numbers; `reason` says why. A rejected policy is none."""
        return [trial for trial in self.trials if trial.state is TrialState.FAILED]

    @property
    def best(self) -> Trial | None:
        """The best trial by the problem's score; infeasible only where none is feasible."""
        return best(self.trials)

    def hypervolume(self, reference_point: Mapping[str, float] | None = None) -> float:
        """Volume between the front and the reference point, given as values by objective.

        Raises:
            ConfigError: no reference point, here or in the problem, or one that lacks an objective.
        """
        point = reference_point if reference_point is not None else self.problem.reference_point
        if point is None:
            raise ConfigError("hypervolume: give a reference point, {objective: value}")
        losses = [trial.outcome.losses for trial in self.front if trial.outcome is not None]
        return pareto.hypervolume(losses, losses_at(point, self.problem))


def search(  # noqa: PLR0913, each is a keyword of the published signature
    problem: Problem,
    evaluate: Callable[[Point], Mapping[str, Value]],
    *,
    searcher: str | Mapping[str, Any] = DEFAULT_SEARCHER,
    trials: int = 100,
    seconds: float | None = None,
    seed: int = 0,
    start: str | Sequence[str | Point | Start] = "none",
    options: Mapping[str, Any] | None = None,
    on_trial: Callable[[Trial], None] | None = None,
    workers: int = 1,
    answer_seconds: float | None = None,
) -> SearchResult:
    """Search `problem` with `evaluate`.

    Args:
        evaluate: gives a value, or (value, standard error), by name for a point {parameter: value}. It may raise
            `moco.errors.PolicyRejectedError` for a point that cannot be built; any other exception, a missing name or
            NaN makes the trial fail with its reason, and the search goes on; it warns of such trials at its end.
        searcher: a registered searcher, or `{"name": …}` with its options beside the name.
        trials: the budget; a finite space that is exhausted ends the search before.
        seconds: the budget in wall-clock time; None sets no limit.
        start: `none`, `reference` or `ladder`, evaluated first, inside the budget; or a list of these, of points
            {parameter: value}, and of `moco.study.Start`, which may also be given: known, and in no budget.
        options: of the searcher.
        workers: processes that evaluate at the same time, forked from this one: `evaluate` works on a copy of what it
            refers to, and `on_trial` is called in this process.
        answer_seconds: how long one ask or tell of the searcher may take; None takes an hour.

    Raises:
        ConfigError: an argument is not what it should be, such as a budget that is no number; an unknown searcher or
            option; a searcher that cannot take the problem; or a start outside the space.
        SearchAbortedError: five trials failed in a row and none has succeeded, or 20 did; the searcher fails, or gives
            no answer; or `on_trial` fails. The error has the finished `trials`.
        WorkersLostError: worker processes die, whatever they evaluate; it has the finished `trials` too.
    """
    check_problem(problem)
    check_function("evaluate", evaluate, "a point {parameter: value}")
    if on_trial is not None:
        check_function("on_trial", on_trial, "a trial")
    budget = budget_of(trials, seconds, answer_seconds)
    seed, workers = whole("seed", seed, 0), whole("workers", workers, 1)
    name, given = name_and_options("searcher", searcher, "searcher")
    kind = plugin("searcher", name)
    refuse_misfit(kind, name, problem)
    check_start(start)
    chosen = starts_of(problem.space, start)
    chosen_options = options_of(kind.Options, {**given, **options_given(options)}, "options")
    strategy = Strategy("searcher", name, chosen_options, kind).within(budget.answer_seconds)
    built = strategy.build(problem, seed)
    for warning in [*strategy_warnings([strategy], problem, budget.trials), *too_many_workers(workers)]:
        warnings.warn(warning, stacklevel=2)

    def evaluated(policy: Policy) -> Evaluation:
        return evaluation_of(evaluate(policy.settings))

    here = nullcontext(Execution(evaluated))
    processes = min(workers, budget.trials + len(chosen))
    with here if workers == 1 else in_workers(processes, lambda: evaluated, "fork") as where:
        study = Study(problem, built, where.evaluate, starts=chosen)

        def heard(trial: Trial) -> None:
            with blaming("on_trial failed", partial(SearchAbortedError, trials=study.trials)):
                on_trial(trial.copied())  # type: ignore[misc]

        on_each = None if on_trial is None else heard
        study.run(budget, executor=where.executor, workers=where.workers, on_trial=on_each)
    result = SearchResult(problem, tuple(study.trials))
    if result.failed:
        told = f"{len(result.failed)} of {len(result.trials)} trials failed, the first with: {result.failed[0].reason}"
        warnings.warn(told, stacklevel=2)
    return result


def evaluation_of(given: object) -> Evaluation:
    """The evaluation of {name: number or (number, standard error)}; else a TypeError or ValueError: a failed trial."""
    if not isinstance(given, Mapping):
        raise TypeError(f"expected {{name: number}} of the callable, got {given!r}")
    return Evaluation({str(name): as_metric(str(name), value) for name, value in given.items()})


def as_metric(name: str, value: object) -> MetricValue:
    """A number, or (number, standard error), as the metric of that name; a ValueError where it is neither."""
    pair = value if isinstance(value, tuple) else (value, None)
    with suppress(TypeError, ValueError, OverflowError):
        number, sem = pair
        found = MetricValue(real_number(number), None if sem is None else real_number(sem))
        if not (found.sem or 0.0) < 0:
            return found
    raise ValueError(f"'{name}': expected a number or (number, standard error), got {value!r}")
