"""Runs a reporter on a thread of its own: late, broken or stuck, it costs the search nothing but its reports."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moco.interfaces import Reporter
from moco.redaction import starred
from moco.tracking.messages import error_line
from moco.trial import Trial

PAUSE_S = 0.15
"""A report waits that long. Right after a trial the search proposes and builds the next candidate in Python, and a
thread beside it takes the interpreter away: 18 ms a candidate. Later images run through torch, which needs none."""


class BackgroundReporter:
    """A reporter (`moco.interfaces.Reporter`) that returns at once and never raises; see `warnings` in the end."""

    def __init__(
        self,
        reporter: Reporter,
        name: str,  # how warnings call it
        queue_limit: int = 1000,  # calls that may wait; trials beyond are dropped
        close_timeout_s: float = 30.0,  # how long `finish` waits for the rest to be written
        hide: Callable[[str], str] = starred,  # takes secrets out of what an error says
    ) -> None:
        """Wrap a reporter: it is called on one thread only, which starts with the search, and in its order."""
        self._reporter, self._name, self._hide = reporter, name, hide
        self._queue_limit, self._close_timeout_s = queue_limit, close_timeout_s
        self._waiting: deque[Callable[[], None]] = deque()
        self._changed, self._calling = threading.Condition(), threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = self._gave_up = False
        self._problem: str | None = None
        self._reported = self._written = self._calls = self._waited_for = 0

    @property
    def warnings(self) -> tuple[str, ...]:
        """After `finish`: nothing, or one text that says what is missing and why."""
        if self._problem is None:
            return ()
        lost = self._reported - self._written
        missing = f"{lost} of {self._reported} trials are missing there" if lost else "its summary is incomplete"
        return (f"{self._name}: {missing}: {self._problem}; the search and its run folder are complete without it",)

    def start(self, manifest: Mapping[str, Any], folder: Path) -> None:
        """Queue the start of the search; a reporter that fails here is left alone from then on."""
        self._waiting.append(lambda: self._start(manifest, folder))
        self._thread = threading.Thread(target=self._work, name=f"moco-{self._name}", daemon=True)
        self._thread.start()

    def report(self, trial: Trial) -> None:
        """Queue a trial; it is dropped where too many wait already."""
        with self._changed:
            self._reported += 1
            if self._gave_up:
                return
            if len(self._waiting) >= self._queue_limit:
                self._problem = self._problem or f"it is too slow, {self._queue_limit} reports were waiting"
                return
            self._waiting.append(lambda: self._report(trial))
            self._changed.notify()

    def finish(self, result: Mapping[str, Any], folder: Path) -> None:
        """Queue the end of the search and wait for the thread, no longer than the time-out."""
        self._close(lambda: self._reporter.finish(result, folder))

    def abandon(self) -> None:
        """Queue the news that there is no result, and wait as `finish` does."""
        self._close(self._reporter.abandon)

    def _close(self, last: Callable[[], None]) -> None:
        if self._thread is None or self._closing:
            return
        with self._changed:
            self._closing = True
            if not self._gave_up:
                self._waiting.append(last)
            self._changed.notify()
        self._thread.join(self._close_timeout_s)
        if self._thread.is_alive():
            self._give_up(f"it was not done {self._close_timeout_s:g} s after the search")

    @contextmanager
    def quiet(self, wait_s: float = 1.0) -> Iterator[None]:
        """Hold the reporter's next call back, for a block that takes timings.

        A thread that works beside a timed one takes the interpreter from it for 5 ms at a time. A call that is under
        way is given `wait_s` to end, once; then the block runs beside it.
        """
        held = self._calling.acquire(timeout=0 if self._waited_for == self._calls else wait_s)
        if not held:
            self._waited_for = self._calls
        try:
            yield
        finally:
            if held:
                self._calling.release()

    def _start(self, manifest: Mapping[str, Any], folder: Path) -> None:
        try:
            self._reporter.start(manifest, folder)
        except BaseException as error:
            self._give_up(error_line(error, self._hide))

    def _report(self, trial: Trial) -> None:
        self._reporter.report(trial)
        self._written += 1

    def _work(self) -> None:
        while (call := self._next()) is not None:
            with self._calling:
                self._calls += 1
                try:
                    call()
                except BaseException as error:  # also SystemExit: nobody above this thread would hear of it
                    self._problem = self._problem or error_line(error, self._hide)

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing or self._gave_up)
            self._changed.wait_for(lambda: self._closing or self._gave_up, timeout=PAUSE_S)
            return self._waiting.popleft() if self._waiting else None

    def _give_up(self, reason: str) -> None:
        with self._changed:
            self._gave_up = True
            self._problem = self._problem or reason
            self._waiting.clear()
