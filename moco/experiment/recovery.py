"""From the chosen steps of recovery to the plan by which candidates are recovered."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from moco.errors import ConfigError
from moco.models import import_object
from moco.recovery.recovery import RecoveryPlan
from moco.recovery.step import RecoveryStep
from moco.registry import Chosen


def recovery_plan(steps: Iterable[Chosen], folder: Path | None = None) -> RecoveryPlan:
    """The plan of the steps.

    Args:
        folder: searched for modules of the user's own.

    Raises:
        ConfigError: a step stands twice, two ways of training are asked for, or a function cannot be imported.
    """
    return RecoveryPlan(tuple(_step(step, folder) for step in steps))


def _step(step: Chosen, folder: Path | None) -> RecoveryStep:
    if not step.cls.takes_function:
        return step.made()  # type: ignore[no-any-return]
    function = import_object(step.options, folder)
    if not callable(function):
        raise ConfigError(f"recovery.{step.name}.import: '{step.options}' is no function")
    return step.cls(step.cls.Options(function))  # type: ignore[no-any-return]
