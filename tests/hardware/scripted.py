"""A target with a scripted clock: exact numbers where the real one has noise. It passes the same contract suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from moco.errors import MeasurementError
from moco.hardware.measuring.timing import images, interleave, timing_warnings
from moco.interfaces import Artifact, Capabilities, Finding, Normalize
from moco.measurement import Measurement, TimingPlan


class ScriptedClock:
    """A clock in ns that only moves when it is told to."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns

    def call(self, *durations_ms: float) -> Callable[[], None]:
        """A call that takes these times in turn, over and over."""
        state = {"n": 0}

        def take() -> None:
            self.now_ns += round(durations_ms[state["n"] % len(durations_ms)] * 1e6)
            state["n"] += 1

        return take


class ScriptedSession:
    """Runs a file on onnx's reference evaluator; each image takes `ms_per_mb` times the size of the file."""

    def __init__(self, artifact: Artifact, model: onnx.ModelProto, clock: ScriptedClock, ms_per_mb: float) -> None:
        self.artifact = artifact
        shape = model.graph.input[0].type.tensor_type.shape.dim
        self.input_shape = tuple(size.dim_value for size in shape[1:])
        self._evaluator: ReferenceEvaluator | None = ReferenceEvaluator(model)
        self._clock, self._ms_per_mb = clock, ms_per_mb

    def run(self, images: np.ndarray) -> np.ndarray:
        if images.dtype != np.float32 or images.shape[1:] != self.input_shape:
            raise MeasurementError(f"{self.artifact.path}: expected float32 images {self.input_shape}")
        if self._evaluator is None:
            raise MeasurementError(f"{self.artifact.path}: the session is closed")
        logits: np.ndarray = self._evaluator.run(None, {"input": images})[0]
        return logits

    def close(self) -> None:
        self._evaluator = None

    def wait(self, images: np.ndarray) -> None:
        self._clock.call(len(images) * self.artifact.size_bytes / 1e6 * self._ms_per_mb)()


@dataclass(frozen=True)
class ScriptedOptions:
    """The time that an image takes, by the size of the file."""

    ms_per_mb: float = 100.0


class ScriptedTarget:
    """A processor whose speed is known exactly."""

    Options = ScriptedOptions
    name = "scripted"
    distributions = ("onnx",)
    capabilities = Capabilities(
        precisions=("float32", "int8"),
        channel_multiples={"float32": 4, "int8": 4},
        layer_kinds={"float32": frozenset({"conv", "depthwise", "linear"}), "int8": frozenset({"conv"})},
        metrics=frozenset({"top1_error", "latency_ms"}),
    )

    def __init__(self, options: ScriptedOptions | None = None) -> None:
        self.ms_per_mb = (options or ScriptedOptions()).ms_per_mb
        self.clock = ScriptedClock()

    def connect(self) -> None:
        """It is always there."""

    def findings(self) -> tuple[Finding, ...]:
        return (Finding(self.name, True, "a clock that moves when it is told to"),)

    def snippet(self, file: str, input_shape: Sequence[int] | None, normalize: Normalize | None) -> str:
        return f"import numpy as np\nlabels = np.zeros(1)  # {file}\n"

    def load(self, artifact: Artifact) -> ScriptedSession:
        try:
            model = onnx.load_from_string(artifact.path.read_bytes())
            onnx.checker.check_model(model)
        except Exception as error:
            raise MeasurementError(f"{artifact.path}: cannot be loaded: {' '.join(str(error).split())}") from error
        return ScriptedSession(artifact, model, self.clock, self.ms_per_mb)

    def measure(self, sessions: Sequence[Any], plan: TimingPlan) -> Measurement:
        if not sessions:
            raise MeasurementError("expected at least one session to time, got none")
        calls = [partial(session.wait, images(plan, session.input_shape)) for session in sessions]
        measurement = Measurement(plan, interleave(calls, plan, self.clock), {"cores": 1, "threads": 1})
        return replace(measurement, warnings=timing_warnings(measurement, [s.artifact.sha256 for s in sessions]))

    def describe(self) -> Mapping[str, Any]:
        return {"runtime": self.name, "ms_per_mb": self.ms_per_mb}
