"""INA3221: the power monitors of NVIDIA's Jetson boards, as Linux shows them under /sys/bus/i2c/drivers/ina3221.

A monitor has three channels, each a rail of the board: a voltage in millivolts, a current in milliamperes and the
rail's name. Which rails make the whole board differs: one that measures the board's input has it all (`VDD_IN`,
`VIN`, `POM_5V_IN`), else rails must be named, which are summed. Not tried on a board; tests have a tree like one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from moco.errors import MeasurementError
from moco.hardware.counters.power_integral import PowerIntegral
from moco.hardware.counters.rails import chosen_rails

DRIVER = Path("/sys/bus/i2c/drivers/ina3221")
CHANNELS = (1, 2, 3)


@dataclass(frozen=True)
class INA3221Options:
    """Where the monitors are, and what is summed."""

    root: str | None = None  # the driver's folder; None takes the system's
    rails: tuple[str, ...] | None = None  # names of the rails that are summed; None takes the one of the board's input


@dataclass(frozen=True)
class _Rail:
    folder: Path
    channel: int

    def watts(self) -> float:
        volts, amperes = (self._number(f"{name}{self.channel}_input") / 1000 for name in ("in", "curr"))
        return volts * amperes

    def _number(self, name: str) -> float:
        return float((self.folder / name).read_text(encoding="ascii"))


class INA3221Counter:
    """Rails of a Jetson board."""

    Options = INA3221Options
    name = "ina3221"
    part = "board"
    tick_s = 0.01

    def __init__(self, options: INA3221Options | None = None) -> None:
        """Choose the folder and the rails; nothing is read yet."""
        self._options = options or INA3221Options()
        self._root = DRIVER if self._options.root is None else Path(self._options.root)

    def available(self) -> str:
        """Empty where the rails can be read here; else why not."""
        try:
            rails = self._rails()
            if not rails:
                return "no INA3221 power monitor (Jetson boards have one)"
            names = chosen_rails(tuple(rails), self._options.rails)
            for name in names:
                rails[name].watts()
        except MeasurementError as error:
            return str(error)
        except (OSError, ValueError):
            return "an INA3221 power monitor, not readable by this user"
        return ""

    def joules(self) -> float:
        """Energy since the first reading; a MeasurementError where there is no rail, or one cannot be read."""
        return self._integral.joules()

    def describe(self) -> Mapping[str, Any]:
        """The rails that are summed."""
        return {"counter": self.name, "rails": list(chosen_rails(tuple(self._rails()), self._options.rails))}

    @cached_property
    def _integral(self) -> PowerIntegral:
        if reason := self.available():
            raise MeasurementError(f"{self._root}: {reason}")
        rails = self._rails()
        summed = [rails[name] for name in chosen_rails(tuple(rails), self._options.rails)]
        return PowerIntegral(lambda: sum(rail.watts() for rail in summed), self.tick_s)

    def _rails(self) -> dict[str, _Rail]:
        """Rails by name, of all monitors; a channel without a name is not connected."""
        found = {}
        for folder in sorted(self._root.glob("*/hwmon/hwmon*")):
            for channel in CHANNELS:
                label = folder / f"in{channel}_label"
                if label.exists() and (name := label.read_text(encoding="ascii").strip()) not in {"", "NC"}:
                    found[name] = _Rail(folder, channel)
        return found
