"""The same experiment on another runtime."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from moco.errors import ConfigError
from moco.execution.retrying_target import RetryingTarget
from moco.experiment.plugins import plugins_of
from moco.experiment.schema import Experiment, TargetConfig
from moco.experiment.schema_space import SpaceConfig
from moco.registry import plugin

WHERE = "targets"
PRECISION = "precision"
"""The option of a method that chooses among a target's precisions."""


def on_runtimes(experiment: Experiment, names: str) -> list[Experiment]:
    """The experiment on each of the runtimes of `NAME,NAME`; a ConfigError refuses an unknown one, and one twice."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if not wanted:
        raise ConfigError(f"{WHERE}: expected names of runtimes, such as {experiment.target.runtime}, got none")
    if twice := _twice(wanted):
        raise ConfigError(f"{WHERE}: '{twice}' is given twice; its options would be the same")
    return [on_runtime(experiment, name) for name in wanted]


def on_runtime(experiment: Experiment, name: str) -> Experiment:
    """The experiment on that runtime, with its timing, and of the target's options those that this one has too.

    Precisions that the runtime does not have are left out of the space there, with a warning. A ConfigError, or a
    DeviceLostError, where its device is not there.
    """
    known = {field.name for field in fields(plugin("target", name, WHERE).Options)}
    asked = experiment.target
    kept = {option: value for option, value in asked.further.items() if option in known}
    there = experiment.model_copy(update={"target": TargetConfig(runtime=name, timing=asked.timing, **kept)})
    there = there.with_plugins(plugins_of(there), allow_import=experiment.allow_import)
    target = RetryingTarget(there.plugins.target.made())
    target.connect()  # a device elsewhere tells only then what it can
    legal = _legal(there, target.capabilities.precisions)
    return legal.with_plugins(plugins_of(legal), allow_import=experiment.allow_import)


def _legal(experiment: Experiment, precisions: Sequence[str]) -> Experiment:
    """The experiment whose methods choose among these precisions; one that is left with none is left out."""
    methods: dict[str, Any] = {}
    lost: list[str] = []
    for method, options in experiment.space.declared.items():
        usual = getattr(plugin("method", method, WHERE).Options(), PRECISION, ())
        asked = options.get(PRECISION, usual) if isinstance(options, Mapping) else usual
        kept = tuple(one for one in asked if one in precisions)
        lost += [one for one in asked if one not in precisions]
        if kept or not asked:
            methods[method] = {**options, PRECISION: kept} if len(kept) < len(asked) else options
    if not lost:
        return experiment
    warnings.warn(f"{WHERE}: '{experiment.target.runtime}' has no {', '.join(lost)}: not in its space", stacklevel=2)
    space = experiment.space.model_dump(exclude=set(experiment.space.declared))
    return experiment.model_copy(update={"space": SpaceConfig(**space, **methods)})


def _twice(names: Sequence[str]) -> str | None:
    return next((name for place, name in enumerate(names) if name in names[:place]), None)
