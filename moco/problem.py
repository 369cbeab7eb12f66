"""What is minimised and what is bounded. Knows no algorithm; sign and direction are handled here and nowhere else."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from optuna.distributions import BaseDistribution

from moco import constraints as grammar
from moco.constraints import Bound
from moco.declared_layers import declared
from moco.errors import ConfigError, MocoError, in_one_line, nearest
from moco.metrics import Direction, real_number
from moco.space import SearchSpace
from moco.trial import Evaluation, MetricValue, Outcome

Derived = Callable[[Mapping[str, MetricValue]], MetricValue]
"""A metric computed from others, for example a protocol's weighted cost."""

FIRST_ORDER = 1e-3
"""Of a standard error: the step of the differences that give a score's slopes."""


@dataclass(frozen=True)
class Problem:
    """Losses and constraints over a space.

    Attributes:
        space: the search space; a plain dict of Optuna's distributions is taken too.
        objectives: direction by metric name, in the order of the losses.
        constraints: `{metric: "OP NUMBER[unit or x]"}` as written by a user.
        bounds: constraints already resolved, checked after those.
        derived: metrics computed from the measured ones before they are judged.
        reference: metrics of the uncompressed network, that relative constraints refer to.
        scorer: larger is better, orders the trials; None takes minus the mean of the losses that no constraint bounds
            (of all of them, where each is bounded; in whatever units they are).
        unbounded_scorer: the score as it would be were every bound met; None where `scorer` does not ask.
        reference_point: value by objective, in its metric's unit, for the hypervolume; None where the user gives it
            later.
        groups: names of parameters by layer, of a plain space whose parameters belong to layers.
        monotone: by parameter, +1 where cost falls (and error grows) as it rises, -1 where it does as it falls.
    """

    space: SearchSpace
    objectives: Mapping[str, str]
    constraints: Mapping[str, str] = field(default_factory=dict)
    bounds: tuple[Bound, ...] = ()
    derived: Mapping[str, Derived] = field(default_factory=dict)
    reference: Mapping[str, MetricValue] = field(default_factory=dict)
    scorer: Callable[[Evaluation], float] | None = None
    unbounded_scorer: Callable[[Evaluation], float] | None = None
    reference_point: Mapping[str, float] | None = None
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    monotone: Mapping[str, int] = field(default_factory=dict)

    if TYPE_CHECKING:  # the fields, but for a space that may be given as a dict

        def __init__(  # noqa: PLR0913, PLR0917, each is a field
            self,
            space: SearchSpace | Mapping[str, BaseDistribution],
            objectives: Mapping[str, str],
            constraints: Mapping[str, str] = ...,
            bounds: tuple[Bound, ...] = (),
            derived: Mapping[str, Derived] = ...,
            reference: Mapping[str, MetricValue] = ...,
            scorer: Callable[[Evaluation], float] | None = None,
            unbounded_scorer: Callable[[Evaluation], float] | None = None,
            reference_point: Mapping[str, float] | None = None,
            groups: Mapping[str, Sequence[str]] = ...,
            monotone: Mapping[str, int] = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        given: object = self.space
        if isinstance(given, Mapping):
            object.__setattr__(self, "space", SearchSpace(given))
        elif not isinstance(given, SearchSpace):
            raise ConfigError(f"space: expected a SearchSpace or a dict of distributions, got {type(given).__name__}")
        object.__setattr__(self, "space", declared(self.space, self.groups, self.monotone))
        object.__setattr__(self, "groups", {})  # they are the space's now
        if not self.objectives:
            raise ConfigError("objectives: expected at least one {metric: 'minimize' or 'maximize'}, got none")
        for name, direction in self.objectives.items():
            if direction not in set(Direction):
                raise ConfigError(f"objectives.{name}: expected 'minimize' or 'maximize', got {direction!r}")
        parsed = tuple(
            grammar.resolve(grammar.parse(name, text), self.reference) for name, text in self.constraints.items()
        )
        object.__setattr__(self, "bounds", (*self.bounds, *parsed))
        object.__setattr__(self, "constraints", {})

    def copied(self) -> Problem:
        """A problem of which nothing can be changed that this one holds, for code of others."""
        point = None if self.reference_point is None else dict(self.reference_point)
        return replace(
            self,
            space=self.space.copied(),
            objectives=dict(self.objectives),
            derived=dict(self.derived),
            reference=dict(self.reference),
            reference_point=point,
            monotone=dict(self.monotone),
        )

    def judge(self, evaluation: Evaluation) -> Outcome:
        """Losses and violations of an evaluation.

        Raises:
            ValueError: a metric is missing or not a finite number; the trial has failed.
        """
        metrics = self.metrics(evaluation)
        measured = [_finite(metrics, name) for name in self.objectives]
        bounded = [(bound, _finite(metrics, bound.metric)) for bound in self.bounds]
        signs = [-1.0 if direction == Direction.MAXIMIZE else 1.0 for direction in self.objectives.values()]
        return Outcome(
            losses=tuple(sign * m.value for sign, m in zip(signs, measured, strict=True)),
            loss_sems=tuple(m.sem for m in measured),
            violations=tuple(bound.violation(m) for bound, m in bounded),
            violation_sems=tuple(bound.violation_sem(m) for bound, m in bounded),
        )

    def metrics(self, evaluation: Evaluation) -> dict[str, MetricValue]:
        """The evaluation's metrics and the derived ones."""
        metrics = dict(evaluation.metrics)
        for name, derive in self.derived.items():
            metrics[name] = derive(dict(metrics))
        return metrics

    def score(self, evaluation: Evaluation) -> float:
        """The scalar that orders trials; larger is better.

        Raises:
            ValueError: a scorer's answer is no finite number; the trial has failed.
        """
        if self.scorer is not None:
            return _answer(self.scorer, evaluation)
        losses = self.judge(evaluation).losses
        bounded = {bound.metric for bound in self.bounds}
        free = [loss for name, loss in zip(self.objectives, losses, strict=True) if name not in bounded]
        taken = free or losses
        if max(map(abs, taken)) > sys.float_info.max / len(taken):  # their sum may be beyond all floats
            return -math.fsum(loss / len(taken) for loss in taken)
        return -math.fsum(taken) / len(taken)

    def unbounded_score(self, evaluation: Evaluation) -> float:
        """The score without its fall where a bound is missed: what models of the score learn beside the violations.

        A published score falls to a constant there (S1.21), a cliff that no model can follow.
        """
        if self.unbounded_scorer is None:
            return self.score(evaluation)
        return _answer(self.unbounded_scorer, evaluation)

    def score_sem(self, evaluation: Evaluation) -> float | None:
        """The standard error of `unbounded_score`, to first order and with independent metrics.

        None where no metric has one.
        """
        metrics, score = evaluation.metrics, self.unbounded_score(evaluation)
        parts = []
        for name, m in metrics.items():
            if m.sem is not None:
                step = FIRST_ORDER * m.sem * (-1.0 if m.value > 0 else 1.0)  # below 0 and above 1 there are no errors
                moved = replace(evaluation, metrics={**metrics, name: MetricValue(m.value + step, m.sem)})
                parts.append((self.unbounded_score(moved) - score) / FIRST_ORDER)
        return math.hypot(*parts) if parts else None

    def loss_point(self, values: Mapping[str, float]) -> tuple[float, ...]:
        """Values by objective, as a user states them, as losses in the problem's order."""
        for name in self.objectives:
            if name not in values:
                raise ConfigError(f"reference point: a value for '{name}' is missing")
        return tuple(
            -values[name] if direction == Direction.MAXIMIZE else values[name]
            for name, direction in self.objectives.items()
        )


def _answer(scorer: Callable[[Evaluation], float], evaluation: Evaluation) -> float:
    """What a scorer, maybe of others, makes of a copy of the evaluation; a ValueError where it is no finite number."""
    try:
        given: object = scorer(evaluation.copied())
    except (MocoError, ValueError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise ValueError(f"the score failed: {in_one_line(error)}") from error
    with suppress(TypeError, OverflowError):
        if math.isfinite(score := real_number(given)):
            return score
    raise ValueError(f"expected a finite number as score, got {given!r} from {_name(scorer)}")


def _name(function: object) -> str:
    """Where a function is defined; of an object that is called, its class."""
    of = function if hasattr(function, "__qualname__") else type(function)
    return f"{getattr(of, '__module__', None)}.{getattr(of, '__qualname__', None)}"


def _finite(metrics: Mapping[str, MetricValue], name: str) -> MetricValue:
    if name not in metrics:
        raise ValueError(f"the evaluation gives no '{name}'{nearest(name, metrics)}")
    measured = metrics[name]
    if not math.isfinite(measured.value) or (measured.sem is not None and not math.isfinite(measured.sem)):
        raise ValueError(f"the evaluation gives {name} = {measured.value} +- {measured.sem}, not a finite number")
    return measured
