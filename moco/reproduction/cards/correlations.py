"""F1.CORR: Pearson's r of all metrics over random networks (Q06)."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from moco.comparison.correlation.coefficients import Coefficient, pearson
from moco.reproduction.card import Card, Scale
from moco.reproduction.cards.rows import NO_COUNTER, TWELVE
from moco.reproduction.lab import Lab, opened
from moco.reproduction.raw import RawRow, Reading
from moco.reproduction.setting import Drawn, Setting
from moco.reproduction.subjects import DIGITS, RESNET20, RESNET56

METRICS = ("top1_error", "top5_error", "parameters", "macs", *TWELVE[3:])
COLUMNS = METRICS
SPACE = {
    "choose": True,
    "groups": "per-block",
    "filter_pruning": {"keep": [0.3, 1.0]},
    "factorisation": {"keep": [0.2, 1.0]},
}
PROXIES = {"parameters_latency": ("parameters", "latency_ms"), "macs_latency": ("macs", "latency_ms")}


def correlations(setting: Setting) -> Drawn:
    """A seed of F1.CORR: a row a metric, its columns the r with each metric."""
    rows: list[RawRow] = []
    evidence: list[dict[str, Any]] = []
    facts, hardware = {}, ""
    for subject in (DIGITS, RESNET20, RESNET56) if setting.full else (DIGITS,):
        with opened(subject, setting, SPACE, recovery=("batch_norm",)) as lab:
            facts[subject.name], hardware = lab.facts, lab.hardware
            columns = _measured(lab, setting.of(20, 100))
            rows += [_row(lab, name, columns) for name in METRICS]
            evidence.append(_proxies(lab, columns))
    return Drawn(tuple(rows), {"Q06": evidence}, facts, hardware)


def _measured(lab: Lab, count: int) -> dict[str, np.ndarray]:
    """By metric its values over random networks, NaN where it was not measured."""
    found = [lab.profile(lab.policy(point)) for point in lab.random_points(count)]
    return {name: np.array([one[name].value if name in one else np.nan for one in found]) for name in METRICS}


def _row(lab: Lab, name: str, columns: dict[str, np.ndarray]) -> RawRow:
    values, absent = {}, {}
    for other in COLUMNS:
        found: Coefficient = pearson(columns[name], columns[other], (name, other))
        if found.value is None:
            lacking = NO_COUNTER if np.isnan(columns[name]).all() or np.isnan(columns[other]).all() else found.reason
            absent[other] = lacking or "no coefficient"
        else:
            values[other] = Reading(value=found.value, low=found.low, high=found.high)
    budget = f"{len(columns[name])} random networks"
    return RawRow(name=name, network=lab.subject.name, budget=budget, values=values, absent=absent)


def _proxies(lab: Lab, columns: dict[str, np.ndarray]) -> dict[str, Any]:
    found: dict[str, Any] = {"network": lab.subject.name, "trials": len(columns["macs"])}
    for name, (proxy, metric) in PROXIES.items():
        one = pearson(columns[proxy], columns[metric], (proxy, metric))
        found[name] = {"value": one.value, "low": one.low, "high": one.high}
    macs, latency = columns["macs"], columns["latency_ms"]
    pairs = [(a, b) for a, b in combinations(range(len(macs)), 2) if abs(latency[a] / latency[b] - 1) > 0.05]
    turned = sum((macs[a] - macs[b]) * (latency[a] - latency[b]) < 0 for a, b in pairs)
    return {**found, "reversals": {"pairs": len(pairs), "count": int(turned)}}


CARD = Card(
    id="F1.CORR",
    title="Correlations of the twelve metrics",
    system="S1",
    columns=COLUMNS,
    runner=correlations,
    findings=("Q06",),
    files=frozenset({Scale.FULL}),
)
