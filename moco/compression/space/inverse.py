"""From what a ratio has left back to a ratio that leaves it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

MOST_HALVINGS = 60
"""A ratio is a float: after so many halvings of [0, 1] nothing is left between the ends."""

Counts = Sequence[float]
"""How much of each layer is left: channels, ranks, weights."""


def ratio_for(wanted: Counts, left: Callable[[float], Counts], low: float, high: float, guess: float) -> float:
    """A ratio in [low, high] that leaves exactly what is wanted of every layer; `guess` where there is none.

    Every count may only grow with the ratio, so what leaves too little of one layer is too low for all: if it leaves
    too much of another one, no ratio will do.

    Args:
        left: what a ratio leaves, in the order of `wanted`.
        guess: tried first.
    """
    ratio = guess
    for _ in range(MOST_HALVINGS):
        found = left(ratio)
        too_low = any(count < goal for count, goal in zip(found, wanted, strict=True))
        too_high = any(count > goal for count, goal in zip(found, wanted, strict=True))
        if not too_low and not too_high:
            return ratio
        if too_low and too_high:
            return guess
        low, high = (ratio, high) if too_low else (low, ratio)
        ratio = (low + high) / 2
    return guess
