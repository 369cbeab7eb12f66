"""Pearson's and Spearman's correlation of two columns, each with a 95 % interval, or the reason why there is none.

Intervals are tanh(atanh(r) ± 1.96 s) with s = 1/√(n − 3) for Pearson (R. A. Fisher, "On the 'probable error' of a
coefficient of correlation deduced from a small sample", Metron 1, 1921) and s = √((1 + r²/2)/(n − 3)) for Spearman
(D. G. Bonett and T. A. Wright, "Sample size requirements for estimating Pearson, Kendall and Spearman correlations",
Psychometrika 65, 2000). Both take the pairs as drawn independently of each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import pearsonr, spearmanr

from moco.metrics import TWO_SIDED_95
from moco.run_folder.record import Record

FEWEST = 4
"""Pairs that an interval needs: its width has n − 3 in the denominator."""

_SAME = 1e-12  # relative spread up to which a column is constant, and distance to ±1 up to which r is exact


@dataclass(frozen=True, kw_only=True)
class Coefficient(Record):
    """A correlation of `trials` pairs in −1 … 1; without value, or without interval, `reason` says why."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    trials: int = 0
    reason: str | None = None


def pearson(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], names: tuple[str, str] = ("x", "y")) -> Coefficient:
    """Linear correlation of two columns of equal length; NaN in either leaves the pair out."""
    return _coefficient(x, y, names, pearsonr, lambda _, n: 1 / math.sqrt(n - 3), "")


def spearman(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any], names: tuple[str, str] = ("x", "y")) -> Coefficient:
    """Correlation of the ranks of two columns of equal length, ties at their mean rank; NaN leaves the pair out.

    A perfect order has no interval: the formula would claim certainty from any four trials.
    """
    perfect = "a perfect order, for which the formula gives no interval"
    return _coefficient(x, y, names, spearmanr, lambda r, n: math.sqrt((1 + r * r / 2) / (n - 3)), perfect)


def _coefficient(
    x: np.ndarray[Any, Any],
    y: np.ndarray[Any, Any],
    names: tuple[str, str],
    of: Callable[..., Any],
    spread: Callable[[float, int], float],
    perfect: str,
) -> Coefficient:
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    count = len(x)
    if count < FEWEST:
        return Coefficient(trials=count, reason=f"{FEWEST} networks with both are needed, found {count}")
    constant = [name for name, column in zip(names, (x, y), strict=True) if is_constant(column)]
    if constant:
        return Coefficient(trials=count, reason=f"{' and '.join(dict.fromkeys(constant))} constant")
    r = float(np.clip(of(x, y).statistic, -1.0, 1.0))
    if 1 - abs(r) <= _SAME:
        exact = math.copysign(1.0, r)
        if perfect:
            return Coefficient(value=exact, trials=count, reason=perfect)
        return Coefficient(value=exact, low=exact, high=exact, trials=count)  # a linear function: r is no estimate
    z, margin = math.atanh(r), TWO_SIDED_95 * spread(r, count)
    return Coefficient(value=r, low=math.tanh(z - margin), high=math.tanh(z + margin), trials=count)


def is_constant(column: np.ndarray[Any, Any]) -> bool:
    """Whether finite numbers, at least one, are the same but for rounding."""
    return bool(np.ptp(column) <= _SAME * np.max(np.abs(column)))
