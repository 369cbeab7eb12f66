"""One candidate from policy to numbers: compress, recover, export, score, measure; every stage timed by itself.

What is scored is what is timed is what is shipped: one file, by hash (W08).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, nullcontext, suppress
from copy import copy
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

import numpy as np

from moco.compression.policy_settings import NEUTRAL
from moco.compression.space.codec import cost_of
from moco.errors import CompressionError, MeasurementError, PolicyRejectedError, SpaceError
from moco.evaluation.accuracy import Correct, correct, error_metrics, logits_of
from moco.evaluation.builder import Builder, Stopwatch
from moco.evaluation.calm import WAITED_SHARE, CalmTimings, Undisturbed
from moco.evaluation.store import EvaluationStore
from moco.interfaces import Artifact, Session, Target
from moco.measurement import Measurement, TimingPlan
from moco.policy import Policy
from moco.readings import READINGS
from moco.store_table import MALFORMED
from moco.trial import BEFORE_RECOVERY, FIRST_MADE, Evaluation, MetricValue

BEFORE_STAGE = "before recovery"
"""Of the seconds: building and scoring what a recovery began with."""


@dataclass(frozen=True)
class Images:
    """Decoded images (n, channels, height, width), normalised float32, with their labels (n,)."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class EvaluationPlan:
    """How a candidate is evaluated."""

    timing: Mapping[str, TimingPlan] = field(default_factory=dict)
    """Plans by metric of the table of readings; a metric without a plan is not measured."""
    constants: Mapping[str, float] = field(default_factory=dict)
    """The reference's measured metrics where an earlier session of this search has measured them.

    They are the scale of every timed metric, so all trials of a search must share them.
    """
    waited_share: float = WAITED_SHARE
    """Of all time, what may be waited for a calm machine at most."""
    before_recovery: bool = False
    """Whether each candidate is built and scored without its recovery, too."""


@dataclass(frozen=True)
class Reference:
    """The uncompressed network as a file on the target, that everything is compared to."""

    artifact: Artifact
    session: Session
    correct: Correct
    evaluation: Evaluation


@dataclass(frozen=True)
class BuiltCandidate:
    """A policy's file as any worker builds it, before it is scored and measured on the device."""

    policy: Policy
    artifact: Artifact
    counted: Mapping[str, MetricValue]  # what is known of it without running it: size and exact costs
    seconds: Mapping[str, float]  # spent by stage so far
    before: Artifact | None = None  # the file without recovery; None where none was asked for, or none was done

    @property
    def files(self) -> tuple[Artifact, ...]:
        """All that were built."""
        return (self.artifact,) if self.before is None else (self.artifact, self.before)


def size_of(artifact: Artifact) -> dict[str, MetricValue]:
    """The size of a file as a metric."""
    return {"size_mb": MetricValue(artifact.size_bytes / 1e6)}


class Evaluator:
    """Evaluates policies on one target; a stored evaluation is not made again.

    An evaluation has two stages: `build`, which needs no device, and `benchmark`, which times on it alone.
    """

    def __init__(
        self,
        builder: Builder,
        target: Target,
        search: Images,
        plan: EvaluationPlan,
        store: EvaluationStore | None = None,
        undisturbed: Undisturbed = nullcontext,
    ) -> None:
        """Build, score and time the reference; what cannot be measured of it is measured of no candidate either.

        In an `undisturbed` block the device is timed: no other process times on it, and this one does nothing else.
        """
        self.undisturbed = undisturbed
        self.builder, self.target, self.search, self.plan, self.store = builder, target, search, plan, store
        self.timings = CalmTimings(target, undisturbed, plan.waited_share)
        self.bare = builder.without_recovery() if plan.before_recovery else None
        self.unmeasured: dict[str, str] = {}
        self.image_s = 0.0  # that the reference takes to score an image
        self.reference = self._reference()
        self.plan = replace(plan, timing={name: p for name, p in plan.timing.items() if name not in self.unmeasured})

    def close(self) -> None:
        """Close the reference's session and the store; nothing is evaluated any more."""
        self.reference.session.close()
        if self.store is not None:
            self.store.close()

    def __call__(self, policy: Policy) -> Evaluation:
        """The evaluation of a policy; a PolicyRejectedError where it cannot be built or does not run on this target."""
        return self.through_store(self.evaluate)(policy)

    def through_store(self, evaluate: Callable[[Policy], Evaluation]) -> Callable[[Policy], Evaluation]:
        """`evaluate` for policies that the store does not know; it then does."""
        store, in_turn = self.store, Lock()
        if store is None:
            return evaluate

        def remembered(policy: Policy) -> Evaluation:
            with in_turn:  # a thread a worker asks
                stored = store.get(policy, self.reference.evaluation.metrics)
            if stored is not None and (known := self._rescaled(policy, stored)) is not None:
                return known
            if stored is not None:
                with in_turn:
                    store.disown(policy)
            evaluation = evaluate(policy)
            with in_turn:
                store.put(policy, evaluation)
            return evaluation

        return remembered

    def evaluate(self, policy: Policy) -> Evaluation:
        """Build, score and time the policy's file, whatever the store holds.

        A PolicyRejectedError where the policy cannot be built or does not run on this target, a MeasurementError where
        a metric that was measured of the reference cannot be measured of the candidate, a DeviceLostError where the
        device went away, which says nothing of the policy.
        """
        return self.benchmark(self.build(policy))

    def build(self, policy: Policy) -> BuiltCandidate:
        """The policy's file; a PolicyRejectedError where it cannot be built."""
        watch = Stopwatch()
        try:
            artifact, _ = self.builder.build(policy, watch)
        except (CompressionError, SpaceError, MeasurementError) as error:
            raise PolicyRejectedError(str(error)) from error
        with watch.stage("export"):
            counted = self._counted(artifact, policy)
        return BuiltCandidate(policy, artifact, counted, watch.seconds, self._built_bare(policy, watch))

    def benchmark(self, built: BuiltCandidate) -> Evaluation:
        """The candidate's file scored, measured, and removed: for delivery it is built anew. Errors as `evaluate`."""
        artifact, watch = built.artifact, Stopwatch(built.seconds)
        with ExitStack() as stack:
            for file in built.files:
                if file.sha256 != self.reference.artifact.sha256:
                    stack.callback(file.path.unlink, missing_ok=True)  # hundreds would fill the disk
            try:
                with watch.stage("load"):
                    session = stack.enter_context(closing(self.target.load(artifact)))
            except MeasurementError as error:
                raise PolicyRejectedError(str(error)) from error
            before = {} if built.before is None else self._scored_bare(built.before, watch)
            found = self.measured(session, built.counted, watch)
            return replace(found, details={**found.details, **before})

    def measured(self, session: Session, counted: Mapping[str, MetricValue], watch: Stopwatch) -> Evaluation:
        """An open file scored and timed beside the reference; `counted` is what is known of it without running it."""
        scored, timed = self._scored(session, watch), self._measured(session, watch)
        metrics, sha256 = {**scored, **counted, **timed.metrics}, session.artifact.sha256
        return replace(timed, metrics=metrics, seconds=watch.seconds, artifact_sha256=sha256)

    def beside_reference(self, metric: str, session: Session, plan: TimingPlan, watch: Stopwatch) -> Measurement:
        """What the metric is read from: the session timed beside the reference, nothing else and on a calm machine."""
        return self.timings.measure(metric, [self.reference.session, session], plan, watch)

    def timing_by(self, timing: Mapping[str, TimingPlan]) -> Evaluator:
        """An evaluator with the same reference that times by other plans of the same metrics; it closes nothing."""
        other = copy(self)
        other.plan = replace(self.plan, timing=timing)
        return other

    def spent(self, policy: Policy) -> Evaluation | None:
        """What the policy's network spends, built without recovery, which changes no cost; None where it cannot be."""
        bare = copy(self)
        bare.builder = self.builder.without_recovery()
        try:
            return bare.evaluate(policy)
        except PolicyRejectedError:
            return None

    def stored(self) -> list[tuple[Policy, Evaluation]]:
        """Earlier evaluations in the store, also of other protocols and searchers, on this search's scale."""
        if self.store is None:
            return []
        found = self.store.all(self.reference.evaluation.metrics)
        rescaled = [(policy, self._rescaled(policy, evaluation)) for policy, evaluation in found]
        return [(policy, evaluation) for policy, evaluation in rescaled if evaluation is not None]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with the store."""
        return () if self.store is None else self.store.warnings

    def exact(self, policy: Policy, artifact: Artifact, session: Session) -> dict[str, MetricValue]:
        """What can be counted and scored of a policy's file again, whatever is stored of it."""
        return {**self._scored(session, Stopwatch()), **self._counted(artifact, policy)}

    def _rescaled(self, policy: Policy, stored: Evaluation) -> Evaluation | None:
        """A stored evaluation on this search's scale; None where it cannot be put on it.

        What was stored is the paired ratio times the constant of the search that measured it. What this search does
        not measure is left out, as its scale is not known here. Exact costs are counted anew, as today's moco counts.
        No time was spent on it here, its details tell what it took.
        """
        try:
            return self._on_scale(policy, stored)
        except MALFORMED as error:
            assert self.store is not None
            self.store.tell("row", f"a row has no usable ratio ({type(error).__name__}); it is measured anew")
            return None

    def _on_scale(self, policy: Policy, stored: Evaluation) -> Evaluation:
        metrics = {name: stored.metrics[name] for name in self.reference.evaluation.metrics} | self._costs(policy)
        for name in self.plan.timing:
            ratio = stored.details[f"{name}.ratio"][0]
            constant, old = self.reference.evaluation.metrics[name].value, stored.metrics[name]
            value = READINGS[name].value(constant, ratio)
            if not (ratio > 0 and math.isfinite(value)):
                raise ValueError(f"{name}: a ratio of {ratio}")
            metrics[name] = MetricValue(value, None if old.sem is None else old.sem * value / old.value)
        details = {**stored.details, FIRST_MADE: dict(stored.seconds)}
        return replace(stored, metrics=metrics, seconds={}, details=details)

    def _scored(self, session: Session, watch: Stopwatch) -> dict[str, MetricValue]:
        with watch.stage("score"):
            right = correct(logits_of(session, self.search.images), self.search.labels)
        return error_metrics(right, self.reference.correct)

    def _built_bare(self, policy: Policy, watch: Stopwatch) -> Artifact | None:
        """The file that a recovery began with; None where nobody asks, nothing is recovered, or it cannot be built."""
        if self.bare is None or not self.builder.recovers(policy):
            return None
        with watch.stage(BEFORE_STAGE), suppress(CompressionError, SpaceError, MeasurementError):
            return self.bare.build(policy)[0]
        return None

    def _scored_bare(self, file: Artifact, watch: Stopwatch) -> dict[str, Any]:
        """Its errors, for an evaluation's details; empty where it does not run, which says nothing of the candidate."""
        with watch.stage(BEFORE_STAGE), suppress(MeasurementError), closing(self.target.load(file)) as session:
            errors = self._scored(session, Stopwatch())
            return {BEFORE_RECOVERY: {name: error.value for name, error in errors.items()}}
        return {}

    def _measured(self, session: Session, watch: Stopwatch) -> Evaluation:
        """What the target measures of the session beside the reference: metrics, samples and details."""
        metrics: dict[str, MetricValue] = {}
        samples: dict[str, tuple[float, ...]] = {}
        details: dict[str, Any] = {"warnings": []}
        for name, plan in self.plan.timing.items():
            reading = READINGS[name]
            measurement = self.beside_reference(name, session, plan, watch)
            ratio = measurement.ratio(series=reading.series)
            metrics[name] = reading.metric(self.reference.evaluation.metrics[name].value, ratio)
            keys = f"{name}.reference_{reading.unit}", f"{name}.candidate_{reading.unit}"
            samples |= zip(keys, measurement.series(reading.series) or (), strict=True)
            details[f"{name}.ratio"] = [ratio.value, ratio.low, ratio.high]
            details["warnings"] += measurement.warnings
        return Evaluation(metrics, samples, details=details)

    def _reference(self) -> Reference:
        artifact, _ = self.builder.build(NEUTRAL)
        with ExitStack() as on_failure:
            session = on_failure.enter_context(closing(self.target.load(artifact)))
            reference = self._measured_reference(artifact, session)
            on_failure.pop_all()  # it stays open: every candidate is timed beside it
        return reference

    def _measured_reference(self, artifact: Artifact, session: Session) -> Reference:
        began_s = time.perf_counter()
        right = correct(logits_of(session, self.search.images), self.search.labels)
        self.image_s = (time.perf_counter() - began_s) / len(self.search.labels)
        metrics = error_metrics(right, right) | self._counted(artifact, NEUTRAL)
        for name, plan in self.plan.timing.items():
            if name in self.plan.constants:
                metrics[name] = MetricValue(self.plan.constants[name])
            else:
                measured = self.timings.measure(name, [session, session], plan, Stopwatch())
                constant = READINGS[name].constant(measured)
                if constant is None:
                    self.unmeasured[name] = "; ".join(measured.warnings) or "the target gave no such series"
                else:
                    metrics[name] = MetricValue(constant)
        metrics = {name: MetricValue(m.value, None) for name, m in metrics.items()}  # the reference defines the scale
        return Reference(artifact, session, right, Evaluation(metrics, artifact_sha256=artifact.sha256))

    def _counted(self, artifact: Artifact, policy: Policy) -> dict[str, MetricValue]:
        return {**size_of(artifact), **self._costs(policy)}

    def _costs(self, policy: Policy) -> dict[str, MetricValue]:
        costs = cost_of(self.builder.compressor.costs, policy)
        return {name: MetricValue(float(cost)) for name, cost in costs.items()}
