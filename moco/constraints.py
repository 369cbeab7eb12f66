"""The one constraint grammar, `OP NUMBER[unit or x]`: `<= 0.8x`, `<= 25 ms`, `>= 91 %`, `<= +2 pp`."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

from moco.errors import ConfigError, nearest
from moco.metrics import METRICS, TOP1_ERROR, TOP5_ERROR
from moco.trial import MetricValue

_GRAMMAR = re.compile(r"^\s*(<=|>=)\s*([+-]?)(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)\s*([A-Za-z%/]*)\s*$")
ROUNDING = 1e-12
"""A bound is met exactly within this relative error: 1 - 0.91 is a little less than 90 / 1000."""

_ACCURACIES = {"top1_accuracy": TOP1_ERROR, "top5_accuracy": TOP5_ERROR}


@dataclass(frozen=True)
class Constraint:
    """A bound as the user wrote it, relative parts unresolved."""

    metric: str  # a metric, or any name that an evaluation gives
    op: str  # `<=` or `>=`
    number: float  # in the metric's stored unit; of a relative constraint the factor (`x`) or the difference (`pp`)
    relative_to_reference: str | None = None  # `x` (number times the reference) or `pp` (reference plus number)
    confidence: float | None = None  # None compares the estimate, else its one-sided bound at this confidence


@dataclass(frozen=True)
class Bound:
    """A constraint with its reference put in: `metric op value`."""

    metric: str
    op: str
    value: float
    confidence: float | None = None

    def violation(self, measured: MetricValue) -> float:
        """How far the bound is missed, relative to the bound; <= 0 is feasible.

        With a confidence c the pessimistic one-sided bound, estimate +- z_c * sem, takes the estimate's place.
        A bound that is met exactly but for rounding gives 0, one that is missed beyond all floats the largest.
        """
        pessimistic = measured.value
        sign = 1.0 if self.op == "<=" else -1.0
        if self.confidence is not None and measured.sem is not None:
            pessimistic += sign * NormalDist().inv_cdf(self.confidence) * measured.sem
        missed = sign * (pessimistic - self.value) / (abs(self.value) or 1.0)
        return 0.0 if abs(missed) < ROUNDING else min(max(missed, -sys.float_info.max), sys.float_info.max)

    def violation_sem(self, measured: MetricValue) -> float | None:
        """The standard error of `violation`; None where the metric's is unknown."""
        return None if measured.sem is None else min(measured.sem / (abs(self.value) or 1.0), sys.float_info.max)


def parse(name: str, text: object, where: str = "constraints", confidence: float | None = None) -> Constraint:
    """The constraint that `text` states on the metric `name`.

    `top1_accuracy` and `top5_accuracy` are understood and turned into bounds on the errors. A ConfigError where it is
    not of the grammar, or has a unit that the metric does not have.
    """
    match = _GRAMMAR.match(text) if isinstance(text, str) else None
    if match is None:
        raise ConfigError(
            f"{where}.{name}: expected 'OP NUMBER[unit or x]' such as '<= 0.8x', '<= 25 ms' or '<= +2 pp', got {text!r}"
        )
    if confidence is not None and not 0 < confidence < 1:
        raise ConfigError(f"{where}.{name}: a confidence lies between 0 and 1, such as 0.9, got {confidence!r}")
    op, sign, digits, unit = match.groups()
    number = float(sign + digits)
    if not math.isfinite(number):
        raise ConfigError(f"{where}.{name}: expected a finite number, got {text!r}")
    if name in _ACCURACIES:
        return _of_accuracy(name, op, number, unit, f"{where}.{name}", confidence)
    if unit == "x":
        return Constraint(name, op, number, "x", confidence)
    if unit == "pp" and (name not in METRICS or METRICS[name].shown_as == "%"):
        return Constraint(name, op, number / 100, "pp", confidence)
    return Constraint(name, op, number * _unit_scale(name, unit, f"{where}.{name}"), None, confidence)


def resolve(constraint: Constraint, reference: Mapping[str, MetricValue], where: str = "constraints") -> Bound:
    """The bound for this reference; a ConfigError where it is relative and the reference lacks the metric."""
    value = constraint.number
    if constraint.relative_to_reference is not None:
        if constraint.metric not in reference:
            raise ConfigError(
                f"{where}.{constraint.metric}: the bound is relative to the reference, which has no such metric"
                f"{nearest(constraint.metric, reference)}"
            )
        base = reference[constraint.metric].value
        value = base * value if constraint.relative_to_reference == "x" else base + value
    return Bound(constraint.metric, constraint.op, value, constraint.confidence)


def _unit_scale(name: str, unit: str, where: str) -> float:
    known = METRICS.get(name)
    if known is None:
        return 0.01 if unit == "%" else 1.0  # a percent is a percent, as points are, whatever the name
    if unit in {"", known.unit}:
        return 1.0
    if unit == known.shown_as:
        return 1.0 / known.scale
    expected = known.shown_as or "a plain number"
    raise ConfigError(f"{where}: unit '{unit}' does not fit; '{name}' is given in '{expected}'")


def _of_accuracy(name: str, op: str, number: float, unit: str, where: str, confidence: float | None) -> Constraint:
    flipped = "<=" if op == ">=" else ">="
    if unit == "pp":
        return Constraint(_ACCURACIES[name], flipped, -number / 100, "pp", confidence)
    if unit in {"%", ""}:
        accuracy = number / 100 if unit == "%" else number
        if not 0 <= accuracy <= 1:
            raise ConfigError(f"{where}: an accuracy lies in 0..1 or 0..100 %, got {number:g}{unit}")
        return Constraint(_ACCURACIES[name], flipped, 1 - accuracy, None, confidence)
    raise ConfigError(f"{where}: give an accuracy in '%' or 'pp', got '{unit}'")
