"""One candidate from policy to numbers: compress, recover, export, score, measure; every stage timed by itself.

What is scored is what is timed is what is shipped: one file, by hash (W08).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from moco.compression.apply import Compressor
from moco.compression.settings import NEUTRAL, precisions_of, widths_of
from moco.compression.verify import verify_file, verify_network, verify_parameters
from moco.errors import CompressionError, MeasurementError, PolicyRejectedError, RunFolderError, SpaceError
from moco.evaluation.accuracy import Correct, correct, error_metrics, logits_of
from moco.evaluation.store import EvaluationStore
from moco.export.calibration import calibrate, open_session, outputs
from moco.export.compact import compact
from moco.export.quantize import observed_tensors, quantize
from moco.export.template import Template, build_template
from moco.interfaces import Artifact, Session, Target
from moco.measurement import RatioEstimate, TimingPlan
from moco.policy import Policy
from moco.recovery.batch_norm import Statistics, batch_statistics, re_estimate
from moco.trial import Evaluation, MetricValue

PARITY_IMAGES, PARITY_TOLERANCE = 1, 1e-3


@dataclass(frozen=True)
class Images:
    """Decoded images (n, channels, height, width), normalised float32, with their labels (n,)."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class EvaluationPlan:
    """How a candidate is evaluated.

    Attributes:
        batch_norm: whether batch-norm statistics are re-estimated after surgery.
        timing: plans by metric, `latency_ms` and `throughput_ips`; a metric without a plan is not measured.
        constants: the reference's timed metrics where an earlier session of this search has measured them. They are
            the scale of every timed metric, so all trials of a search must share them.
    """

    batch_norm: bool = True
    timing: Mapping[str, TimingPlan] = field(default_factory=dict)
    constants: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Reference:
    """The uncompressed network as a file on the target, that everything is compared to."""

    artifact: Artifact
    session: Session
    correct: Correct
    evaluation: Evaluation


class Stopwatch:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the block to the stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


class Builder:
    """Builds the file of a policy: surgery, recovery, export. The same policy always gives the same bytes."""

    def __init__(self, compressor: Compressor, calibration: np.ndarray, batch_norm: bool, folder: Path) -> None:
        """Export the template once.

        Args:
            calibration: unlabelled images (n, channels, height, width), for batch-norm and int8 ranges.
            folder: where the files go.

        Raises:
            CompressionError: the network cannot be exported, or the calibration images are not finite.
        """
        if not len(calibration) or not np.all(np.isfinite(calibration)):
            raise CompressionError(
                f"calibration: expected finite images, got {len(calibration)} with "
                f"{int(np.sum(~np.isfinite(calibration)))} values that are not; see data.splits.calibration"
            )
        self.compressor, self.calibration, self.folder = compressor, calibration, folder
        self.images = torch.from_numpy(calibration)
        self.statistics: Statistics | None = batch_statistics(compressor.network, self.images) if batch_norm else None
        self.template: Template = build_template(compressor.network, self.images[:2])
        self._tensors: dict[tuple[frozenset[str], tuple[str, ...]], tuple[str, ...]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def build(self, policy: Policy, watch: Stopwatch | None = None) -> tuple[Artifact, nn.Module]:
        """The file of the policy, and the compressed network that it was exported from.

        Raises:
            CompressionError, SpaceError: the policy cannot be built; the layer or the tensor is named.
        """
        watch = watch or Stopwatch()
        with watch.stage("compress"):
            kept = self.compressor.kept(policy)
            thin = self.compressor.graph.thin(self.compressor.network, kept)
            verify_network(thin, self.compressor.graph, kept)
            verify_parameters(thin, self.compressor.costs.of(widths_of(policy), {})["parameters"])
        if self.statistics is not None and kept:
            with watch.stage("recover"):
                re_estimate(thin, self.images, self.statistics, self.compressor.kept_of_batch_norms(kept))
        with watch.stage("export"):
            proto = self.template.render(thin)
        proto = self._checked(proto, thin, precisions_of(policy), watch)
        with watch.stage("export"):
            verify_file(proto, policy)
            compact(proto)
            return self._written(proto), thin

    def _checked(
        self, proto: onnx.ModelProto, thin: nn.Module, int8_layers: Mapping[str, str], watch: Stopwatch
    ) -> onnx.ModelProto:
        """The graph, in int8 where asked, after its float form gave what the network gives."""
        try:
            return self._quantized(proto, thin, int8_layers, watch)
        except CompressionError:
            # A graph that bakes its widths in cannot take other weights: this candidate gets an export of its own.
            with watch.stage("export"):
                own = build_template(thin, self.images[:2])
                proto = own.render(thin)
            return self._quantized(proto, thin, int8_layers, watch)

    def _quantized(
        self, proto: onnx.ModelProto, thin: nn.Module, int8_layers: Mapping[str, str], watch: Stopwatch
    ) -> onnx.ModelProto:
        if not int8_layers:
            with watch.stage("export"):
                logits = outputs(open_session(proto), self.calibration[:PARITY_IMAGES])[0]
                self._check_parity(logits, thin)
            return proto
        with watch.stage("export"):
            tensors = self._observed(proto, int8_layers)
        with watch.stage("calibrate"):
            calibration = calibrate(proto, tensors, self.calibration)
        with watch.stage("export"):
            self._check_parity(calibration.logits, thin)
            return quantize(proto, int8_layers, calibration.ranges)

    def _observed(self, proto: onnx.ModelProto, int8_layers: Mapping[str, str]) -> tuple[str, ...]:
        """The tensors whose ranges are asked for; they depend on the graph's operators, not on its widths."""
        key = (frozenset(int8_layers), tuple(node.op_type for node in proto.graph.node))
        if key not in self._tensors:
            self._tensors[key] = observed_tensors(proto, int8_layers)
        return self._tensors[key]

    def _check_parity(self, logits: np.ndarray, thin: nn.Module) -> None:
        with torch.no_grad():
            expected = thin(self.images[:PARITY_IMAGES]).numpy()
        difference = float(np.abs(logits[:PARITY_IMAGES] - expected).max())
        if not difference <= PARITY_TOLERANCE * max(1.0, float(np.abs(expected).max())):
            raise CompressionError(f"export: the file's logits differ from the network's by {difference:.2g}")

    def _written(self, proto: onnx.ModelProto) -> Artifact:
        data = proto.SerializeToString(deterministic=True)
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.folder / f"{sha256[:16]}.onnx"
        if not path.exists():
            partial = path.with_suffix(".partial")
            try:
                partial.write_bytes(data)
                partial.replace(path)  # whole or not at all: a killed search must not leave half a file of this name
            except OSError as error:
                partial.unlink(missing_ok=True)
                raise RunFolderError(f"{path}: cannot be written: {error.strerror or error}") from error
        return Artifact(path, sha256, len(data))


class Evaluator:
    """Evaluates policies on one target; a stored evaluation is not made again."""

    def __init__(
        self,
        builder: Builder,
        target: Target,
        search: Images,
        plan: EvaluationPlan,
        store: EvaluationStore | None = None,
        quiet: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Build, score and time the reference.

        Args:
            search: the search split.
            quiet: keeps other threads of this process still while a block is timed.
        """
        self.quiet = quiet
        self.builder, self.target, self.search, self.plan, self.store = builder, target, search, plan, store
        self.reference = self._reference()

    def __call__(self, policy: Policy) -> Evaluation:
        """The evaluation of a policy.

        Raises:
            PolicyRejectedError: the policy cannot be built or does not run on this target.
        """
        stored = self.store.get(policy, self.reference.evaluation.metrics) if self.store is not None else None
        if stored is not None:
            return self._rescaled(stored)
        evaluation = self.evaluate(policy)
        if self.store is not None:
            self.store.put(policy, evaluation)
        return evaluation

    def evaluate(self, policy: Policy) -> Evaluation:
        """Build, score and time the policy's file, whatever the store holds.

        Raises:
            PolicyRejectedError: the policy cannot be built or does not run on this target.
        """
        watch = Stopwatch()
        try:
            artifact, _ = self.builder.build(policy, watch)
            with watch.stage("load"):
                session = self.target.load(artifact)
        except (CompressionError, SpaceError, MeasurementError) as error:
            raise PolicyRejectedError(str(error)) from error
        with watch.stage("score"):
            right = correct(logits_of(session, self.search.images), self.search.labels)
        metrics = error_metrics(right, self.reference.correct)
        with watch.stage("export"):
            metrics |= self._counted(artifact, policy)
        samples: dict[str, tuple[float, ...]] = {}
        details: dict[str, Any] = {"warnings": []}
        for name, plan in self.plan.timing.items():
            with ExitStack() as stillness:
                with watch.stage("tracking"):  # what a tracker makes the search wait is overhead, not measuring
                    stillness.enter_context(self.quiet())
                with watch.stage("measure"):
                    measurement = self.target.measure([self.reference.session, session], plan)
            ratio = measurement.ratio()
            metrics[name] = timed_metric(name, ratio, self.reference.evaluation.metrics[name].value)
            samples[f"{name}.reference_ms"], samples[f"{name}.candidate_ms"] = measurement.samples_ms
            details[f"{name}.ratio"] = [ratio.value, ratio.low, ratio.high]
            details["warnings"] += measurement.warnings
        if artifact.sha256 != self.reference.artifact.sha256:
            artifact.path.unlink(missing_ok=True)  # hundreds would fill the disk; what is delivered is built again
        return Evaluation(metrics, samples, watch.seconds, artifact.sha256, details)

    def _rescaled(self, stored: Evaluation) -> Evaluation:
        """A stored evaluation on this search's scale; no time was spent on it here.

        What was stored is the paired ratio times the constant of the search that measured it. What this search does
        not measure is left out, as its scale is not known here.
        """
        metrics = {name: stored.metrics[name] for name in self.reference.evaluation.metrics}
        for name in self.plan.timing:
            ratio = stored.details[f"{name}.ratio"][0]
            constant, old = self.reference.evaluation.metrics[name].value, stored.metrics[name]
            value = _scaled(name, constant, ratio)
            metrics[name] = MetricValue(value, None if old.sem is None else old.sem * value / old.value)
        return replace(stored, metrics=metrics, seconds={})

    def _reference(self) -> Reference:
        artifact, _ = self.builder.build(NEUTRAL)
        session = self.target.load(artifact)
        right = correct(logits_of(session, self.search.images), self.search.labels)
        metrics = error_metrics(right, right) | self._counted(artifact, NEUTRAL)
        for name, plan in self.plan.timing.items():
            if name in self.plan.constants:
                metrics[name] = MetricValue(self.plan.constants[name])
            else:
                measured = self.target.measure([session, session], plan)
                metrics[name] = _of_time(name, measured.median_ms(0), measured.plan.batch)
        metrics = {name: MetricValue(m.value, None) for name, m in metrics.items()}  # the reference defines the scale
        return Reference(artifact, session, right, Evaluation(metrics, artifact_sha256=artifact.sha256))

    def _counted(self, artifact: Artifact, policy: Policy) -> dict[str, MetricValue]:
        costs = self.builder.compressor.costs.of(widths_of(policy), precisions_of(policy))
        return {name: MetricValue(float(v)) for name, v in {"size_mb": artifact.size_bytes / 1e6, **costs}.items()}


def timed_metric(name: str, ratio: RatioEstimate, reference: float) -> MetricValue:
    """A timed metric as the paired ratio times the reference's constant, with its standard error."""
    value = _scaled(name, reference, ratio.value)
    return MetricValue(value, value * ratio.sem / ratio.value)


def _scaled(name: str, reference: float, ratio: float) -> float:
    return reference / ratio if name == "throughput_ips" else reference * ratio


def _of_time(name: str, milliseconds: float, batch: int) -> MetricValue:
    return MetricValue(batch * 1000 / milliseconds if name == "throughput_ips" else milliseconds)
