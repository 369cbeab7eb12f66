"""Q01: the same random policies by both rankings, each with and without the refit (a 2x2 of ranking and refit)."""

from __future__ import annotations

from typing import Any

from moco.encoding import project
from moco.reproduction.cards.actions import CP, FP
from moco.reproduction.lab import opened
from moco.reproduction.setting import Setting
from moco.reproduction.subjects import Subject
from moco.trial import Point

POLICIES = 10
LOWEST = 0.3


def paired_policies(subject: Subject, setting: Setting) -> dict[str, Any]:
    """Accuracy in points on unseen images of ten random policies, by how channels are ranked and refitted."""
    by_norm, by_map = FP.space(LOWEST), CP.space(LOWEST)
    with_map = {**by_norm, FP.method: {**by_norm[FP.method], "rank": "activation"}}
    cells = {
        "FP": (by_norm, ()),
        "FP, refit": (by_norm, ("refit",)),
        "CP without refit": (with_map, ()),
        "CP": (by_map, ("refit",)),
    }
    points: list[Point] = []
    found: dict[str, list[float]] = {}
    for name, (space, recovery) in cells.items():
        with opened(subject, setting, space, recovery=recovery) as lab:
            points = points or lab.random_points(POLICIES)
            policies = [lab.policy(project(lab.prepared.space, point)) for point in points]
            found[name] = [100 * lab.fresh(policy).accuracy for policy in policies]
    return {"network": subject.name, "seed": setting.seed, "accuracy": found}
