"""What a search costs: processor seconds of this process and of all that it started, other programs left out.

Wall-clock seconds change with whatever else a machine does; these are what a result can be compared by.
"""

from __future__ import annotations

from contextlib import suppress

import psutil


class ProcessorClock:
    """Processor seconds since it was made, on top of those of earlier sessions."""

    def __init__(self, earlier_s: float = 0.0) -> None:
        """Begin now; `earlier_s` is what earlier sessions of the same search have spent."""
        self.earlier_s = earlier_s
        self._began_s = _spent_s()

    def __call__(self) -> float:
        """Seconds so far."""
        return self.earlier_s + _spent_s() - self._began_s


def _spent_s() -> float:
    """Of this process, its living descendants, and those that have ended and were waited for."""
    own = psutil.Process()
    total_s = 0.0
    for process in (own, *own.children(recursive=True)):
        with suppress(psutil.Error):  # it has just ended: its parent has its seconds now
            times = process.cpu_times()
            total_s += times.user + times.system
            total_s += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return total_s
