"""What is to become of a student: its network, how it is trained, and from how many seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from moco.errors import ConfigError
from moco.models.trained import ModelSpec
from moco.recovery.fine_tuning import FineTuningStep
from moco.registry import DEFAULT_TEACHING

USUAL = DEFAULT_TEACHING
"""The way of training where none is named."""
FROM_SCRATCH: Mapping[str, Any] = {"epochs": 30, "learning_rate": 0.1, "schedule": "one_cycle"}
"""Options of a training where they are not given: the others' defaults are for networks that were trained before."""
WHERE = "student.training"
"""Where an experiment says how its student is trained."""


@dataclass(frozen=True)
class StudentPlan:
    """A student that is asked for."""

    model: ModelSpec
    step: FineTuningStep
    seeds: tuple[int, ...] = (0,)  # a student each, from other weights and on the images in another order


@contextmanager
def of_a_student() -> Iterator[None]:
    """Within, errors of a way of training name the keys of a student's, not those of a search's recovery."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{WHERE}.{told}" if (told := _of_recovery(str(error))) else str(error)) from error


def _of_recovery(text: str) -> str | None:
    return text.removeprefix("recovery.") if text.startswith("recovery.") else None
