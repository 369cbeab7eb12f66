"""What decided the score, in numbers for trackers: a table of all parameters, and curves of those that decide most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from moco.comparison.importance import importance_of
from moco.run_folder.trial_record import TrialRecord

SHARE, CORRELATION = "importance", "correlation"
CURVES = 6
"""Parameters that have curves, two each: more of them would hide the search's own numbers."""
MOST_POINTS = 50
"""Results after which both are computed anew: each time takes hundredths of a second."""


def importance_table(trials: Sequence[TrialRecord]) -> list[dict[str, Any]]:
    """A row a parameter, the most important first; None where there is no number, with the reason beside it."""
    found = importance_of(trials)
    return [
        {
            "parameter": one.name,
            SHARE: one.share,
            CORRELATION: one.correlation.value,
            "low": one.correlation.low,
            "high": one.correlation.high,
            "networks": found.trials,
            "why no importance": one.reason,
            "why no correlation": None if one.correlation.value is not None else one.correlation.reason,
        }
        for one in found.parameters
    ]


def importance_curves(trials: Sequence[TrialRecord]) -> dict[str, dict[int, float]]:
    """Importance and correlation after each result, counted from 1, of the parameters that decide most in the end.

    Of a search with more than `MOST_POINTS` results they are those after so many of them, evenly spread.
    """
    told = sorted(trials, key=lambda trial: trial.number)
    shown = [one.name for one in importance_of(told).parameters[:CURVES]]
    curves: dict[str, dict[int, float]] = {f"{kind}/{name}": {} for name in shown for kind in (SHARE, CORRELATION)}
    for count in _counts(len(told)) if shown else ():
        for one in importance_of(told[:count]).parameters:
            for kind, value in ((SHARE, one.share), (CORRELATION, one.correlation.value)):
                if value is not None and one.name in shown:
                    curves[f"{kind}/{one.name}"][count] = value
    return {name: curve for name, curve in curves.items() if curve}


def _counts(results: int) -> list[int]:
    return sorted({int(count) for count in np.linspace(1, results, min(results, MOST_POINTS)).round()})
