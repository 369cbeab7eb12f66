"""What passes between the searcher, the evaluation and the study: frozen values, all of them JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from moco.policy import Policy

FIRST_MADE = "first_made_s"
"""Key of an evaluation's `details`: seconds by stage that a stored evaluation took when it was made."""

BEFORE_RECOVERY = "before_recovery"
"""Key of an evaluation's `details`: errors by metric of the file as it was before anything was recovered (S2.15)."""

FINALIST = "finalist"
"""Key of a suggestion's `notes`: of which trial's network it is a training, and how far (`moco.finalists`)."""

NEIGHBOUR_OF = "neighbour_of"
"""Key of a suggestion's `notes`: the trial beside which the search looked more closely (`moco.run.neighbours`)."""

SIBLING = "sibling"
"""Key of a suggestion's `notes`: the network of a sibling's trial."""

FAILURES = "failures"
"""Key of a suggestion's `notes`: what the searcher failed at since its last suggestion, a text each."""

Point = Mapping[str, Any]
"""Values of a space's parameters by name, as Optuna's distributions give them."""


class TrialState(StrEnum):
    """How a trial ended."""

    COMPLETE = "complete"
    REJECTED = "rejected"
    FAILED = "failed"


@dataclass(frozen=True)
class Suggestion:
    """A point that a searcher proposes.

    Attributes:
        id: the number of the ask, from 0; what the study brings itself, starts, neighbours and finalists, has negative
            ids.
        point: a value for every parameter of the space.
        notes: JSON that the searcher wants back with the trial (raw actions, a generation, …).
    """

    id: int
    point: Point
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def failures(self) -> tuple[str, ...]:
        """What the searcher says that it failed at; notes are anybody's, so other things are none."""
        found = self.notes.get(FAILURES)
        texts = found if isinstance(found, list | tuple) else ()
        return tuple(" ".join(text.split()) for text in texts if isinstance(text, str))

    @property
    def given(self) -> bool:
        """Whether it is a start that was declared as given: it counts in no budget."""
        return self.id < 0 and self.notes.get("given") is True

    @property
    def finalist(self) -> bool:
        """Whether it is a training of an earlier trial's network: no searcher hears of it."""
        return self.id < 0 and FINALIST in self.notes

    @property
    def counted(self) -> bool:
        """Whether it counts in the budget of trials."""
        return not (self.given or self.finalist)

    @property
    def sibling(self) -> str | None:
        """The name of the network that it is a trial of, where that is not the one that is searched."""
        return str(self.notes[SIBLING]) if self.id < 0 and SIBLING in self.notes else None


@dataclass(frozen=True)
class MetricValue:
    """A number with its standard error; `sem` is None where it is exact or was not estimated.

    The standard error of `top1_error` and `top5_error` is that of the paired difference to the reference.
    """

    value: float
    sem: float | None = None


@dataclass(frozen=True)
class Evaluation:
    """All that is known of one compressed network.

    Attributes:
        metrics: value and standard error by metric name, in the metric's stored unit.
        samples: raw samples by name, in the order they were taken.
        seconds: time spent by stage (compress, recover, export, score, measure, …).
        artifact_sha256: hash of the file that was scored and timed; None without a file.
        details: JSON: what was done, `warnings`, and by timed metric NAME `NAME.ratio`, the paired ratio to the
            reference with its interval, by which a stored evaluation is put on another search's scale.
    """

    metrics: Mapping[str, MetricValue]
    samples: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    artifact_sha256: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def copied(self) -> Evaluation:
        """An evaluation of which nothing can be changed that this one holds, for code of others."""
        return replace(
            self,
            metrics=dict(self.metrics),
            samples=dict(self.samples),
            seconds=dict(self.seconds),
            details=deepcopy(dict(self.details)),
        )

    def to_json(self) -> dict[str, Any]:
        """This evaluation as JSON values."""
        return {
            "metrics": {name: [m.value, m.sem] for name, m in self.metrics.items()},
            "samples": {name: list(values) for name, values in self.samples.items()},
            "seconds": dict(self.seconds),
            "artifact_sha256": self.artifact_sha256,
            "details": dict(self.details),
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Evaluation:
        """The evaluation that `to_json` wrote."""
        return Evaluation(
            metrics={name: MetricValue(*pair) for name, pair in data["metrics"].items()},
            samples={name: tuple(values) for name, values in data["samples"].items()},
            seconds=dict(data["seconds"]),
            artifact_sha256=data["artifact_sha256"],
            details=dict(data["details"]),
        )


@dataclass(frozen=True)
class Outcome:
    """An evaluation as a problem sees it.

    Attributes:
        losses: smaller is better, in the order of the problem's objectives.
        loss_sems: their standard errors, None where unknown.
        violations: one a constraint; <= 0 is feasible, the size is relative to the bound.
        violation_sems: their standard errors, None where unknown.
    """

    losses: tuple[float, ...]
    loss_sems: tuple[float | None, ...] = ()
    violations: tuple[float, ...] = ()
    violation_sems: tuple[float | None, ...] = ()

    def __post_init__(self) -> None:
        """Standard errors that are not given are unknown."""
        object.__setattr__(self, "loss_sems", self.loss_sems or (None,) * len(self.losses))
        object.__setattr__(self, "violation_sems", self.violation_sems or (None,) * len(self.violations))

    @property
    def feasible(self) -> bool:
        """Whether every constraint is met."""
        return all(violation <= 0 for violation in self.violations)


@dataclass(frozen=True)
class Trial:
    """A finished suggestion, as it stands in the ledger.

    Attributes:
        number: place in the ledger, from 0, in the order of finishing.
        point: what was executed, after rounding: searchers learn from this, not from `suggestion.point` (W20).
        policy: the canonical policy; None where the point had none.
        evaluation, outcome, score: None unless complete. `score` is larger-is-better.
        reason: why it was rejected or failed.
        distinct: False where the policy had been evaluated before in this search.
        seconds: wall-clock time of this trial.
        elapsed_s: of the whole search when it was recorded (`Study.elapsed_s`); None where an older moco recorded it.
        processor_s: likewise, of all processors together (`moco.processor_clock`); None where nobody counted them.
    """

    number: int
    suggestion: Suggestion
    state: TrialState
    point: Point
    policy: Policy | None = None
    evaluation: Evaluation | None = None
    outcome: Outcome | None = None
    score: float | None = None
    reason: str | None = None
    distinct: bool = True
    seconds: float = 0.0
    elapsed_s: float | None = None
    processor_s: float | None = None

    def copied(self) -> Trial:
        """A trial of which nothing can be changed that this one holds, for code of others."""
        suggestion = replace(
            self.suggestion, point=dict(self.suggestion.point), notes=deepcopy(dict(self.suggestion.notes))
        )
        evaluation = None if self.evaluation is None else self.evaluation.copied()
        return replace(self, point=dict(self.point), suggestion=suggestion, evaluation=evaluation)

    @property
    def feasible(self) -> bool:
        """Whether the trial is complete and meets every constraint."""
        return self.state is TrialState.COMPLETE and self.outcome is not None and self.outcome.feasible

    @property
    def origin(self) -> str:
        """`reference`, `int8`, `ladder …` for a start, `search` for a searcher's suggestion, `finalist`."""
        if self.suggestion.finalist:
            return FINALIST
        return str(self.suggestion.notes.get("start", "search")) if self.suggestion.id < 0 else "search"

    @property
    def is_start(self) -> bool:
        """Whether the study brought it before it asked the searcher."""
        said = self.suggestion.notes
        return self.suggestion.id < 0 and not said.keys() & {FINALIST, SIBLING, NEIGHBOUR_OF}


def elapsed_of(trials: Iterable[Trial]) -> float:
    """Wall-clock seconds of the search that these are all trials of, by number; given starts are left out.

    Trials of an older moco, which ran one at a time, do not tell it: their own seconds add up.
    """
    elapsed_s = 0.0
    for trial in trials:
        if trial.elapsed_s is not None:
            elapsed_s = trial.elapsed_s
        elif not trial.suggestion.given:
            elapsed_s += trial.seconds
    return elapsed_s
