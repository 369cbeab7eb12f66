"""A lesson that takes a second or two: the golden files' trained network teaches a smaller one of another kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.golden.experiment import experiment

STUDENT = {"model": "digits_resnet6", "training": {"distillation": {"epochs": 12, "batch_size": 64}}}


def lesson(folder: Path, **sections: Any) -> Path:
    """The experiment in a folder of its own, with its teacher; sections are replaced, or some of their keys are."""
    return experiment(folder, **{"student": STUDENT, "store": False, **sections})
