"""Whether a machine can measure what an objective asks for, decided before the search."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, runtime_checkable

from moco.constraints import Constraint
from moco.errors import ConfigError
from moco.interfaces import Objective
from moco.readings import READINGS


@runtime_checkable
class Droppable(Objective, Protocol):
    """An objective that can go on without some of its weights."""

    weights: Mapping[str, float]
    constraints: Sequence[Constraint]
    drop_unmeasurable: bool

    def without(self, names: frozenset[str]) -> Objective:
        """The objective without these weights."""
        ...


def unmeasurable(metrics: Sequence[str], available: Collection[str]) -> tuple[str, ...]:
    """Those of an objective's metrics that are not among the available ones."""
    return tuple(name for name in metrics if name not in available)


def measurable(objective: Objective, available: Collection[str]) -> tuple[Objective, tuple[str, ...]]:
    """The objective as this machine can measure it, and a warning for each weight that had to be dropped.

    A weight is dropped only where the options say `drop_unmeasurable: true`; a bound never is.

    Args:
        objective: as configured.
        available: names of the metrics that the target measures, `target.capabilities.metrics`.

    Raises:
        ConfigError: a metric cannot be measured here and is not to be dropped, or no weight would be left.
    """
    missing = unmeasurable(objective.metrics, available)
    if not missing:
        return objective, ()
    weights: set[str] = set()
    if isinstance(objective, Droppable):
        weights = set(objective.weights) - {constraint.metric for constraint in objective.constraints}
    for name in missing:
        if name not in weights:
            raise ConfigError(_asked_by(objective, name))
    assert isinstance(objective, Droppable)
    if not objective.drop_unmeasurable:
        raise ConfigError(
            f"objective.weights.{missing[0]}: {_refusal(missing[0])}; "
            "remove it or set objective.drop_unmeasurable: true"
        )
    if weights <= set(missing):
        raise ConfigError(
            f"objective.weights: this machine can measure none of {', '.join(missing)}; weigh another one"
        )
    warnings = (
        f"objective.weights.{name}: {_refusal(name)}; dropped, the other weights are scaled up" for name in missing
    )
    return objective.without(frozenset(missing)), tuple(warnings)


def _asked_by(objective: Objective, name: str) -> str:
    """The key that asks for a metric that cannot be measured, and what to do about it."""
    if name in {constraint.metric for constraint in getattr(objective, "constraints", ())}:
        return f"objective.constraints.{name}: {_refusal(name)}; remove the bound"
    if name in getattr(objective, "objectives", ()):
        return f"objective.objectives.{name}: {_refusal(name)}; remove it"
    return f"objective.metric: {_refusal(name)}; choose another one"


def _refusal(name: str) -> str:
    reason = f" (no {READINGS[name].needs})" if name in READINGS and READINGS[name].needs else ""
    return f"this machine cannot measure {name}{reason}"
