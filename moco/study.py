"""The search loop: ask, evaluate, tell, record, report. Owns the history, the budget and the failure policy.

Written for several pending asks: evaluations go to a `concurrent.futures.Executor` and come back by id, in any order.
A trial is in the ledger before the searcher hears of it, so a search that dies loses nothing that was finished.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import dataclass, replace
from typing import Any

from moco.crew import MOST_DOUBTED, Crew, Pending
from moco.errors import DeadlyPolicyError, LostError, MocoError, PolicyRejectedError, RunFolderError, in_one_line
from moco.guarded_searcher import ANSWER_SECONDS, GuardedSearcher
from moco.improvement import Improvement
from moco.inline_executor import InlineExecutor
from moco.interfaces import Ledger, Reporter, Searcher, refuse_misfit
from moco.policy import Policy
from moco.problem import Problem
from moco.processor_clock import ProcessorClock
from moco.redaction import starred
from moco.trial import Evaluation, Point, Suggestion, Trial, TrialState, elapsed_of
from moco.trial_rank import rank

FAILURES_AT_FIRST = 5
"""After so many failed trials in a row (two a worker, if that is more), and no success before, something is broken."""
FAILURES_AFTER_A_SUCCESS = 20
"""Likewise once a trial of this session was complete: what works for some policies is worth going on with.

Where half of a space fails, four of five random searches of 100 trials have five failures in a row, one of 23 has ten,
one of 25,000 has twenty. What fails for ever must end the search all the same.
"""
LOST = LostError, BrokenExecutor  # what ends a search, and makes no trial


class SearchAbortedError(MocoError):
    """Too many trials failed in a row; `trials` are those that were finished, also in the ledger."""

    def __init__(self, text: str, trials: Sequence[Trial] = ()) -> None:
        super().__init__(text)
        self.trials = tuple(trials)


@dataclass(frozen=True)
class Budget:
    """When a search ends."""

    trials: int  # how many finished trials, starts included but for those that are given; duplicates count
    seconds: float | None = None
    """Wall-clock, earlier sessions of a resumed search included, given starts not; None without a limit."""
    answer_seconds: float | None = None
    """How long one ask or tell of the searcher may take; None takes `moco.guarded_searcher.ANSWER_SECONDS`."""
    processor_seconds: float | None = None
    """Of the processor, as the study's clock counts them; None without a limit."""
    patience: int | None = None
    """The search ends after so many counted trials without a better one (`moco.improvement`); None goes on."""


@dataclass(frozen=True)
class Start:
    """A point that the study evaluates before it asks the searcher."""

    name: str
    point: Point
    given: bool = False
    """Declared as known before the search: it counts in no budget, and is evaluated before those that do."""

    def notes(self) -> dict[str, Any]:
        """What stands in its trial's suggestion."""
        return {"start": self.name, "given": True} if self.given else {"start": self.name}


class Study:
    """One search; `run` may be called again with a larger budget."""

    def __init__(  # noqa: PLR0913, each is a part of the loop
        self,
        problem: Problem,
        searcher: Searcher,
        evaluate: Callable[[Policy], Evaluation],
        *,
        starts: Sequence[Start] = (),
        ledger: Ledger | None = None,
        reporters: Sequence[Reporter] = (),
        heard: Callable[[Trial], Trial] | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Take up where the ledger ends: the searcher is told all that it holds.

        `heard` makes of a trial what the searcher hears of it, by default the trial as it is; of trained finalists it
        never hears. `clock` counts the processor seconds of the search; without one they are counted where a budget
        limits them. A ConfigError where the searcher cannot take the problem.
        """
        refuse_misfit(searcher, type(searcher).__name__, problem)
        self.problem, self.searcher, self.evaluate = problem, searcher, evaluate
        self.ledger, self.reporters, self.clock = ledger, reporters, clock
        self.trials: list[Trial] = list(ledger.trials()) if ledger is not None else []
        self.stop_requested = False
        self._known: dict[Policy, Trial] = {}
        self._last_record_s = self._last_tell_s = 0.0
        self._n_policies = problem.space.n_policies()
        self._earlier_s = elapsed_of(self.trials)
        self._n_beside = 0
        self._counting_since: float | None = None
        self._workers = 1
        self._failed_in_a_row, self._has_succeeded = 0, False  # of this session: its cause may be mended since the last
        for trial in self.trials:
            self._remember(trial)
        self._begin(searcher, heard)
        taken = {trial.suggestion.id for trial in self.trials}
        suggestions = [Suggestion(-1 - i, start.point, start.notes()) for i, start in enumerate(starts)]
        left = (suggestion for suggestion in suggestions if suggestion.id not in taken)
        self._starts_left = sorted(left, key=lambda suggestion: not suggestion.given)

    def suggest(self, suggestion: Suggestion) -> None:
        """Evaluate this, which is not the searcher's, before the searcher is asked again; it counts in the budget."""
        self._starts_left.append(suggestion)

    def begin_anew(self, searcher: Searcher, heard: Callable[[Trial], Trial] | None = None) -> None:
        """Go on with a searcher that has been told nothing: it hears all trials so far, as `heard` has them.

        The budget's patience counts from here.
        """
        self._begin(searcher, heard)
        self._progress.since = 0

    def _begin(self, searcher: Searcher, heard: Callable[[Trial], Trial] | None) -> None:
        self.searcher, self.heard = searcher, heard
        self._guarded = GuardedSearcher(searcher, self.problem.space, self._aborted)
        self._progress = Improvement()
        for trial in self.trials:
            self._tell(trial)

    @property
    def elapsed_s(self) -> float:
        """Wall-clock seconds of this search, earlier sessions included, however many workers there were.

        Given starts, which go first, are left out: the clock runs from the first suggestion on that counts.
        """
        now = 0.0 if self._counting_since is None else time.perf_counter() - self._counting_since
        return self._earlier_s + now

    @property
    def n_counted(self) -> int:
        """Number of trials that count in the budget: all but given starts and finalists."""
        return len(self.trials) - self._n_beside

    @property
    def n_distinct(self) -> int:
        """Number of distinct policies that were evaluated."""
        return sum(trial.distinct for trial in self.trials)

    def run(
        self,
        budget: Budget,
        *,
        executor: Executor | None = None,
        workers: int = 1,
        on_trial: Callable[[Trial], None] | None = None,
    ) -> list[Trial]:
        """Search until the budget is spent, the space is exhausted or a stop is requested.

        The `executor` runs the evaluations, of which so many `workers` may be pending; without one they run inline.
        `on_trial` is called after each recorded trial. A SearchAbortedError where too many trials failed in a row:
        five, or two a worker, where none has succeeded in this session, otherwise 20; or where the searcher fails, or
        gives no answer in time. A RunFolderError where the ledger or a candidate's file cannot be written; a
        DeviceLostError or WorkersLostError where the device went away, or workers die: no trial is made of it, and the
        error has the finished ones. A policy at which workers die is a failed trial, unless five such come in a row.
        """
        if budget.processor_seconds is not None and self.clock is None:
            self.clock = ProcessorClock(max((trial.processor_s or 0.0 for trial in self.trials), default=0.0))
        crew, self._workers = Crew(executor or InlineExecutor(), self.evaluate), workers
        self._guarded.limit_s = budget.answer_seconds or ANSWER_SECONDS
        lost: Any = None
        try:
            while True:
                while lost is None and len(crew) < workers + len(crew.doubted) and self._may_ask(budget, crew):
                    asked = self._ask()
                    if asked.policy in self._known:
                        self._finish(asked, replace(self._known[asked.policy], distinct=False), on_trial)
                    else:
                        crew.take(asked)
                if not len(crew):
                    if lost is not None:
                        lost.trials = tuple(self.trials)
                        raise lost
                    return self.trials
                done = crew.finished()
                many = len(done) >= MOST_DOUBTED and all(isinstance(f.exception(), LOST) for _, f in done)
                for asked, future in done:
                    gone = future.exception()
                    if isinstance(gone, LOST) and (lost or many or not isinstance(gone, DeadlyPolicyError)):
                        lost = gone  # no trial; what other workers have under way is recorded before the search ends
                    else:
                        self._finish(asked, self._outcome(future), on_trial)
                self._take_twins(crew, on_trial, more=lost is None)
        finally:
            self._earlier_s, self._counting_since = self.elapsed_s, None

    def _take_twins(self, crew: Crew, on_trial: Callable[[Trial], None] | None, *, more: bool) -> None:
        """Finish those whose twin is done; where it failed they get their own evaluation, if there is to be `more`."""
        for asked in crew.twins():
            if asked.policy in self._known:
                self._finish(asked, replace(self._known[asked.policy], distinct=False), on_trial)
            elif more:
                crew.take(asked)

    def _may_ask(self, budget: Budget, crew: Crew) -> bool:
        if self.stop_requested:
            return False
        if self._starts_left and self._starts_left[0].given:
            return True
        if self.n_counted + crew.n_counted >= budget.trials or self._is_late(budget) or self._is_stalled(budget):
            return False
        return self._n_policies is None or len(self._known) + len(crew) < self._n_policies

    def _is_late(self, budget: Budget) -> bool:
        late = budget.seconds is not None and self.elapsed_s >= budget.seconds
        spent_s = None if self.clock is None else self.clock()
        limit_s = budget.processor_seconds
        return late or (limit_s is not None and spent_s is not None and spent_s >= limit_s)

    def _is_stalled(self, budget: Budget) -> bool:
        return budget.patience is not None and not self._starts_left and self._progress.since >= budget.patience

    def _ask(self) -> Pending:
        started = time.perf_counter()
        if self._starts_left:
            suggestion = self._starts_left.pop(0)
            policy = self.problem.space.canonical(suggestion.point)
        else:
            suggestion, policy = self._guarded.ask()
        if self._counting_since is None and not suggestion.given:
            self._counting_since = started
        return Pending(suggestion, policy, started, time.perf_counter() - started)

    def _aborted(self, text: str) -> SearchAbortedError:
        return SearchAbortedError(text, self.trials)

    def _outcome(self, future: Future[Evaluation]) -> Trial:
        """The trial that the evaluation gives, its number and suggestion still to be filled in."""
        blank = Trial(-1, Suggestion(0, {}), TrialState.FAILED, {})
        try:
            evaluation = future.result()
            outcome = self.problem.judge(evaluation)
            score = self.problem.score(evaluation)
        except PolicyRejectedError as error:
            return replace(blank, state=TrialState.REJECTED, reason=starred(str(error)))
        except RunFolderError:  # a full disk is no fault of the candidate's, which would count in the budget
            raise
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a candidate may fail in any way, by `sys.exit` too; the search goes on
            return replace(blank, reason=starred(in_one_line(error)))
        return replace(blank, state=TrialState.COMPLETE, evaluation=evaluation, outcome=outcome, score=score)

    def _finish(self, asked: Pending, ended: Trial, on_trial: Callable[[Trial], None] | None) -> None:
        """Number the trial, record it, tell the searcher, report it."""
        trial = replace(
            ended,
            number=len(self.trials),
            suggestion=asked.suggestion,
            policy=asked.policy,
            point=self.problem.space.executed(asked.policy, asked.suggestion.point),
            seconds=time.perf_counter() - asked.started + self._last_record_s + self._last_tell_s,
            elapsed_s=self.elapsed_s,
            processor_s=None if self.clock is None else self.clock(),
        )
        if trial.evaluation is not None:
            # How long it takes to write a trial and to tell it is known afterwards, so it is charged to the next one.
            spent = {"search": asked.search_s + self._last_tell_s, "record": self._last_record_s}
            seconds = {**trial.evaluation.seconds, **spent} if trial.distinct else spent
            trial = replace(trial, evaluation=replace(trial.evaluation, seconds=seconds))
        started = time.perf_counter()
        self._record(trial)
        self._last_record_s = time.perf_counter() - started
        started = time.perf_counter()
        self._tell(trial)
        self._last_tell_s = time.perf_counter() - started
        if on_trial is not None:
            on_trial(trial)
        self._check_failures(trial)

    def add(self, suggestion: Suggestion, policy: Policy, make: Callable[[], tuple[Policy, Evaluation]]) -> Trial:
        """Record what is not the searcher's, a finalist: `make` trains it, and gives its policy and its evaluation.

        The `policy` is the untrained one, of which a trial that fails is.
        """
        started, future = time.perf_counter(), Future[Evaluation]()
        try:
            policy, evaluation = make()
            future.set_result(evaluation)
        except (KeyboardInterrupt, RunFolderError, *LOST):
            raise
        except BaseException as error:  # as of any candidate
            future.set_exception(error)
        seconds = time.perf_counter() - started
        self._earlier_s += seconds
        trial = replace(
            self._outcome(future),
            number=len(self.trials),
            suggestion=suggestion,
            policy=policy,
            point=suggestion.point,
            seconds=seconds,
            elapsed_s=self.elapsed_s,
            processor_s=None if self.clock is None else self.clock(),
        )
        self._record(trial)
        return trial

    def _record(self, trial: Trial) -> None:
        if self.ledger is not None:
            self.ledger.record(trial)
        for reporter in self.reporters:
            reporter.report(trial)
        self.trials.append(trial)
        self._remember(trial)

    def _tell(self, trial: Trial) -> None:
        """Let the searcher hear of the trial, unless it is a finalist."""
        if not trial.suggestion.finalist:
            heard = trial if self.heard is None else self.heard(trial)
            ranked = rank(heard) if heard.state is TrialState.COMPLETE else None
            self._progress.see(ranked, counted=heard.suggestion.counted)
            self._guarded.tell(heard)

    def _remember(self, trial: Trial) -> None:
        if not trial.suggestion.counted:
            self._n_beside += 1
        if trial.policy is not None and trial.state is not TrialState.FAILED:
            self._known.setdefault(trial.policy, trial)

    def _check_failures(self, trial: Trial) -> None:
        """Pass a trial after which it is worth going on; what is only told again shows nothing."""
        if not trial.distinct:
            return
        self._failed_in_a_row = self._failed_in_a_row + 1 if trial.state is TrialState.FAILED else 0
        self._has_succeeded |= trial.state is TrialState.COMPLETE
        # What fails at once comes back before the first success of its fellow workers does.
        most = FAILURES_AFTER_A_SUCCESS if self._has_succeeded else max(FAILURES_AT_FIRST, 2 * self._workers)
        if self._failed_in_a_row >= most:
            raise SearchAbortedError(
                f"the last {self._failed_in_a_row} trials failed, the last one (trial {trial.number}) with: "
                f"{trial.reason}; a policy that cannot be evaluated is no failure where "
                "moco.errors.PolicyRejectedError is raised for it",
                self.trials,
            )
