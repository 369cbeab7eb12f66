"""tegrastats: the line that NVIDIA's Jetson boards print of themselves every so often, with the power of their rails.

A line is text such as `RAM 2448/30536MB … CPU [1%@729,off] … VDD_GPU_SOC 2375mW/2375mW VDD_CPU_CV 0mW/23mW`: a rail's
name, its power, and on most boards its mean since the program began, which is not used. Without root some boards print
no rails. Not tried on a board; tests read lines as boards print them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from moco.errors import ConfigError, MeasurementError
from moco.hardware.counters.power_integral import PowerIntegral
from moco.hardware.counters.rails import chosen_rails

PROGRAM = "tegrastats"
"""Found on the PATH; no option, since an experiment may not name a program to run."""
RAIL = re.compile(r"\b([A-Z][A-Z0-9_]+) (\d+)mW(?:/\d+mW)?")
FIRST_LINE_S = 5.0
"""How long a first line is waited for."""
STALE = 5
"""Intervals without a line after which the program is taken to hang."""


def rails_of(line: str) -> dict[str, float]:
    """Watts by rail of one line; none where it tells of none."""
    return {name: int(milliwatts) / 1000 for name, milliwatts in RAIL.findall(line)}


@dataclass(frozen=True)
class TegrastatsOptions:
    """How often a line is printed, and what is summed."""

    interval_ms: int = 100  # between two lines
    rails: tuple[str, ...] | None = None  # names of the rails that are summed; None takes the one of the board's input

    def __post_init__(self) -> None:
        if self.interval_ms < 1:
            raise ConfigError(f"tegrastats: expected interval_ms of at least 1, got {self.interval_ms}")


class _Stream:
    """The program's last line, read as it comes."""

    def __init__(self, options: TegrastatsOptions) -> None:
        command = [PROGRAM, "--interval", str(options.interval_ms)]
        self._stale_s = max(STALE * options.interval_ms / 1000, FIRST_LINE_S)
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._new = threading.Condition()
        self._rails: dict[str, float] | None = None  # before the first line
        self._at_s = time.monotonic()
        self._is_over = False
        self._reader = threading.Thread(target=self._read, name="tegrastats", daemon=True)
        self._reader.start()

    def rails(self) -> dict[str, float]:
        """Watts by rail; waits for the first line. An OSError where the program has ended or hangs."""
        with self._new:
            self._new.wait_for(lambda: self._rails is not None or self._is_over, FIRST_LINE_S)
            late_s = time.monotonic() - self._at_s
            if self._is_over:
                raise OSError("tegrastats has ended")
            if self._rails is None or late_s > self._stale_s:
                raise OSError(f"no line of tegrastats for {late_s:.0f} s")
            return self._rails

    def close(self) -> None:
        self._process.kill()
        self._reader.join()  # it ends with the program, and closes its end of the pipe
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                with self._new:
                    self._rails, self._at_s = rails_of(line), time.monotonic()
                    self._new.notify_all()
        with self._new:
            self._is_over = True
            self._new.notify_all()


class TegrastatsCounter:
    """Rails of a Jetson board, by its own program."""

    Options = TegrastatsOptions
    name = "tegrastats"
    part = "board"

    def __init__(self, options: TegrastatsOptions | None = None) -> None:
        """Choose the interval and the rails; nothing is run yet."""
        self._options = options or TegrastatsOptions()
        self.tick_s = self._options.interval_ms / 1000

    def available(self) -> str:
        """Empty where the rails can be read here; else why not."""
        if shutil.which(PROGRAM) is None:
            return "no tegrastats (Jetson boards have it)"
        try:
            there = self._stream.rails()
            if not there:
                return "tegrastats tells of no rails (without root some boards do not)"
            chosen_rails(tuple(there), self._options.rails)
        except (OSError, MeasurementError) as error:
            return " ".join(str(error).split())
        return ""

    def joules(self) -> float:
        """Energy since the first reading; a MeasurementError where there is no rail, or the program has ended."""
        return self._integral.joules()

    def describe(self) -> Mapping[str, Any]:
        """The rails that are summed, and how often they are told."""
        return {"counter": self.name, "interval_ms": self._options.interval_ms, "rails": list(self._summed)}

    def close(self) -> None:
        """End the program."""
        if "_integral" in self.__dict__:
            self._integral.close()
        if "_stream" in self.__dict__:
            self._stream.close()

    def __del__(self) -> None:
        self.close()

    @cached_property
    def _stream(self) -> _Stream:
        return _Stream(self._options)

    @cached_property
    def _summed(self) -> tuple[str, ...]:
        if reason := self.available():
            raise MeasurementError(f"tegrastats: {reason}")
        return chosen_rails(tuple(self._stream.rails()), self._options.rails)

    @cached_property
    def _integral(self) -> PowerIntegral:
        summed = self._summed
        return PowerIntegral(lambda: _sum(self._stream.rails(), summed), self.tick_s)


def _sum(rails: Mapping[str, float], names: tuple[str, ...]) -> float:
    """Watts of these rails; an OSError where a line lacks one."""
    if missing := [name for name in names if name not in rails]:
        raise OSError(f"tegrastats no longer tells of {missing[0]}")
    return sum(rails[name] for name in names)
