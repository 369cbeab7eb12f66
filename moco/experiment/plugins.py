"""From the names in an experiment to its plug-ins: looked up together, then their options checked; done once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from moco.errors import ConfigError
from moco.experiment.options import made_of, name_and_options, options_of
from moco.experiment.schema import Experiment, Plugins, SearcherConfig
from moco.experiment.schema_base import PluginSection
from moco.experiment.schema_space import RecoverySection
from moco.registry import Chosen, plugin
from moco.strategy import Strategy


def plugins_of(experiment: Experiment) -> Plugins:
    """The plug-ins that the experiment names; a ConfigError names the key path of one that is absent or not valid."""
    methods = experiment.space.declared
    objective, searcher, target = experiment.objective, experiment.searcher, experiment.target
    classes = iter([plugin(kind, name, where) for kind, name, where in _names(experiment)])
    return Plugins(
        methods=tuple(made_of("method", next(classes), given, f"space.{name}") for name, given in methods.items()),
        objective=_chosen("objective", "protocol", next(classes), objective),
        searcher=_strategy(next(classes), searcher).within(experiment.budget.answer_seconds),
        target=_with_counters(_chosen("target", "runtime", next(classes), target)),
        recovery=tuple(chosen_step(step, next(classes)) for step in experiment.recovery),
    )


def chosen_step(step: RecoverySection, cls: Any) -> Chosen:
    """A step of recovery, of that class, with its checked options; a ConfigError says which option does not fit."""
    where, given = f"recovery.{step.name}", step.options
    if not cls.takes_function:
        return Chosen("recovery_step", step.name, cls, options_of(cls.Options, given, where))
    if set(given) != {"import"} or not isinstance(given["import"], str):
        raise ConfigError(f"{where}: expected {{import: 'package.module:function'}}, got {dict(given)}")
    return Chosen("recovery_step", step.name, cls, given["import"])


def _names(experiment: Experiment) -> Iterable[tuple[str, str, str]]:
    """Kind, name and key path of each plug-in."""
    for name in experiment.space.declared:
        yield "method", name, f"space.{name}"
    yield "objective", experiment.objective.protocol, "objective.protocol"
    yield "searcher", experiment.searcher.name, "searcher.name"
    yield "target", experiment.target.runtime, "target.runtime"
    for step in experiment.recovery:
        yield "recovery_step", step.name, "recovery"


def _chosen(kind: str, key: str, cls: Any, section: PluginSection) -> Chosen:
    """The plug-in that the section of its kind names by that key."""
    options = options_of(cls.Options, section.further, kind, type(section).model_fields)
    return Chosen(kind, getattr(section, key), cls, options, f"{kind}.{key}")


def _strategy(cls: Any, section: SearcherConfig) -> Strategy:
    chosen = _chosen("searcher", "name", cls, section)
    return Strategy("searcher", chosen.name, chosen.options, cls)


def _with_counters(target: Chosen) -> Chosen:
    """The target, its counters checked: each a name, or a mapping of its name and its options."""
    for choice in getattr(target.options, "counters", None) or ():
        name, given = name_and_options("counter", choice, "target.counters")
        options_of(plugin("counter", name, "target.counters").Options, given, f"target.counters.{name}", ["name"])
    return target
