"""What this machine brings to an experiment: what it can measure, its cores, and whether MLflow is there."""

from __future__ import annotations

import os
from dataclasses import dataclass

from moco.hardware.doctor import readable_counters
from moco.hardware.measuring.processor import processor
from moco.optional import installed


@dataclass(frozen=True)
class ThisMachine:
    """What was found of it."""

    counters: tuple[str, ...]  # of energy, that can be read
    mlflow: bool
    cores: int
    int8_fast: bool

    @property
    def found(self) -> tuple[str, ...]:
        """In words."""
        energy = f"energy can be measured by {', '.join(self.counters)}" if self.counters else "energy is not measured"
        int8 = "fast 8-bit instructions" if self.int8_fast else "no fast 8-bit instructions: int8 gains little"
        return (f"{self.cores} cores, {int8}, {energy} here",)


def this_machine() -> ThisMachine:
    """The machine that this runs on."""
    return ThisMachine(tuple(readable_counters()), installed("mlflow"), os.cpu_count() or 1, processor().int8_exact)
