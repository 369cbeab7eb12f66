"""RAPL: the energy counters of Intel's and AMD's processors, as Linux shows them under /sys/class/powercap.

The packages and the memory beside them are summed; their parts (core, uncore) lie within a package, and `psys` within
nothing that is told apart. A counter starts anew at its range (262 kJ, some 40 minutes at 100 W); as it is read around
every slot, one new start in between is all that can have been. Only root may read it unless the machine says
otherwise (CVE-2020-8694).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moco.errors import MeasurementError

POWERCAP = Path("/sys/class/powercap")
SUMMED = re.compile(r"package-\d+(-die-\d+)?|dram")


@dataclass(frozen=True)
class RaplOptions:
    """Where the counters are."""

    root: str | None = None  # the folder that holds `intel-rapl:0`; None takes the system's


class _Zone:
    """One counter: a folder with its name, its range and its reading in microjoules."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, (folder / "name").read_text(encoding="ascii").strip()
        self._range_uj = int((folder / "max_energy_range_uj").read_text(encoding="ascii"))
        self._last_uj, self._total_uj = self._reading(), 0

    def _reading(self) -> int:
        return int((self.folder / "energy_uj").read_text(encoding="ascii"))

    def joules(self) -> float:
        now = self._reading()
        self._total_uj += (now - self._last_uj) % self._range_uj
        self._last_uj = now
        return self._total_uj / 1e6


class RaplCounter:
    """The processor's packages and their memory."""

    Options = RaplOptions
    name = "rapl"
    part = "processor"
    tick_s = 0.001

    def __init__(self, options: RaplOptions | None = None) -> None:
        """Choose the folder; nothing is read yet."""
        root = (options or RaplOptions()).root
        self._root = POWERCAP if root is None else Path(root)
        self._open: list[_Zone] = []

    def available(self) -> str:
        """Empty where the counters can be read here; else why not."""
        found = self._folders()
        if not found:
            return "no RAPL counter (virtual machines rarely have one)"
        try:
            self._zones()
        except (OSError, ValueError):
            return f"{len(found)} RAPL counters, not readable by this user"
        return "" if self._open else f"{len(found)} RAPL counters, but none of a package"

    def joules(self) -> float:
        """Energy since the first reading; a MeasurementError where there is no counter, or one cannot be read."""
        try:
            zones = self._zones()
            if not zones:
                raise MeasurementError(f"{self._root}: expected a RAPL counter of a package, found none")
            return sum(zone.joules() for zone in zones)
        except (OSError, ValueError) as error:
            raise MeasurementError(f"{self._root}: a RAPL counter cannot be read: {error}") from error

    def describe(self) -> Mapping[str, Any]:
        """The counters that are summed."""
        return {"counter": self.name, "zones": [zone.name for zone in self._zones()]}

    def _zones(self) -> list[_Zone]:
        if not self._open:
            named = {folder.name: folder for folder in self._folders()}
            self._open = [zone for zone in map(_Zone, named.values()) if SUMMED.fullmatch(zone.name)]
        return self._open

    def _folders(self) -> list[Path]:
        """Every counter's folder; a package's parts lie in it, and beside it once more."""
        return sorted([*self._root.glob("intel-rapl:*"), *self._root.glob("intel-rapl:*/intel-rapl:*")])
