"""All metrics of measured networks against each other: of all networks, of those in floats, of those in integers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from moco.comparison.correlation.coefficients import FEWEST, Coefficient, is_constant, pearson, spearman
from moco.comparison.correlation.reversals import Column, Reversals, reversals
from moco.comparison.correlation.sources import REPEATED, MeasuredTrial, Source, read_source, together
from moco.errors import RunFolderError
from moco.metrics import METRICS
from moco.run_folder.record import Record

ALL, FLOATS, INTEGERS = "all", "floats", "integers"


@dataclass(frozen=True, kw_only=True)
class PairOfMetrics(Record):
    """Two metrics against each other."""

    metrics: tuple[str, str]
    pearson: Coefficient
    spearman: Coefficient


@dataclass(frozen=True, kw_only=True)
class Matrix(Record):
    """Every pair of metrics, in the table's order, over some of the networks; `reason` where there are too few."""

    networks: str  # which: `all`, `floats` or `integers`
    trials: int
    reason: str | None = None
    absent: Mapping[str, str]  # by metric why all its correlations are n/a
    pairs: tuple[PairOfMetrics, ...] = ()
    reversals: tuple[Reversals, ...] = ()  # of the pairs of metrics that are not absent


@dataclass(frozen=True, kw_only=True)
class RunOfMatrix(Record):
    """A run folder and what it gave; `apart` says why none of its trials is in the matrices."""

    run: str
    network: str
    target: str
    trials: int
    left_out: Mapping[str, int]
    apart: str | None = None


@dataclass(frozen=True, kw_only=True)
class Correlations(Record):
    """The content of correlations.json."""

    format: int = 1
    metrics: tuple[str, ...]
    network: str
    target: str
    runs: tuple[RunOfMatrix, ...]
    left_out: Mapping[str, int]  # trials by state, of the runs that are not set apart
    matrices: tuple[Matrix, ...]


def correlate(runs: Sequence[Path]) -> Correlations:
    """The correlations over the measured networks of finished searches and comparisons.

    Runs of another network, target or data than most networks have are set apart. A RunFolderError where a folder is
    not a run's, no trial was measured, or fewer than four were.
    """
    paths = {run.resolve(): run for run in runs}  # a folder given twice is one
    inside, apart = together([read_source(run) for run in paths.values()])
    measured = [trial for source in inside for trial in source.trials]
    trials = list({trial.key: trial for trial in reversed(measured)}.values())[::-1]  # of each network the first
    told = ", ".join(source.run for source in inside)
    if len(trials) < FEWEST:
        found = f"found {len(trials)}" if trials else "found none"
        raise RunFolderError(
            f"{told}: expected at least {FEWEST} finished trials with different networks, {found}{_besides(apart)}; "
            "give a longer search, or more runs of one network on one target"
        )
    kinds = {ALL: trials, FLOATS: [t for t in trials if not t.integers], INTEGERS: [t for t in trials if t.integers]}
    first = inside[0]
    left_out = sum((Counter(source.left_out) for source in inside), Counter[str]())
    left_out += Counter({REPEATED: len(measured) - len(trials)})  # by another run
    return Correlations(
        metrics=tuple(METRICS),
        network=first.network,
        target=first.target,
        runs=(*(_told(source, None) for source in inside), *(_told(one, _apart(one, first)) for one in apart)),
        left_out=dict(left_out),
        matrices=tuple(matrix(name, chosen) for name, chosen in kinds.items()),
    )


def matrix(networks: str, trials: Sequence[MeasuredTrial]) -> Matrix:
    """All metrics against each other over these trials."""
    if len(trials) < FEWEST:
        few = f"{FEWEST} networks are needed, found {len(trials)}"
        return Matrix(networks=networks, trials=len(trials), reason=few, absent=dict.fromkeys(METRICS, few))
    columns = {n: np.array([t.values.get(n, np.nan) for t in trials], dtype=float) for n in METRICS}
    absent = {name: why for name, column in columns.items() if (why := _why_absent(column))}
    pairs = tuple(
        PairOfMetrics(
            metrics=(a, b),
            pearson=_unless(absent, pearson(columns[a], columns[b], (a, b)), a, b),
            spearman=_unless(absent, spearman(columns[a], columns[b], (a, b)), a, b),
        )
        for a, b in combinations(METRICS, 2)
    )
    present = [Column.of(trials, name) for name in METRICS if name not in absent]
    turned = tuple(reversals(trials, a, b) for a, b in combinations(present, 2))
    return Matrix(networks=networks, trials=len(trials), absent=absent, pairs=pairs, reversals=turned)


def _why_absent(column: np.ndarray[Any, Any]) -> str:
    known = column[np.isfinite(column)]
    if not len(known):
        return "no trial holds it"
    return f"constant over {len(known)} trials" if is_constant(known) else ""


def _unless(absent: Mapping[str, str], found: Coefficient, *names: str) -> Coefficient:
    """The coefficient, or the reason why a metric of it has none at all."""
    reasons = [f"{name}: {absent[name]}" for name in dict.fromkeys(names) if name in absent]
    return Coefficient(trials=found.trials, reason="; ".join(reasons)) if reasons else found


def _told(source: Source, apart: str | None) -> RunOfMatrix:
    return RunOfMatrix(
        run=source.run,
        network=source.network,
        target=source.target,
        trials=len(source.trials),
        left_out=dict(source.left_out),
        apart=apart,
    )


def _apart(source: Source, chosen: Source) -> str:
    kinds = ("network", "target", "data")
    others = [f"{kind} ({told})" for kind in kinds if (told := getattr(source, kind)) != getattr(chosen, kind)]
    return f"another {' and '.join(others)}" if others else "it does not say what it was measured on"


def _besides(apart: Sequence[Source]) -> str:
    return f" (set apart: {', '.join(source.run for source in apart)})" if apart else ""
