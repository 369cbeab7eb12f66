"""The same experiment on another runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from moco.errors import ConfigError
from moco.experiment.plugins import plugins_of
from moco.experiment.schema import Experiment, TargetConfig
from moco.registry import plugin

WHERE = "targets"


def on_runtimes(experiment: Experiment, names: str) -> list[Experiment]:
    """The experiment on each of the runtimes of `NAME,NAME`; a ConfigError refuses an unknown one, and one twice."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if not wanted:
        raise ConfigError(f"{WHERE}: expected names of runtimes, such as {experiment.target.runtime}, got none")
    if twice := _twice(wanted):
        raise ConfigError(f"{WHERE}: '{twice}' is given twice; its options would be the same")
    return [on_runtime(experiment, name) for name in wanted]


def on_runtime(experiment: Experiment, name: str) -> Experiment:
    """The experiment on that runtime, with its timing, and of the target's options those that this one has too."""
    known = {field.name for field in fields(plugin("target", name, WHERE).Options)}
    target = experiment.target
    kept = {option: value for option, value in target.further.items() if option in known}
    there = experiment.model_copy(update={"target": TargetConfig(runtime=name, timing=target.timing, **kept)})
    return there.with_plugins(plugins_of(there), allow_import=experiment.allow_import)


def _twice(names: Sequence[str]) -> str | None:
    return next((name for place, name in enumerate(names) if name in names[:place]), None)
