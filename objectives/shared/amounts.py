"""Amounts as users write them, `NUMBER[unit or x]`, the grammar of bounds without its operator; the accuracy floor."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from moco.constraints import Constraint, parse
from moco.errors import ConfigError, nearest
from moco.metrics import TOP1_ERROR, metric

_GRAMMAR = re.compile(r"^\s*(?:>=)?\s*([+-]?)(\d+(?:\.\d*)?|\.\d+)\s*(pp|%|)\s*$")
_KEYS = ("value", "confidence")
FORMS = "'-10 pp' (points below the reference), '>= 91 %', or {value: '-2 pp', confidence: 0.9}"


def amount(name: str, given: str | float, where: str) -> Constraint:
    """The amount of the metric, a plain number being in its stored unit; a ConfigError where it is not above 0."""
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


def floor_constraint(floor: str | Mapping[str, Any], where: str = "objective.floor") -> Constraint:
    """The bound on top-1 error that the floor means; a ConfigError refuses other forms and values out of range.

    With a confidence c the floor is met when the one-sided lower bound at c is: estimate + z_c * sem <= bound, where
    sem is that of the paired difference to the reference. For an absolute floor the reference's own accuracy is thus
    taken as measured; the certificate makes no such assumption.
    """
    if isinstance(floor, str):
        return _parsed(floor, None, where)
    if not isinstance(floor, Mapping) or "value" not in floor:
        raise ConfigError(f"{where}: expected {FORMS}, got {floor!r}")
    for key in floor:
        if key not in _KEYS:
            raise ConfigError(f"{where}.{key}: unknown key{nearest(str(key), _KEYS)}")
    confidence = floor.get("confidence")
    if confidence is not None:
        if isinstance(confidence, bool) or not isinstance(confidence, (int, float)) or not 0.5 <= confidence < 1:
            raise ConfigError(f"{where}.confidence: expected a number in [0.5, 1), got {confidence!r}")
        confidence = float(confidence)
    return _parsed(floor["value"], confidence, f"{where}.value")


def _parsed(text: object, confidence: float | None, where: str) -> Constraint:
    match = _GRAMMAR.match(text) if isinstance(text, str) else None
    if match is None:
        raise ConfigError(f"{where}: expected {FORMS}, got {text!r}")
    sign, digits, unit = match.groups()
    number = float(sign + digits)
    if unit == "pp":
        if not sign and number:
            raise ConfigError(f"{where}: write '-{digits} pp' for {digits} points below the reference, got {text!r}")
        if not -100 < number < 100:
            raise ConfigError(f"{where}: expected between -100 and +100 points, got {text!r}")
        return Constraint(TOP1_ERROR, "<=", -number / 100, "pp", confidence)
    accuracy = number / 100 if unit == "%" else number
    if sign or not 0 <= accuracy <= 1:
        raise ConfigError(f"{where}: an accuracy lies in 0..1 or 0..100 %, got {text!r}")
    return Constraint(TOP1_ERROR, "<=", 1 - accuracy, None, confidence)
