"""ONNX Runtime on this machine's processor.

The clock runs around a whole `InferenceSession.run` from a numpy array to a numpy array, as a deploying program would
call it. With one thread, the default, it is the processor time of that thread, elsewhere the wall clock; why, and what
no number can show, stands in docs/measurement.md. Energy is measured where a counter is named.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import onnxruntime as ort

from moco.errors import ConfigError, MeasurementError, nearest
from moco.hardware.measuring.artifact_file import check_images, content_of
from moco.hardware.measuring.metering import CounterChoice, check_readable, counters_of, measured
from moco.hardware.measuring.processor import processor
from moco.hardware.measuring.timing import CLOCKS, interleave
from moco.interfaces import Artifact, Capabilities, Finding, Normalize, QuantizePlacement
from moco.interfaces import Session as AnySession
from moco.measurement import ENERGY, LOAD, POWER, TIME, Measurement, TimingPlan
from moco.readings import measured_by

INPUT, OUTPUT = "input", "logits"
ERRORS_ONLY = 3
"""ONNX Runtime's log severity: the exception carries the message, warnings about the graph help nobody here."""
INT8_MULTIPLE = 4
"""Int8 kernels take 4 channels at a time (one dot-product instruction): odd widths are slower than the next multiple
of 4, multiples of 16 are a little better still; measured on AVX-512 with VNNI (64->K->64 pairs: K 33 0.98, 32 0.58)."""
MOST_A_CORE = 8  # threads for each processor; more would only wait for each other
KINDS = frozenset({"conv", "depthwise", "linear"})
MIXED_KINDS = frozenset({"conv", "linear"})
"""Fewer bits are for size alone: they run as int8 at best."""


@dataclass(frozen=True)
class ONNXRuntimeOptions:
    """How sessions are opened."""

    threads: int = 1  # threads within an operator; more than one is of use on an otherwise idle machine only
    providers: tuple[str, ...] = ("CPUExecutionProvider",)  # ONNX Runtime's execution providers, the preferred first
    clock: str | None = None
    """`processor` or `wall`; None takes the processor's where it tells the whole time (`_one_thread_works`)."""
    counters: tuple[CounterChoice, ...] | None = None
    """Of the energy that sessions take, by name or as {name: …, option: …}; None measures no energy."""

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ConfigError(f"target.threads: expected at least 1, got {self.threads}")
        if self.threads > (most := MOST_A_CORE * (os.cpu_count() or 1)):
            raise ConfigError(f"target.threads: expected at most {most} on this machine, got {self.threads}")
        available = ort.get_available_providers()
        for provider in self.providers:
            if provider not in available:
                raise ConfigError(f"target.providers: '{provider}' is not available here{nearest(provider, available)}")
        if self.clock is not None and self.clock not in CLOCKS:
            raise ConfigError(f"target.clock: unknown clock '{self.clock}'{nearest(self.clock, CLOCKS)}")
        if self.clock == "processor" and not self._one_thread_works:
            raise ConfigError("target.clock: 'processor' sees one thread of a POSIX system only; take 'wall'")

    @property
    def clock_name(self) -> str:
        """The clock that is used."""
        return self.clock or ("processor" if self._one_thread_works else "wall")

    @property
    def _one_thread_works(self) -> bool:
        """Whether the calling thread does all the work, on no other device, and its clock is fine (Windows': 16 ms)."""
        return os.name == "posix" and self.threads == 1 and self.providers == ("CPUExecutionProvider",)


class ONNXRuntimeSession:
    """An ONNX file, open on ONNX Runtime."""

    def __init__(self, artifact: Artifact, session: ort.InferenceSession) -> None:
        """Wrap an open session; raises MeasurementError where its input or output is not the one of moco's files."""
        self.artifact, self.input_shape = artifact, _image_shape(session, artifact)
        self._session: ort.InferenceSession | None = session

    def close(self) -> None:
        """Free the runtime's memory of the file."""
        self._session = None

    def run(self, images: np.ndarray) -> np.ndarray:
        """Logits (n, classes) of normalised float32 images (n, channels, height, width).

        A MeasurementError refuses other images, and tells of a runtime that fails and of a session that is closed.
        """
        if self._session is None:
            raise MeasurementError(f"{self.artifact.path}: the session is closed")
        check_images(images, self.input_shape, self.artifact)
        try:
            logits: np.ndarray = self._session.run([OUTPUT], {INPUT: images})[0]
        except Exception as error:  # ONNX Runtime's exceptions have no common base class
            raise MeasurementError(f"{self.artifact.path}: ONNX Runtime failed: {_one_line(error)}") from error
        return logits


class ONNXRuntimeTarget:
    """This machine's processor under ONNX Runtime."""

    Options = ONNXRuntimeOptions
    name = "onnxruntime"
    distributions = ("onnxruntime",)

    def __init__(self, options: ONNXRuntimeOptions | None = None) -> None:
        """Choose threads, providers and counters; opens nothing yet."""
        self.options = options or ONNXRuntimeOptions()
        self.counters = counters_of(self.options.counters or ())
        self.capabilities = Capabilities(
            precisions=("float32", "int8", "mixed"),
            channel_multiples={"float32": processor().float32_block, "int8": INT8_MULTIPLE, "mixed": INT8_MULTIPLE},
            layer_kinds={"float32": KINDS, "int8": KINDS, "mixed": MIXED_KINDS},
            metrics=measured_by({TIME, LOAD, ENERGY, POWER} if self.counters else {TIME, LOAD}),
            placement=QuantizePlacement(packed=True, weight_bits=8 if processor().int8_exact else 7),
        )

    def connect(self) -> None:
        """Make sure that the counters can be read, else a ConfigError; the processor is always there."""
        check_readable(self.counters)

    def load(self, artifact: Artifact) -> ONNXRuntimeSession:
        """Open the file on the runtime, after a check that it is the very file that the artefact names (W08).

        A MeasurementError tells of another or no file, one that the runtime cannot run, and one not in moco's form.
        """
        content = content_of(artifact)
        try:
            session = self._opened(content)
        except Exception as error:  # ONNX Runtime's exceptions have no common base class
            raise MeasurementError(f"{artifact.path}: ONNX Runtime cannot load it: {_one_line(error)}") from error
        return ONNXRuntimeSession(artifact, session)

    def measure(self, sessions: Sequence[AnySession], plan: TimingPlan) -> Measurement:
        """Interleaved times of the sessions, the first the reference, with raw samples and doubts; see `measured`.

        Where the plan asks for the time of loading, the files are opened anew, from memory and in turn like the calls.
        """
        options = self.options
        found = measured(sessions, plan, clock=options.clock_name, threads=options.threads, counters=self.counters)
        if LOAD not in plan.series:
            return found
        openings = [partial(self._opened, content_of(session.artifact)) for session in sessions]
        return replace(found, counted={**found.counted, LOAD: interleave(openings, plan, CLOCKS[options.clock_name])})

    def _opened(self, content: bytes) -> ort.InferenceSession:
        return ort.InferenceSession(content, self._session_options(), providers=list(self.options.providers))

    def describe(self) -> Mapping[str, Any]:
        """What a timed number depends on, the same from run to run on one machine: part of the store's key. JSON."""
        return {
            "runtime": self.name,
            "version": ort.__version__,
            "providers": list(self.options.providers),
            "threads": self.options.threads,
            "clock": self.options.clock_name,
            "processor": processor().name,
            "instruction_sets": list(processor().instruction_sets),
            "cores": processor().cores,
            "system": f"{platform.system()} {platform.machine()}",
            **({"counters": [counter.describe() for counter in self.counters]} if self.counters else {}),
        }

    def snippet(self, file: str, input_shape: Sequence[int] | None, normalize: Normalize | None) -> str:
        """Five lines that label a batch of images; they run as they stand, on a black image."""
        size = "*session.get_inputs()[0].shape[1:]" if input_shape is None else ", ".join(map(str, input_shape))
        before, feed, scale = "", "images", "scaled as in training"
        if normalize is not None:
            mean, std = map(list, normalize)
            before = f"mean, std = np.reshape([{mean}, {std}], (2, 1, {len(mean)}, 1, 1))\n"
            feed, scale = "((images - mean) / std).astype(np.float32)", "RGB in 0..1"
        return (
            "import numpy as np, onnxruntime\n"
            f'session = onnxruntime.InferenceSession("{file}")\n'
            f"{before}"
            f"images = np.zeros((1, {size}), np.float32)  # your images: (n, channels, height, width), {scale}\n"
            f'labels = session.run(["logits"], {{"input": {feed}}})[0].argmax(axis=1)\n'
        )

    def findings(self) -> tuple[Finding, ...]:
        """Version, threads, and what it can run and measure."""
        facts, can = self.describe(), self.capabilities
        widths = ", ".join(f"{p} (widths: multiples of {can.channel_multiples[p]})" for p in can.precisions)
        detail = f"{facts['version']}, {facts['threads']} thread; {widths}; measures {', '.join(sorted(can.metrics))}"
        return (Finding(self.name, True, detail),)

    def _session_options(self) -> ort.SessionOptions:
        """One fixed thread plan; waiting threads sleep, since spinning pools of idle sessions disturb the timed one."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.options.threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = ERRORS_ONLY
        return options


def _image_shape(session: ort.InferenceSession, artifact: Artifact) -> tuple[int, ...]:
    """(channels, height, width) of the session's input; names, type and shape must be those of moco's files."""
    inputs, where = session.get_inputs(), f"{artifact.path}: expected"
    given, gives = [i.name for i in inputs], [o.name for o in session.get_outputs()]
    if given != [INPUT] or OUTPUT not in gives:
        raise MeasurementError(f"{where} one input '{INPUT}' and an output '{OUTPUT}', got {given} and {gives}")
    kind, (batch, *shape) = inputs[0].type, inputs[0].shape
    if kind != "tensor(float)" or isinstance(batch, int) or not all(isinstance(size, int) for size in shape):
        raise MeasurementError(f"{where} a float32 input (dynamic batch, fixed size), got {kind} {inputs[0].shape}")
    return tuple(shape)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
