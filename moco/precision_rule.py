"""How many levels codes need to keep the direction of a vector of weights: a rule to advise by (S4.06)."""

from __future__ import annotations

import math

from moco.errors import CompressionError


def least_levels(weights: int) -> float:
    """sqrt(2 ln N) for N weights: M bits keep their direction if 2^M is much larger; a CompressionError below one.

    It is what the largest of N normal numbers comes to, in standard deviations: the range that the levels are spread
    over grows with it.
    """
    if weights < 1:
        raise CompressionError(f"precision rule: expected at least one weight, got {weights}")
    return math.sqrt(2 * math.log(weights))


def headroom(bits: int, weights: int) -> float:
    """Times that the levels of so many bits are what the weights need at least; infinite for a single weight."""
    least = least_levels(weights)
    return 2**bits / least if least else math.inf
