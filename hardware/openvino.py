"""OpenVINO on this machine's processor: float32 or bfloat16, and int8 from the same files as ONNX Runtime.

A file has a dynamic batch, and OpenVINO is slow on those: int8 of one image takes two and a half times as long. So each
batch size is compiled by itself, on its first use, and runs on tensors that are bound once: filling the one and
reading the other is within the time of a call, as a deploying program would do it. All work happens in the calling
thread where there is one thread, so that its processor time tells all of it.

In bfloat16 the float layers of a file run in bfloat16, and the file is the same. Codes of fewer than 8 bits are not
packed: OpenVINO 2026.4 finds no integer kernel behind the operators that unpack them, and computes in floats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from statistics import median
from typing import Any

import numpy as np
import openvino as ov

from moco.errors import ConfigError, MeasurementError, nearest
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
from moco.hardware.measuring.local_session import Failing, LocalSession
from moco.hardware.measuring.metering import CounterChoice, Opening, Power, check_readable, measured
from moco.hardware.measuring.processor import processor
from moco.hardware.measuring.timing import images as normal_images
from moco.interfaces import Artifact, Capabilities, Finding, LayerTime, Normalize, QuantizePlacement
from moco.interfaces import Session as AnySession
from moco.measurement import ON_A_PROCESSOR, Measurement, TimingPlan
from moco.readings import measured_by

DEVICE, INPUT, OUTPUT = "CPU", "input", "logits"
HINTS = {"float32": "f32", "bfloat16": "bf16"}
"""OpenVINO's names of the arithmetic of float layers."""
BATCHES = 6
"""Sizes of a batch that stay compiled; those used longest ago make room."""


@cache
def runtime() -> ov.Core:
    """The runtime of this process."""
    return ov.Core()


@dataclass(frozen=True)
class OpenVINOOptions:
    """How files are compiled."""

    threads: int = 1  # threads within an operator; more than one is of use on an otherwise idle machine only
    arithmetic: str = "float32"  # of float layers: `float32`, or `bfloat16` where the processor has it
    clock: str | None = None
    """`processor` or `wall`; None takes the processor's where there is one thread."""
    counters: tuple[CounterChoice, ...] | None = None
    """Of the energy that sessions take, by name or as {name: …, option: …}; None measures no energy."""
    modelled_power_w: float | None = None  # that the device is taken to draw while it computes; None models no energy

    def __post_init__(self) -> None:
        check_threads(self.threads)
        if self.arithmetic not in HINTS:
            near = nearest(self.arithmetic, HINTS)
            raise ConfigError(f"target.arithmetic: unknown arithmetic '{self.arithmetic}'{near}")
        if self.arithmetic == "bfloat16" and not has_bfloat16():
            raise ConfigError("target.arithmetic: OpenVINO finds no bfloat16 on this processor; take float32")
        check_clock(self.clock, one_thread_works=calling_thread_works(self.threads))

    @property
    def clock_name(self) -> str:
        """The clock that is used."""
        return clock_for(self.clock, one_thread_works=calling_thread_works(self.threads))

    def properties(self) -> dict[str, Any]:
        """The same in OpenVINO's words; a thread is not bound to a core, since the caller may have bound it already."""
        return {
            "INFERENCE_NUM_THREADS": self.threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": HINTS[self.arithmetic],
        }


def has_bfloat16() -> bool:
    """Whether OpenVINO computes in bfloat16 on this processor faster than in float32."""
    return "BF16" in runtime().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")


def _reason(error: Exception) -> str:
    """OpenVINO's message without the places in its sources, in one line."""
    lines = [line for line in str(error).splitlines() if line and not line.startswith(("Exception from", "Check '"))]
    return " ".join(" ".join(lines or [str(error)]).split())


FAILING = Failing("OpenVINO", _reason, (RuntimeError,))


class _Compiled:
    """A network for batches of one size, with its tensors."""

    def __init__(self, model: ov.Model, shape: tuple[int, ...], properties: Mapping[str, Any]) -> None:
        model = model.clone()
        model.reshape(list(shape))
        self._images = np.empty(shape, np.float32)
        self._request = runtime().compile_model(model, DEVICE, dict(properties)).create_infer_request()
        self._request.set_input_tensor(ov.Tensor(self._images, shared_memory=True))
        self._logits = self._request.get_output_tensor(0)

    def run(self, images: np.ndarray) -> np.ndarray:
        """Logits (n, classes), a copy."""
        np.copyto(self._images, images)
        self._request.infer()
        return np.array(self._logits.data)

    def layers(self) -> list[LayerTime]:
        """What the last run took, by operator, those that were not run at 0; for a network compiled with PERF_COUNT."""
        return [
            LayerTime(one.node_name, f"{one.node_type}, {one.exec_type}", 1000 * one.real_time.total_seconds())
            for one in self._request.profiling_info
        ]


class OpenVINOSession(LocalSession):
    """An ONNX file, open on OpenVINO."""

    failing = FAILING

    def __init__(self, artifact: Artifact, model: ov.Model, properties: Mapping[str, Any]) -> None:
        """Compile for a single image; a MeasurementError where the file's input or output is not moco's."""
        super().__init__(artifact, _image_shape(model, artifact))
        self._for_batch = lru_cache(BATCHES)(lambda n: _Compiled(model, (n, *self.input_shape), properties))
        self._for_batch(1)

    def _free(self) -> None:
        self._for_batch.cache_clear()

    def _logits(self, images: np.ndarray) -> np.ndarray:
        return self._for_batch(len(images)).run(images)


class OpenVINOTarget:
    """This machine's processor under OpenVINO."""

    Options = OpenVINOOptions
    name = "openvino"
    distributions = ("openvino",)

    def __init__(self, options: OpenVINOOptions | None = None) -> None:
        """Choose threads, arithmetic and counters; opens nothing yet."""
        self.options = options or OpenVINOOptions()
        self.power = Power.of(self.options.counters, self.options.modelled_power_w)
        self.capabilities = Capabilities(
            precisions=("float32", "int8", "mixed"),
            channel_multiples={"float32": processor().float32_block, "int8": INT8_MULTIPLE, "mixed": INT8_MULTIPLE},
            layer_kinds={"float32": KINDS, "int8": KINDS, "mixed": MIXED_KINDS},
            metrics=measured_by(ON_A_PROCESSOR | self.power.series),
            placement=QuantizePlacement(weight_bits=8 if processor().int8_exact else 7),
        )

    def connect(self) -> None:
        """Make sure that the counters can be read, else a ConfigError; the processor is always there."""
        check_readable(self.power.counters)

    def load(self, artifact: Artifact) -> OpenVINOSession:
        """Open the file on the runtime, after a check that it is the very file that the artefact names (W08).

        A MeasurementError tells of another or no file, one that the runtime cannot run, and one not in moco's form.
        """
        content = content_of(artifact)
        with FAILING.named(artifact, "cannot load it"):
            return OpenVINOSession(artifact, runtime().read_model(content), self.options.properties())

    def measure(self, sessions: Sequence[AnySession], plan: TimingPlan) -> Measurement:
        """Interleaved times of the sessions, the first the reference, with raw samples and doubts; see `measured`."""
        options = self.options
        found = measured(
            sessions,
            plan,
            clock=options.clock_name,
            threads=options.threads,
            counters=self.power.counters,
            opening=Opening(lambda content: _opened(content, plan.batch, options.properties()), self.load),
        )
        return self.power.modelled(found)

    def layer_times(self, artifact: Artifact, batch: int, calls: int) -> Sequence[LayerTime]:
        """The compiled graph's operators as OpenVINO profiles them, in the order in which they run; it ticks in µs.

        A MeasurementError where the file cannot be opened or run.
        """
        with closing(self.load(artifact)) as session:
            images = normal_images(TimingPlan(batch=batch), session.input_shape)
        compiled = _opened(content_of(artifact), batch, {**self.options.properties(), "PERF_COUNT": True})
        compiled.run(images)
        runs = []
        for _ in range(calls):
            compiled.run(images)
            runs.append(compiled.layers())
        by_layer = [(of[0], median(layer.time_ms for layer in of)) for of in zip(*runs, strict=True)]
        return tuple(replace(layer, time_ms=time_ms) for layer, time_ms in by_layer if time_ms > 0)

    def describe(self) -> Mapping[str, Any]:
        """What a timed number depends on, the same from run to run on one machine: part of the store's key. JSON."""
        return {
            "runtime": self.name,
            "version": ov.__version__,
            "arithmetic": self.options.arithmetic,
            "threads": self.options.threads,
            "clock": self.options.clock_name,
            **facts(),
            **self.power.describe(),
        }

    def snippet(self, file: str, input_shape: Sequence[int] | None, normalize: Normalize | None) -> str:
        """Five lines or so that label a batch of images; they run as they stand, on a black image."""
        hint = {"INFERENCE_PRECISION_HINT": HINTS[self.options.arithmetic]}
        opening = f'import numpy as np, openvino\nnetwork = openvino.compile_model("{file}", "CPU", {hint})\n'
        size = "*(size.get_length() for size in list(network.inputs[0].partial_shape)[1:])"
        return labelling_program(opening, size, "network({feed})[0]", input_shape, normalize)

    def findings(self) -> tuple[Finding, ...]:
        """Version, threads, arithmetic, and what it can run and measure."""
        detail = what_it_can(ov.__version__, self.options.threads, self.capabilities)
        arithmetic = "bfloat16 too" if has_bfloat16() else "no bfloat16"
        return (Finding(self.name, True, f"{detail}; {arithmetic}"),)


def _opened(content: bytes, batch: int, properties: Mapping[str, Any]) -> _Compiled:
    """A file from memory, compiled for batches of that size: what loading it takes."""
    model = runtime().read_model(content)
    image = [size.get_length() for size in list(model.inputs[0].get_partial_shape())[1:]]
    return _Compiled(model, (batch, *image), properties)


def _image_shape(model: ov.Model, artifact: Artifact) -> tuple[int, ...]:
    """(channels, height, width) of the network's input; names, type and shape must be those of moco's files."""
    where = f"{artifact.path}: expected"
    given, gives = ([port.get_any_name() for port in ports] for ports in (model.inputs, model.outputs))
    if given != [INPUT] or gives[:1] != [OUTPUT]:
        raise MeasurementError(f"{where} one input '{INPUT}' and a first output '{OUTPUT}', got {given} and {gives}")
    kind, (batch, *sizes) = model.inputs[0].get_element_type(), model.inputs[0].get_partial_shape()
    if kind != ov.Type.f32 or batch.is_static or any(size.is_dynamic for size in sizes):
        got = f"{kind.get_type_name()} {model.inputs[0].get_partial_shape()}"
        raise MeasurementError(f"{where} a float32 input (dynamic batch, fixed size), got {got}")
    return tuple(size.get_length() for size in sizes)
