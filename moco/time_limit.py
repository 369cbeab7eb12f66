"""Calls of code that may never return: made in a thread of their own, and waited for so long."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
_Task = tuple[Callable[..., Any], tuple[Any, ...], Future[Any]]


class CallTimeoutError(Exception):
    """A call did not return in time; it is still under way, and nothing more can be called by the same caller."""


class TimeLimitedCaller:
    """Makes one call after another in one thread, which ends with this object, or with the process.

    One thread for all: libraries keep settings and pools of threads by the thread that calls them.
    """

    def __init__(self) -> None:
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._is_stuck = False
        threading.Thread(target=_serve, args=(self._tasks,), daemon=True, name="moco-searcher").start()
        weakref.finalize(self, self._tasks.put, None)

    def __call__(self, seconds: float, function: Callable[..., T], *args: Any) -> T:
        """What the function returns, waited for at most so many seconds.

        Raises:
            CalledError: the function raised something, SystemExit and KeyboardInterrupt included.
            CallTimeoutError: it takes longer, or an earlier call has not returned.
            KeyboardInterrupt: the user's, which arrives in the main thread and ends the waiting.
        """
        if self._is_stuck:
            raise CallTimeoutError
        answer: Future[T] = Future()
        self._tasks.put((function, args, answer))
        self._is_stuck = True
        try:
            error = answer.exception(min(seconds, threading.TIMEOUT_MAX))
        except TimeoutError:
            raise CallTimeoutError from None
        self._is_stuck = False
        if error is not None:
            raise CalledError(error) from error
        return answer.result()


class CalledError(Exception):
    """What the called function raised, as `error`: a KeyboardInterrupt of its own is none of the user's."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(type(error).__name__)
        self.error = error


def _serve(tasks: SimpleQueue[_Task | None]) -> None:
    while (task := tasks.get()) is not None:
        function, args, answer = task
        try:
            answer.set_result(function(*args))
        except BaseException as error:  # handed to the one who waits
            answer.set_exception(error)
        del task, function, args, answer  # nothing that was told is kept until the next call
