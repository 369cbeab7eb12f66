"""The condition that a processor is in while it is timed: who governs its clock, how fast it runs, how warm it is.

Read from Linux's files; where there are none, as in most virtual machines, the answer is None and never a number.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SYSTEM = Path("/sys")
STEADY = "performance"
"""The governor that lets the clock alone; others follow the load, and so the network that was timed before."""
SLOWED = 0.9
"""Of its clock before a measurement: below that, the processor was throttled meanwhile."""


@dataclass(frozen=True)
class Condition:
    """Of the whole processor, at one moment."""

    governor: str | None  # of the first core
    clock_mhz: float | None  # of the fastest core: idle ones are slow, the timed one is not
    temperature_c: float | None  # of the warmest zone

    def to_json(self) -> dict[str, Any]:
        """By name."""
        return dict(vars(self))

    def slowed_to(self, later: Condition) -> float | None:
        """The clock some time later as a share of this one, where it has fallen below `SLOWED`; else None."""
        if self.clock_mhz is None or later.clock_mhz is None or later.clock_mhz >= SLOWED * self.clock_mhz:
            return None
        return later.clock_mhz / self.clock_mhz


def condition(system: Path = SYSTEM) -> Condition:
    """What the files below `system` say now."""
    cores = system / "devices/system/cpu"
    khz = _numbers(cores, "cpu[0-9]*/cpufreq/scaling_cur_freq")
    milli_c = _numbers(system / "class/thermal", "thermal_zone*/temp")
    return Condition(
        governor=_text(cores / "cpu0/cpufreq/scaling_governor"),
        clock_mhz=max(khz, default=None) and round(max(khz) / 1000, 1),
        temperature_c=max(milli_c, default=None) and round(max(milli_c) / 1000, 1),
    )


def _numbers(folder: Path, pattern: str) -> list[float]:
    """The positive numbers in the files of that pattern; a sensor that gives none, or is off, is left out."""
    return [number for path in sorted(folder.glob(pattern)) for number in _number(path) if number > 0]


def _number(path: Path) -> Iterator[float]:
    with suppress(ValueError):
        yield float(_text(path) or "")


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
