"""T4.1: fixed ratios of five methods, and how fast they make a network (Q07, Q08)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moco.reproduction.card import Absence, Card, Scale
from moco.reproduction.cards.rows import described
from moco.reproduction.lab import Lab, opened
from moco.reproduction.raw import RawRow
from moco.reproduction.setting import Drawn, Setting
from moco.reproduction.subjects import DIGITS, RESNET20, RESNET56, Subject

COLUMNS = (
    *("parameters", "parameters_ratio", "top1_error", "top1_change_pp", "latency_ratio", "throughput_ratio"),
    *("size_ratio", "latency_ms"),
)
LOSSES = (2.0, 5.0)
"""Points of accuracy that networks are compared at (Q08)."""


@dataclass(frozen=True)
class Fixed:
    """A method at fixed ratios, each the share that is kept.

    Attributes:
        loss: whether its networks are compared by their loss (Q08), which zeros alone are not.
    """

    name: str
    space: Mapping[str, Any]
    keeps: Sequence[float]
    recovery: Sequence[str] = ("batch_norm",)


METHODS = (
    Fixed("weight", {"sparsity": {"keep": [0.1, 1.0]}}, (0.5, 0.3, 0.1)),
    Fixed("L1", {"filter_pruning": {"keep": [0.1, 1.0], "rank": "l1"}}, (0.9, 0.8, 0.7, 0.5)),
    Fixed("Fisher", {"filter_pruning": {"keep": [0.1, 1.0], "rank": "fisher"}}, (0.9, 0.8, 0.7, 0.5)),
    Fixed("SVD", {"factorisation": {"keep": [0.1, 1.0]}}, (0.7, 0.5, 0.3)),
    Fixed("int8", {"quantization": {"precision": ["float32", "int8"]}}, (0.0,)),
)


def fixed_ratios(setting: Setting) -> Drawn:
    """A seed of T4.1."""
    rows: list[RawRow] = []
    zeros: list[dict[str, Any]] = []
    ranked: list[dict[str, Any]] = []
    facts, hardware = {}, ""
    for subject in _subjects(setting):
        by_method: dict[str, list[RawRow]] = {}
        for method in METHODS:
            given = {**method.space, "channel_multiple": 8} if "filter_pruning" in method.space else method.space
            with opened(subject, setting, given, recovery=method.recovery) as lab:
                facts[subject.name], hardware = lab.facts, lab.hardware
                if method is METHODS[0]:
                    rows.append(described(lab, "base", None, COLUMNS))
                by_method[method.name] = [_row(lab, method, keep) for keep in method.keeps]
        rows += [row for found in by_method.values() for row in found]
        zeros += [{"network": subject.name, "row": row.name, **_latency(row)} for row in by_method["weight"]]
        ranked += [_at_loss(subject, by_method, loss) for loss in LOSSES]
    return Drawn(tuple(rows), {"Q07": zeros, "Q08": [one for one in ranked if "L1" in one["best"]]}, facts, hardware)


def _subjects(setting: Setting) -> tuple[Subject, ...]:
    return (RESNET56, RESNET20, DIGITS) if setting.full else (DIGITS,)


def _row(lab: Lab, method: Fixed, keep: float) -> RawRow:
    lowest = 0.1
    policy = lab.uniform(1.0 if keep == 0 else (1 - keep) / (1 - lowest))
    name = method.name if keep == 0 else f"{method.name} {keep:g}"
    tuned = "no, batch-norm statistics anew" if method.recovery else "no"
    return described(lab, name, policy, COLUMNS, action=method.name, budget="fixed ratio", fine_tuned=tuned)


def _latency(row: RawRow) -> dict[str, Any]:
    found = row.values["latency_ratio"]
    return {"ratio": found.value, "low": found.low, "high": found.high}


def _at_loss(subject: Subject, by_method: Mapping[str, Sequence[RawRow]], loss: float) -> dict[str, Any]:
    """By method, the fastest of its networks that lose no more points than this."""
    best: dict[str, Any] = {}
    for name, rows in by_method.items():
        kept = [_latency(row) for row in rows if row.values["top1_change_pp"].value >= -loss]
        if kept and name != "weight":
            best[name] = min(kept, key=lambda one: one["ratio"])
    if best:  # a method none of whose networks lose so little leaves the network as it is
        for name in by_method:
            best.setdefault(name, {"ratio": 1.0, "low": 1.0, "high": 1.0})
        best.pop("weight")
    return {"network": subject.name, "loss_pp": loss, "best": best}


CARD = Card(
    id="T4.1",
    title="Fixed ratios: single weights, filters by L1 and by Fisher, low rank, integers",
    system="S4",
    columns=COLUMNS,
    runner=fixed_ratios,
    published={
        "base": {"parameters": "R56 869,530; P110 1,146,842", "top1_error": "R56 6.87 %, P110 5.01 %"},
        "weight 0.5": {"parameters_ratio": "R56 .705, P110 .704", "top1_error": "R56 6.83 %, P110 5.03 %"},
        "L1 0.9": {"parameters_ratio": "R56 .889, P110 .949", "top1_error": "R56 6.76 %, P110 6.49 %"},
        "Fisher 0.9": {"parameters_ratio": "R56 .984", "top1_error": "R56 13.36 %"},
    },
    findings=("Q07", "Q08"),
    absences=(Absence("base", "preresnet110", "needs PreResNet-110 with trained weights, which moco does not have"),),
    seeds={Scale.SMALL: 6, Scale.FULL: 6},
    files=frozenset({Scale.FULL}),
)
