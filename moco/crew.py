"""The evaluations of a study that are under way at the same time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass

from moco.errors import DeadlyPolicyError
from moco.policy import Policy
from moco.trial import Evaluation, Suggestion

MOST_DOUBTED = 5
"""At so many policies in a row workers have died: it is not the policies."""


@dataclass(frozen=True)
class Pending:
    """A suggestion whose evaluation is under way."""

    suggestion: Suggestion
    policy: Policy
    started: float  # of the clock `time.perf_counter`
    search_s: float  # that the searcher took to suggest it


class Crew:
    """The evaluations under way; a policy that is under way already waits for its twin."""

    def __init__(self, executor: Executor, evaluate: Callable[[Policy], Evaluation]) -> None:
        """Begin with none."""
        self._executor, self._evaluate = executor, evaluate
        self._pending: dict[Future[Evaluation], Pending] = {}
        self._waiting: list[Pending] = []
        self.doubted: set[Future[Evaluation]] = set()  # at these workers have died; they are pending still

    def __len__(self) -> int:
        return len(self._pending) + len(self._waiting)

    @property
    def n_counted(self) -> int:
        """How many of them count in the budget."""
        return sum(asked.suggestion.counted for asked in (*self._pending.values(), *self._waiting))

    def take(self, asked: Pending) -> None:
        """Begin the evaluation, or let it wait for that of the same policy."""
        if any(asked.policy == other.policy for other in self._pending.values()):
            self._waiting.append(asked)
        else:
            self._pending[self._executor.submit(self._evaluate, asked.policy)] = asked

    def finished(self) -> list[tuple[Pending, Future[Evaluation]]]:
        """Those that are done, in the order in which they were asked; maybe none.

        What workers have died at comes with the next that ends otherwise, and alone where there is none or after many.
        """
        done = wait(self._pending.keys() - self.doubted, return_when=FIRST_COMPLETED).done
        self.doubted |= done
        deadly = all(isinstance(future.exception(), DeadlyPolicyError) for future in done)
        if done and deadly and len(self.doubted) < MOST_DOUBTED:
            return []
        done, self.doubted = self.doubted, set()
        taken = [(self._pending.pop(future), future) for future in done]
        return sorted(taken, key=lambda pair: pair[0].started)

    def twins(self) -> list[Pending]:
        """Those that waited for an evaluation that is done now; they are no longer in the crew."""
        busy = {asked.policy for asked in self._pending.values()}
        free = [asked for asked in self._waiting if asked.policy not in busy]
        self._waiting = [asked for asked in self._waiting if asked.policy in busy]
        return free
