"""The runs of a comparison: each strategy with each seed on the same problem, start, budget and evaluations.

Seed by seed, so that a comparison that is broken off has whole seeds of all strategies. A run that fails is noted, and
the others go on. Every run has a ledger of its own; one that is full there is not run again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from enum import StrEnum

from moco.comparison.curves import charged_s, counted
from moco.errors import ConfigError, DeviceLostError, RunFolderError, WorkersLostError, in_one_line
from moco.interfaces import Ledger
from moco.policy import Policy
from moco.problem import Problem
from moco.strategy import Strategy
from moco.study import Budget, SearchAbortedError, Start, Study
from moco.trial import Evaluation, Trial, TrialState


class RunState(StrEnum):
    """How far a run came."""

    FINISHED = "finished"
    UNFINISHED = "unfinished"
    FAILED = "failed"


@dataclass(frozen=True)
class Match:
    """What is the same for all strategies.

    All runs share `evaluate`; a stored evaluation tells what it took when first made (see `moco.comparison.curves`).
    """

    problem: Problem
    evaluate: Callable[[Policy], Evaluation]
    strategies: tuple[Strategy, ...]
    seeds: tuple[int, ...]  # of the searchers; the problem is the same under each
    budget: Budget  # of each run; its seconds are charged ones
    starts: Sequence[Start] = ()
    executor: Executor | None = None  # what runs the evaluations, and how many at the same time; see `Study.run`
    workers: int = 1

    def spent(self, trials: Sequence[Trial]) -> bool:
        """Whether a run is over: its budget is spent, or its space is exhausted."""
        if len(counted(trials)) >= self.budget.trials or self.out_of_time(trials):
            return True
        policies = self.problem.space.n_policies()
        known = {trial.policy for trial in trials if trial.policy is not None and trial.state is not TrialState.FAILED}
        return policies is not None and len(known) >= policies

    def out_of_time(self, trials: Sequence[Trial]) -> bool:
        """Whether the charged seconds of a run's budget are spent."""
        return self.budget.seconds is not None and math.fsum(map(charged_s, trials)) >= self.budget.seconds

    def check(self) -> None:
        """Pass strategies that can take the problem; a ConfigError names one that cannot, and what is in the way."""
        for strategy in self.strategies:
            strategy.check(self.problem)


@dataclass(frozen=True)
class Run:
    """One strategy with one seed; `reason` says why it failed."""

    label: str
    seed: int
    trials: tuple[Trial, ...]
    state: RunState
    reason: str | None = None


class Watcher:
    """Hears how the comparison goes on; this one shows nothing and never stops."""

    def begin(self, study: Study, strategy: Strategy, seed: int) -> None:
        """A run is about to begin, or to go on."""

    def trial(self, trial: Trial) -> None:
        """A trial of the present run is over."""

    @property
    def stopping(self) -> bool:
        """Whether the comparison is to end: the present run is the last one."""
        return False


OpensLedger = Callable[[Strategy, int], AbstractContextManager[Ledger | None]]
"""Opens the ledger of a strategy and a seed; None keeps no record."""


def runs(match: Match, ledger: OpensLedger | None, watcher: Watcher | None = None) -> Iterator[Run]:
    """Each run as it is over, seed by seed; ends early where the watcher wants to stop.

    Raises:
        RunFolderError: a ledger, or a candidate's file, cannot be written.
        DeviceLostError, WorkersLostError: the device went away, or workers die.
    """
    watcher = watcher or Watcher()
    warmed: set[str] = set()
    for seed in match.seeds:
        for strategy in match.strategies:
            if watcher.stopping:
                return
            with ledger(strategy, seed) if ledger is not None else nullcontext() as opened:
                yield _run(match, strategy, seed, opened, watcher, warmed)


def _run(match: Match, strategy: Strategy, seed: int, ledger: Ledger | None, watcher: Watcher, warmed: set[str]) -> Run:
    recorded = tuple(ledger.trials()) if ledger is not None else ()
    if match.spent(recorded):
        return Run(strategy.label, seed, recorded, RunState.FINISHED)
    study: Study | None = None
    try:
        if strategy.label not in warmed:
            strategy.warm_up(match.problem, seed)  # imports of libraries, which take seconds, are no run's
            warmed.add(strategy.label)
        searcher = strategy.build(match.problem, seed)
        study = Study(match.problem, searcher, match.evaluate, starts=match.starts, ledger=ledger)
        watcher.begin(study, strategy, seed)
        _search(match, study, watcher)
    except (RunFolderError, DeviceLostError, WorkersLostError):  # of the machine, no fault of the strategy's
        raise
    except SearchAbortedError as error:
        return Run(strategy.label, seed, error.trials, RunState.FAILED, str(error))
    except Exception as error:  # a strategy may fail in any way; the others go on
        trials = tuple(study.trials) if study is not None else recorded
        return Run(strategy.label, seed, trials, RunState.FAILED, in_one_line(error))
    state = RunState.FINISHED if match.spent(study.trials) else RunState.UNFINISHED
    return Run(strategy.label, seed, tuple(study.trials), state)


def _search(match: Match, study: Study, watcher: Watcher) -> None:
    """Run the study within the budget, its seconds as they are charged and not as the clock has them."""

    def heard(trial: Trial) -> None:
        watcher.trial(trial)
        if match.out_of_time(study.trials):
            study.stop_requested = True

    study.run(replace(match.budget, seconds=None), executor=match.executor, workers=match.workers, on_trial=heard)


def check_seeds(seeds: int | Sequence[int], first: int = 0) -> tuple[int, ...]:
    """So many seeds from `first` on, or those given; a ConfigError on none, one below 0 or not whole, or a repeat."""
    given = tuple(range(first, first + seeds)) if isinstance(seeds, int) else tuple(seeds)
    if not given or isinstance(seeds, bool):
        raise ConfigError(f"seeds: expected at least 1, got {seeds!r}")
    for seed in given:
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ConfigError(f"seeds: expected whole numbers of at least 0, got {seed!r}")
    if len(set(given)) < len(given):
        raise ConfigError(f"seeds: expected each once, got {list(given)}")
    return given
