"""Checks of a searcher's options: each raises a ConfigError that says what was expected of the option and what came."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from moco.errors import ConfigError

LARGEST = 1e9  # of rates and weights
MOST = 10_000
"""Of members, draws and steps: beyond it is a slip of the pen, and would fill the memory or take a day."""


def at_least(name: str, value: int, least: int, most: int = MOST) -> None:
    """Refuse what is not a whole number in `least`..`most`."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    above = whole and value > most
    _expect(
        whole and least <= value <= most,
        name,
        f"at most {most}" if above else f"a whole number of at least {least}",
        value,
    )


def probability(name: str, value: float) -> None:
    """Refuse what is not a number in 0..1."""
    _expect(_is_number(value) and 0 <= value <= 1, name, "a probability in 0..1", value)


def positive(name: str, value: float, most: float = inf) -> None:
    """Refuse what is not a number in (0, most]."""
    above = "above 0" if most == inf else f"above 0 and at most {most:g}"
    _expect(_is_number(value) and 0 < value <= min(most, LARGEST), name, f"a number {above}", value)


def not_negative(name: str, value: float) -> None:
    """Refuse what is not a number in [0, inf)."""
    _expect(_is_number(value) and 0 <= value <= LARGEST, name, "a number of at least 0", value)


def one_of(name: str, value: str, known: Sequence[str]) -> None:
    """Refuse a word that is none of those known."""
    _expect(value in known, name, " or ".join(map(repr, known)), value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _expect(holds: bool, name: str, expected: str, value: object) -> None:
    if not holds:
        raise ConfigError(f"searcher.{name}: expected {expected}, got {value!r}")
