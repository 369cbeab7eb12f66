"""Whether a machine can measure what an objective asks for, decided before the search."""

from __future__ import annotations

from collections.abc import Collection

from moco.errors import ConfigError
from moco.guarded_objective import terms_of
from moco.interfaces import Objective
from moco.readings import READINGS


def measurable(objective: Objective, available: Collection[str]) -> tuple[Objective, tuple[str, ...]]:
    """The objective as this machine can measure it, and a warning for each weight that had to be dropped.

    A weight is dropped only where the options say `drop_unmeasurable: true`; a bound never is. A ConfigError refuses a
    metric that is not `available` (in `target.capabilities.metrics`) and not to be dropped, and to drop all weights.
    """
    terms = terms_of(objective)
    missing = [name for name in objective.metrics if name not in available]
    if not missing:
        return objective, ()
    bounded = {constraint.metric for constraint in terms.constraints}
    weights = set() if terms.without is None else terms.weights.keys() - bounded
    for name in missing:
        if name not in weights:
            key, advice = "metric", "choose another one"
            if name in bounded:
                key, advice = f"constraints.{name}", "remove the bound"
            elif name in terms.objectives:
                key, advice = f"objectives.{name}", "remove it"
            raise ConfigError(f"objective.{key}: {_refusal(name)}; {advice}")
    if terms.without is None or not terms.drop_unmeasurable:
        advice = "remove it or set objective.drop_unmeasurable: true"
        raise ConfigError(f"objective.weights.{missing[0]}: {_refusal(missing[0])}; {advice}")
    if weights <= set(missing):
        names = ", ".join(missing)
        raise ConfigError(f"objective.weights: this machine can measure none of {names}; weigh another one")
    dropped = "dropped, the other weights are scaled up"
    warnings = tuple(f"objective.weights.{name}: {_refusal(name)}; {dropped}" for name in missing)
    return terms.without(frozenset(missing)), warnings


def _refusal(name: str) -> str:
    reason = f" (no {READINGS[name].needs})" if name in READINGS and READINGS[name].needs else ""
    return f"this machine cannot measure {name}{reason}"
