"""Energy of a meter that gives power: its integral over time, by the trapezoidal rule."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from moco.errors import MeasurementError

JOIN_S = 1.0


class PowerIntegral:
    """Reads a meter every so often from its first use on, in a thread of its own, and once more when it is asked.

    A meter that fails is told by the next `joules`; time that did not pass, or went backwards, adds nothing.
    """

    def __init__(
        self, watts: Callable[[], float], interval_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Take what reads the meter, in watts; it raises OSError or ValueError where it cannot be read."""
        self._watts, self._interval_s, self._clock = watts, interval_s, clock
        self._lock, self._over = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        self._joules = 0.0
        self._last: tuple[float, float] | None = None  # seconds and watts
        self._fault: Exception | None = None

    def joules(self) -> float:
        """Energy since the first call; a MeasurementError where the meter could not be read since the last one."""
        self._take()
        fault, self._fault = self._fault, None
        if fault is not None:
            raise MeasurementError(f"the power meter cannot be read: {' '.join(str(fault).split())}") from fault
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="power meter", daemon=True)
            self._thread.start()
        return self._joules

    def close(self) -> None:
        """Read no more."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(JOIN_S)

    def _run(self) -> None:
        while not self._over.wait(self._interval_s):
            self._take()

    def _take(self) -> None:
        with self._lock:
            try:
                now, watts = self._clock(), self._watts()
            except (OSError, ValueError) as error:
                self._fault, self._last = error, None  # what it took meanwhile is not known
                return
            if self._last is not None:
                before, earlier = self._last
                self._joules += max(now - before, 0.0) * (watts + earlier) / 2
            self._last = now, watts
