"""An amount of a metric as a user writes it, `NUMBER[unit or x]`: the grammar of bounds without its operator."""

from __future__ import annotations

from collections.abc import Mapping

from moco.constraints import Constraint, parse, resolve
from moco.errors import ConfigError
from moco.metrics import metric
from moco.trial import MetricValue


def amount(name: str, given: str | float, where: str) -> Constraint:
    """The amount of the metric `name` that is meant; a plain number is in the metric's stored unit.

    Raises:
        ConfigError: not of the grammar, an unknown metric, or not above 0.
    """
    metric(name, where)
    text = f"{given}".strip()
    try:
        found = parse(name, f"<= {text}", where)
    except ConfigError as error:
        if "does not fit" in str(error):
            raise ConfigError(f"{where}: {str(error).partition(': ')[2]}") from None
        raise ConfigError(f"{where}: expected 'NUMBER[unit or x]' such as '0.8x' or '25', got {given!r}") from None
    if found.relative_to_reference == "pp" or found.number <= 0:
        raise ConfigError(f"{where}: expected an amount of {name} above 0, got {given!r}")
    return found


def resolved_amount(found: Constraint, reference: Mapping[str, MetricValue], where: str) -> float:
    """The amount in the metric's stored unit.

    Raises:
        ConfigError: it is relative to a metric that the reference lacks.
    """
    return resolve(found, reference, where).value
