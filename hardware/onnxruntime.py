"""ONNX Runtime on this machine's processor, or on a device of it.

The clock runs around a whole `InferenceSession.run` from a numpy array to a numpy array, as a deploying program would
call it. With one thread, the default, it is the processor time of that thread, elsewhere the wall clock; why, and what
no number can show, stands in docs/measurement.md. Energy is measured where a counter is named. Where a `provider` is
named, the clock runs around the network alone, on images and logits in its device's memory (execution_providers.py).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from moco.errors import ConfigError, MeasurementError, nearest
from moco.hardware.execution_providers import (
    CPU,
    INPUT,
    OUTPUT,
    PROVIDERS,
    BoundCalls,
    Provider,
    check_provider,
    device_capabilities,
    fallen_back,
    gpus,
    probe,
    providers_told,
)
from moco.hardware.measuring.artifact_file import content_of
from moco.hardware.measuring.host import (
    INT8_MULTIPLE,
    KINDS,
    MIXED_KINDS,
    calling_thread_works,
    check_clock,
    check_threads,
    clock_for,
    facts,
    labelling_program,
    what_it_can,
)
from moco.hardware.measuring.local_session import Failing, LocalSession, text_of
from moco.hardware.measuring.metering import CounterChoice, Opening, Power, Timed, check_readable, measured
from moco.hardware.measuring.operator_times import operator_times
from moco.hardware.measuring.processor import processor
from moco.hardware.measuring.timing import images as normal_images
from moco.interfaces import Artifact, Capabilities, Finding, LayerTime, Normalize, QuantizePlacement
from moco.interfaces import Session as AnySession
from moco.measurement import ON_A_PROCESSOR, Measurement, TimingPlan
from moco.readings import measured_by

LEVELS = {
    "none": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
"""How far ONNX Runtime optimises a graph before it runs it, by moco's name."""
ERRORS_ONLY = 3
"""ONNX Runtime's log severity: the exception carries the message, warnings about the graph help nobody here."""
FAILING = Failing("ONNX Runtime", text_of)


@dataclass(frozen=True)
class ONNXRuntimeOptions:
    """How sessions are opened."""

    threads: int = 1  # threads within an operator; more than one is of use on an otherwise idle machine only
    providers: tuple[str, ...] = ("CPUExecutionProvider",)  # ONNX Runtime's execution providers, the preferred first
    provider: str | None = None  # `cpu`, `cuda` or `tensorrt`, timed on bound memory; None times whole calls
    optimise: str | None = None  # the graph, when the file is opened: `none`, `basic`, `extended`; None for `all` of it
    clock: str | None = None
    """`processor` or `wall`; None takes the processor's where it tells the whole time (`_one_thread_works`)."""
    counters: tuple[CounterChoice, ...] | None = None
    """Of the energy that sessions take, by name or as {name: …, option: …}; None measures no energy."""
    modelled_power_w: float | None = None  # that the device is taken to draw while it computes; None models no energy

    def __post_init__(self) -> None:
        check_threads(self.threads)
        available = ort.get_available_providers()
        for provider in self.providers:
            if provider not in available:
                raise ConfigError(f"target.providers: '{provider}' is not available here{nearest(provider, available)}")
        if self.provider is not None:
            check_provider(self.provider)
            if self.providers != CPU.chain:
                raise ConfigError("target.provider: expected it or target.providers, got both: leave one out")
        if self.optimise is not None and self.optimise not in LEVELS:
            raise ConfigError(f"target.optimise: unknown level '{self.optimise}'{nearest(self.optimise, LEVELS)}")
        check_clock(self.clock, one_thread_works=self._one_thread_works)

    @property
    def clock_name(self) -> str:
        """The clock that is used."""
        return clock_for(self.clock, one_thread_works=self._one_thread_works)

    @property
    def named(self) -> Provider | None:
        """The provider that is named; None where none is."""
        return None if self.provider is None else PROVIDERS[self.provider]

    @property
    def chain(self) -> tuple[str, ...]:
        """ONNX Runtime's providers, the preferred first."""
        return self.named.chain if self.named else self.providers

    @property
    def on_a_device(self) -> bool:
        """Whether a provider is named that computes on another device than the processor."""
        return self.named not in {None, CPU}

    @property
    def _one_thread_works(self) -> bool:
        """Whether the calling thread does all the work, on no other device."""
        return calling_thread_works(self.threads) and self.chain == CPU.chain


class ONNXRuntimeSession(LocalSession):
    """An ONNX file, open on ONNX Runtime."""

    failing = FAILING

    def __init__(self, artifact: Artifact, session: ort.InferenceSession) -> None:
        """Wrap an open session; raises MeasurementError where its input or output is not the one of moco's files."""
        super().__init__(artifact, _image_shape(session, artifact))
        self._session: ort.InferenceSession | None = session

    def end_profiling(self) -> str:
        """The path of the profile that ONNX Runtime wrote, where it was opened with one."""
        assert self._session is not None
        return str(self._session.end_profiling())

    def bound(self, memory: str) -> BoundCalls:
        """The open file, called on images and logits in that device's memory."""
        assert self._session is not None
        return BoundCalls(self.artifact, self.input_shape, self._session, memory)

    def _logits(self, images: np.ndarray) -> np.ndarray:
        assert self._session is not None
        logits: np.ndarray = self._session.run([OUTPUT], {INPUT: images})[0]
        return logits

    def _free(self) -> None:
        self._session = None


class ONNXRuntimeTarget:
    """This machine's processor, or a device of it, under ONNX Runtime."""

    Options = ONNXRuntimeOptions
    name = "onnxruntime"
    distributions = ("onnxruntime",)

    def __init__(self, options: ONNXRuntimeOptions | None = None) -> None:
        """Choose threads, providers and counters; opens nothing yet."""
        self.options = options or ONNXRuntimeOptions()
        self.power = Power.of(self.options.counters, self.options.modelled_power_w)
        self.capabilities = device_capabilities(self.options.named, self.power.series) or Capabilities(
            precisions=("float32", "int8", "mixed"),
            channel_multiples={"float32": processor().float32_block, "int8": INT8_MULTIPLE, "mixed": INT8_MULTIPLE},
            layer_kinds={"float32": KINDS, "int8": KINDS, "mixed": MIXED_KINDS},
            metrics=measured_by(ON_A_PROCESSOR | self.power.series),
            placement=QuantizePlacement(packed=True, weight_bits=8 if processor().int8_exact else 7),
        )

    def connect(self) -> None:
        """Make sure of counters and, where a provider for a device is named, of that, else a ConfigError."""
        check_readable(self.power.counters)
        if self.options.on_a_device:
            try:
                probe(self._opened)
            except Exception as error:  # ONNX Runtime's exceptions have no common base class
                raise ConfigError(f"target.provider: '{self.options.provider}': {text_of(error)}") from error

    def load(self, artifact: Artifact, session_options: ort.SessionOptions | None = None) -> ONNXRuntimeSession:
        """Open the file on the runtime, after a check that it is the very file that the artefact names (W08).

        `session_options` are ONNX Runtime's; None for those that every file is timed by. A MeasurementError tells of
        another or no file, one that the runtime cannot run, and one not in moco's form.
        """
        content = content_of(artifact)
        with FAILING.named(artifact, "cannot load it"):
            session = self._opened(content, session_options)
        found = ONNXRuntimeSession(artifact, session)
        found.in_host_memory = not self.options.on_a_device
        return found

    def measure(self, sessions: Sequence[AnySession], plan: TimingPlan) -> Measurement:
        """Interleaved times of the sessions, the first the reference, with raw samples and doubts; see `measured`."""
        options = self.options
        found = measured(
            self._as_timed(sessions),
            plan,
            clock=options.clock_name,
            threads=options.threads,
            counters=self.power.counters,
            opening=Opening(self._opened, self.load),
        )
        return self.power.modelled(found)

    def _as_timed(self, sessions: Sequence[AnySession]) -> Sequence[Timed]:
        """The sessions, on bound memory where a provider is named."""
        named = self.options.named
        if named is None:
            return sessions
        return [one.bound(named.memory) if isinstance(one, ONNXRuntimeSession) else one for one in sessions]

    def layer_times(self, artifact: Artifact, batch: int, calls: int) -> Sequence[LayerTime] | None:
        """The graph's operators as ONNX Runtime profiles them, in the order in which they run; its clock ticks in µs.

        None on a device, where that profile tells how long a launch took. A MeasurementError where the file cannot be
        opened or run.
        """
        if self.options.on_a_device:
            return None
        with tempfile.TemporaryDirectory() as folder:
            options = self._session_options()
            options.enable_profiling, options.profile_file_prefix = True, str(Path(folder) / "layers")
            with closing(self.load(artifact, options)) as session:
                images = normal_images(TimingPlan(batch=batch), session.input_shape)
                for _ in range(1 + calls):
                    session.run(images)
                profile = session.end_profiling()
            events = json.loads(Path(profile).read_text(encoding="utf-8"))
        return operator_times(events, 1 + calls)

    def _opened(self, content: bytes, options: ort.SessionOptions | None = None) -> ort.InferenceSession:
        options = options or self._session_options()
        session = ort.InferenceSession(content, options, providers=list(self.options.chain))
        if self.options.named and (reason := fallen_back(session, self.options.named)):
            raise MeasurementError(reason)
        return session

    def describe(self) -> Mapping[str, Any]:
        """What a timed number depends on, the same from run to run on one machine: part of the store's key. JSON."""
        return {
            "runtime": self.name,
            "version": ort.__version__,
            "providers": list(self.options.chain),
            "threads": self.options.threads,
            "clock": self.options.clock_name,
            **facts(),
            **({"optimise": self.options.optimise} if self.options.optimise else {}),
            **({"provider": self.options.provider} if self.options.provider else {}),
            **({"gpus": list(gpus())} if self.options.on_a_device else {}),
            **self.power.describe(),
        }

    def snippet(self, file: str, input_shape: Sequence[int] | None, normalize: Normalize | None) -> str:
        """Five lines that label a batch of images; they run as they stand, on a black image."""
        chain = f", providers={list(self.options.chain)}" if self.options.on_a_device else ""
        opening = f'import numpy as np, onnxruntime\nsession = onnxruntime.InferenceSession("{file}"{chain})\n'
        call = 'session.run(["logits"], {{"input": {feed}}})[0]'
        return labelling_program(opening, "*session.get_inputs()[0].shape[1:]", call, input_shape, normalize)

    def findings(self) -> tuple[Finding, ...]:
        """Version, threads, what it can run and measure, and which providers this build has."""
        detail = what_it_can(ort.__version__, self.options.threads, self.capabilities)
        return (Finding(self.name, True, f"{detail}; {providers_told()}"),)

    def _session_options(self) -> ort.SessionOptions:
        """One fixed thread plan; waiting threads sleep, since spinning pools of idle sessions disturb the timed one."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.options.threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        options.graph_optimization_level = LEVELS[self.options.optimise or "all"]
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
