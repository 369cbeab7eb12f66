"""Rank reversals: pairs of networks of which the one that one metric calls better is the worse one by another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from moco.comparison.correlation.sources import MeasuredTrial
from moco.metrics import Direction, interval, metric
from moco.run_folder.record import Record

STRIKING = 3
"""Reversals that are told one by one."""


@dataclass(frozen=True, kw_only=True)
class Side(Record):
    """A network of a reversal: its run and trial, and by metric its value and its 95 % interval.

    The interval of a value without a standard error is the value: a count, or a number whose error is not known.
    """

    run: str
    trial: int
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Reversal(Record):
    """Two networks; `first` is better by the first metric and worse by the second."""

    first: Side
    second: Side
    strength: float  # the smaller of the two differences, as a share of the metric's range


@dataclass(frozen=True, kw_only=True)
class Reversals(Record):
    """The reversals of two metrics among the pairs of networks whose intervals overlap in neither."""

    metrics: tuple[str, str]
    pairs: int  # told apart by both metrics
    count: int  # of these, in contradiction
    share: float | None = None  # None without pairs
    undecided: int = 0  # pairs with both values that are equal, or whose intervals overlap, in one metric or both
    striking: tuple[Reversal, ...] = ()


@dataclass(frozen=True)
class Column:
    """A metric of all trials: who is surely better than whom, and by how much.

    Attributes:
        order: (n, n); 1 where the row's trial is better than the column's, −1 where worse, 0 where not told apart.
        gaps: (n, n) differences as shares of the range; NaN where a trial lacks the metric.
    """

    name: str
    order: np.ndarray[Any, Any]
    gaps: np.ndarray[Any, Any]

    @classmethod
    def of(cls, trials: Sequence[MeasuredTrial], name: str) -> Column:
        """The column of a metric that some trial holds."""
        values = np.array([trial.values.get(name, np.nan) for trial in trials], dtype=float)
        ends = np.array([bounds(trial, name) for trial in trials], dtype=float)
        below = ends[:, None, 1] < ends[None, :, 0]  # the row's interval ends before the column's begins
        order = below.astype(np.int8) - below.T.astype(np.int8)
        if metric(name).direction is Direction.MAXIMIZE:
            order = -order
        spread = np.nanmax(values) - np.nanmin(values)
        gaps = np.abs(values[:, None] - values[None, :]) / (spread or 1.0)
        return cls(name, order, gaps)


def bounds(trial: MeasuredTrial, name: str) -> tuple[float, float]:
    """The 95 % interval of a trial's metric; the value twice without a standard error, NaN without a value."""
    value = trial.values.get(name, np.nan)
    sem = trial.sems.get(name)
    return (value, value) if sem is None else interval(name, value, sem)


def reversals(trials: Sequence[MeasuredTrial], a: Column, b: Column) -> Reversals:
    """How often two metrics contradict each other about two of the trials, and the clearest such pairs."""
    agreement = np.triu(a.order * b.order, 1)
    both = int(np.count_nonzero(np.triu(np.isfinite(a.gaps) & np.isfinite(b.gaps), 1)))
    pairs, count = int(np.count_nonzero(agreement)), int(np.count_nonzero(agreement < 0))
    rows, columns = np.nonzero(agreement < 0)
    strength = np.minimum(a.gaps, b.gaps)[rows, columns]
    clearest = np.argsort(-strength, kind="stable")[:STRIKING]
    striking = []
    for place in clearest:
        i, j = int(rows[place]), int(columns[place])
        first, second = (i, j) if a.order[i, j] > 0 else (j, i)
        sides = [_side(trials[which], (a.name, b.name)) for which in (first, second)]
        striking.append(Reversal(first=sides[0], second=sides[1], strength=float(strength[place])))
    share = count / pairs if pairs else None
    return Reversals(
        metrics=(a.name, b.name),
        pairs=pairs,
        count=count,
        share=share,
        undecided=both - pairs,
        striking=tuple(striking),
    )


def _side(trial: MeasuredTrial, names: tuple[str, str]) -> Side:
    values = {name: trial.values[name] for name in names}
    return Side(run=trial.run, trial=trial.number, values=values, intervals={n: bounds(trial, n) for n in names})
