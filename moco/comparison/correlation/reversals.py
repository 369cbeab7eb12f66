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
    """A metric of n trials: of each pair who is surely better, and by how much; pairs as `numpy.triu_indices` has them.

    Attributes:
        known: (n,) whether the trial holds the metric.
        order: (n(n − 1)/2,) 1 where the first of the pair is better, −1 where worse, 0 where they are not told apart.
        gaps: of the same pairs the differences as shares of the range; NaN where one lacks the metric.
    """

    name: str
    known: np.ndarray[Any, Any]
    order: np.ndarray[Any, Any]
    gaps: np.ndarray[Any, Any]

    @classmethod
    def of(cls, trials: Sequence[MeasuredTrial], name: str) -> Column:
        """The column of a metric that some trial holds."""
        values = np.array([trial.values.get(name, np.nan) for trial in trials], dtype=float)
        low, high = np.array([bounds(trial, name) for trial in trials], dtype=float).T
        first, second = np.triu_indices(len(trials), 1)
        order = (high[first] < low[second]).astype(np.int8) - (high[second] < low[first]).astype(np.int8)
        if metric(name).direction is Direction.MAXIMIZE:
            order = -order
        gaps = np.abs(values[first] - values[second]) / ((np.nanmax(values) - np.nanmin(values)) or 1.0)
        return cls(name, np.isfinite(values), order, gaps.astype(np.float32))


def bounds(trial: MeasuredTrial, name: str) -> tuple[float, float]:
    """The 95 % interval of a trial's metric; the value twice without a standard error, NaN without a value."""
    value = trial.values.get(name, np.nan)
    sem = trial.sems.get(name)
    return (value, value) if sem is None else interval(name, value, sem)


def reversals(trials: Sequence[MeasuredTrial], a: Column, b: Column) -> Reversals:
    """How often two metrics contradict each other about two of the trials, and the clearest such pairs."""
    holding = int(np.count_nonzero(a.known & b.known))
    agreement = a.order * b.order
    against = np.flatnonzero(agreement < 0)
    pairs, count = int(np.count_nonzero(agreement)), len(against)
    strength = np.minimum(a.gaps[against], b.gaps[against])
    striking = []
    for place in _largest(strength, STRIKING):
        pair = int(against[place])
        first, second = _members(pair, len(trials))[:: int(a.order[pair])]
        sides = [_side(trials[which], (a.name, b.name)) for which in (first, second)]
        striking.append(Reversal(first=sides[0], second=sides[1], strength=float(strength[place])))
    share = count / pairs if pairs else None
    return Reversals(
        metrics=(a.name, b.name),
        pairs=pairs,
        count=count,
        share=share,
        undecided=holding * (holding - 1) // 2 - pairs,
        striking=tuple(striking),
    )


def _largest(values: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
    """Places of the largest values, the first of equal ones first: without sorting all, which may be a million."""
    if len(values) > count:
        least = np.partition(values, -count)[-count]
        chosen = np.flatnonzero(values >= least)
    else:
        chosen = np.arange(len(values))
    return chosen[np.argsort(-values[chosen], kind="stable")][:count]


def _members(pair: int, count: int) -> tuple[int, int]:
    """The two places of a pair in `numpy.triu_indices(count, 1)`."""
    first = 0
    while pair >= count - 1 - first:
        pair -= count - 1 - first
        first += 1
    return first, first + 1 + pair


def _side(trial: MeasuredTrial, names: tuple[str, str]) -> Side:
    values = {name: trial.values[name] for name in names}
    return Side(run=trial.run, trial=trial.number, values=values, intervals={n: bounds(trial, n) for n in names})
