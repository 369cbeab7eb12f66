"""A trial as the files of a run folder hold it: all in trials.json and trials.csv, or what a result says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

from moco.metrics import METRICS, Direction
from moco.run_folder.record import Record, left_out, unwritten
from moco.trial import BEFORE_RECOVERY, Evaluation, MetricValue, Trial

_OF_TRIAL = ("number", "origin", "feasible", "distinct", "score", "reason", "seconds", "point", "evaluation")


@dataclass(frozen=True, kw_only=True)
class TrialRecord(Record):
    """A finished trial: an entry of trials.json; losses and violations are None unless it is complete."""

    number: int
    origin: str = "search"
    given: bool = False  # a start that counts in no budget
    state: str
    feasible: bool = False
    distinct: bool = True
    score: float | None = None
    reason: str | None = None
    seconds: float | None = None
    losses: tuple[float, ...] | None = None  # in the order of the objectives
    violations: tuple[float, ...] | None = None
    policy: Mapping[str, Any] | None = None  # settings by layer
    point: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Evaluation | None = None
    objectives: tuple[str, ...] = unwritten()  # names of the losses, which the entry does not say

    @classmethod
    def of(cls, trial: Trial, objectives: tuple[str, ...] = ()) -> Self:
        """The record of a trial."""
        return cls(
            **{name: getattr(trial, name) for name in _OF_TRIAL},
            given=trial.suggestion.given,
            state=trial.state.value,
            losses=None if trial.outcome is None else trial.outcome.losses,
            violations=None if trial.outcome is None else trial.outcome.violations,
            policy=None if trial.policy is None else trial.policy.settings,
            objectives=objectives,
        )

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Objectives and measured metrics by name, in stored units; empty unless complete."""
        judged = {name: _unsigned(name, loss) for name, loss in zip(self.objectives, self.losses or (), strict=False)}
        measured = {name: float(metric.value) for name, metric in self._measured.items() if metric.value is not None}
        return judged | measured

    @cached_property
    def sems(self) -> dict[str, float]:
        """Standard errors by metric, where they were estimated."""
        return {name: float(metric.sem) for name, metric in self._measured.items() if metric.sem is not None}

    @cached_property
    def before_recovery(self) -> dict[str, float]:
        """Errors by metric of the network before anything was recovered; empty where nobody scored it then."""
        told = {} if self.evaluation is None else self.evaluation.details.get(BEFORE_RECOVERY)
        return {name: float(error) for name, error in (told if isinstance(told, Mapping) else {}).items()}

    @property
    def row(self) -> dict[str, Any]:
        """The cells of trials.csv by column; what is not known is left out."""
        measured = {name: metric.value for name, metric in self._measured.items()}
        losses = {f"loss.{name}": loss for name, loss in zip(self.objectives, self.losses or (), strict=False)}
        known = {name: value for name, value in self.to_json().items() if value is not None}
        before = {f"{BEFORE_RECOVERY}.{name}": error for name, error in self.before_recovery.items()}
        return {**self.point, **measured, **losses, **before, **known}

    @property
    def _measured(self) -> Mapping[str, MetricValue]:
        return {} if self.evaluation is None else self.evaluation.metrics


@dataclass(frozen=True, kw_only=True)
class TrialSummary(Record):
    """A trial as a result tells of it: a point of the front; metrics with the derived ones, in stored units."""

    trial: int | None = None
    policy: Mapping[str, Any] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    losses: tuple[float, ...] = ()

    @classmethod
    def of(cls, trial: Trial, metrics: Mapping[str, MetricValue], **more: Any) -> Self:
        """The summary of a complete trial; `more` is what the class adds to it."""
        assert trial.policy is not None
        assert trial.outcome is not None
        values = {name: metric.value for name, metric in metrics.items()}
        losses = trial.outcome.losses
        return cls(trial=trial.number, policy=trial.policy.settings, metrics=values, losses=losses, **more)


@dataclass(frozen=True, kw_only=True)
class Delivered(TrialSummary):
    """The trial whose network is delivered."""

    score: float | None = None
    feasible: bool | None = None  # on the search split; None where an older result does not say
    origin: str = "search"  # or the name of a start
    network: str | None = left_out()  # where it is a sibling of the one that was searched, its name
    holds: bool | None = None  # floor and budgets, on fresh evidence
    sha256: str | None = None  # of the file


@dataclass(frozen=True, kw_only=True)
class _Named(Record):
    name: str
    feasible: bool | None = None
    score: float | None = None


@dataclass(frozen=True, kw_only=True)
class Baseline(TrialSummary, _Named):
    """A start that was evaluated, the reference among them."""


def _unsigned(name: str, loss: float) -> float:
    return -float(loss) if name in METRICS and METRICS[name].direction is Direction.MAXIMIZE else float(loss)
