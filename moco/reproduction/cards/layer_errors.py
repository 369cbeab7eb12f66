"""F5.6: how much a network errs when one layer's channels are pruned, by three ways of choosing them (Q20)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from moco.reproduction.card import Card, Scale
from moco.reproduction.lab import Lab, opened
from moco.reproduction.raw import RawRow, Reading
from moco.reproduction.setting import Drawn, Setting
from moco.reproduction.subjects import DIGITS, RESNET20, RESNET56, Subject
from moco.trial import Point

RANKINGS = {"magnitude": "l1", "lasso": "lasso", "variational": "information_dropout"}
KEEPS = (0.7, 0.5, 0.3)
LOWEST = 0.1
COLUMNS = tuple(f"{name}_error_increase_pp" for name in RANKINGS)


def layer_errors(setting: Setting) -> Drawn:
    """A seed of F5.6: a row for each layer and share of its channels that is kept; nothing else changes."""
    rows: list[RawRow] = []
    evidence: list[dict[str, Any]] = []
    facts, hardware = {}, ""
    for subject in (RESNET56, RESNET20, DIGITS) if setting.full else (DIGITS,):
        found: dict[tuple[str, float], dict[str, float]] = {}
        for name, ranking in RANKINGS.items():
            space = {"groups": "per-layer", "filter_pruning": {"keep": [LOWEST, 1.0], "rank": ranking}}
            with opened(subject, setting, {**space, "channel_multiple": 1}) as lab:
                facts[subject.name], hardware = lab.facts, lab.hardware
                for at, increase in _increases(lab).items():
                    found.setdefault(at, {})[name] = increase
        rows += [_row(subject, layer, keep, errors) for (layer, keep), errors in found.items()]
        evidence += [
            {"network": subject.name, "layer": layer, "keep": keep, **errors} for (layer, keep), errors in found.items()
        ]
    told = "one layer at a time, no training after it; variational pruning is information dropout with frozen weights"
    return Drawn(tuple(rows), {"Q20": evidence}, facts, hardware, notes=(told,))


def _increases(lab: Lab) -> dict[tuple[str, float], float]:
    """Points of error more than the whole network's, on unseen images, by layer and share kept."""
    space = lab.prepared.space
    whole: Point = space.uniform(0.0)
    reference = lab.fresh_reference.accuracy
    return {
        (name.removesuffix(".keep"), keep): 100 * (reference - lab.fresh(lab.policy({**whole, name: keep})).accuracy)
        for name in space.distributions
        for keep in KEEPS
    }


def _row(subject: Subject, layer: str, keep: float, errors: Mapping[str, float]) -> RawRow:
    values = {f"{name}_error_increase_pp": Reading(value=value) for name, value in errors.items()}
    row = RawRow(name=f"{layer}, {keep:g} kept", network=subject.name, budget="fixed ratio", values=values)
    return replace(row, action="filter pruning")


CARD = Card(
    id="F5.6",
    title="Error by ratio of three pruning methods, layer by layer",
    system="S5",
    columns=COLUMNS,
    runner=layer_errors,
    findings=("Q20",),
    seeds={Scale.SMALL: 6, Scale.FULL: 6},
    minutes={Scale.SMALL: 10, Scale.FULL: 240},
    files=frozenset({Scale.FULL}),
)
