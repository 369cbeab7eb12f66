"""What is to become of a student: its network, how it is trained, and from how many seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moco.models.trained import ModelSpec
from moco.recovery.fine_tuning import FineTuningStep

USUAL = "distillation"
"""The way of training where none is named."""
FROM_SCRATCH: Mapping[str, Any] = {"epochs": 30, "learning_rate": 0.1, "schedule": "one_cycle"}
"""Options of a training where they are not given: the others' defaults are for networks that were trained before."""


@dataclass(frozen=True)
class StudentPlan:
    """A student that is asked for."""

    model: ModelSpec
    step: FineTuningStep
    seeds: int = 1  # students that are trained, from other weights each and on the images in another order
