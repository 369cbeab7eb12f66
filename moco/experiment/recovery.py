"""From the steps named in `recovery` to the plan by which candidates are recovered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from moco.errors import ConfigError
from moco.experiment.loading import options_of
from moco.experiment.schema_space import RecoverySection
from moco.models import import_object
from moco.recovery.recovery import RecoveryPlan
from moco.recovery.step import RecoveryStep
from moco.registry import plugin


def recovery_plan(steps: Sequence[RecoverySection], folder: Path | None = None) -> RecoveryPlan:
    """The plan of the steps; a step that is only named takes its defaults.

    Args:
        folder: searched for modules of the user's own.

    Raises:
        ConfigError: a step stands twice, two ways of training are asked for, or an option does not fit; its key path
            is named.
    """
    return RecoveryPlan(tuple(_step(step.name, step.options, folder) for step in steps))


def _step(name: str, given: Mapping[str, Any], folder: Path | None) -> RecoveryStep:
    where = f"recovery.{name}"
    step: type[RecoveryStep] = plugin("recovery_step", name, "recovery")
    if step.takes_function:
        return step(step.Options(_function(given, where, folder)))
    return step(options_of(step.Options, given, where))


def _function(options: Mapping[str, Any], where: str, folder: Path | None) -> Callable[..., Any]:
    """The user's own function."""
    if set(options) != {"import"} or not isinstance(options["import"], str):
        raise ConfigError(f"{where}: expected {{import: 'package.module:function'}}, got {dict(options)}")
    function = import_object(options["import"], folder)
    if not callable(function):
        raise ConfigError(f"{where}.import: '{options['import']}' is no function")
    return function  # type: ignore[no-any-return]
