"""In which setting a card's seed is run, and what it draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moco.reproduction.raw import DataFacts, RawRow


@dataclass(frozen=True)
class Setting:
    """One seed at one scale.

    Attributes:
        folder: where what is shared by seeds is kept, such as a network that was trained on the spot.
        files: of CIFAR-10 and its trained networks; None where the scale needs none of it.
        tell: hears in a few words what is being done.
    """

    full: bool
    seed: int
    folder: Path
    files: Path | None = None
    tell: Callable[[str], None] = lambda _: None

    def of(self, small: int, full: int) -> int:
        """The number for this scale."""
        return full if self.full else small


@dataclass(frozen=True)
class Drawn:
    """What a seed has given."""

    rows: tuple[RawRow, ...]
    evidence: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, DataFacts] = field(default_factory=dict)
    hardware: str = ""
    notes: tuple[str, ...] = ()
