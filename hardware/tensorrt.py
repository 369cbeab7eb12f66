"""TensorRT on this machine's CUDA device: the delivered ONNX file as an engine, built when the file is first opened.

Written to the documentation of TensorRT 10 and 11 and never run: no device was here. The clock is the wall's and runs
around the network alone, on images and logits in the device's memory, as with ONNX Runtime's providers for devices.
Files are float32: moco's int8 files have codes that are not centred at zero, which TensorRT does not take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import tensorrt as trt
import torch

from moco.errors import ConfigError
from moco.hardware.measuring.artifact_file import content_of
from moco.hardware.measuring.host import KINDS, facts, labelling_program, what_it_can
from moco.hardware.measuring.local_session import Failing, LocalSession
from moco.hardware.measuring.metering import CounterChoice, Power, Timed, check_readable, measured
from moco.hardware.measuring.timing import images as normal_images
from moco.hardware.tensorrt_engine import Engine, Ready, built, by_batches
from moco.interfaces import Artifact, Capabilities, Finding, LayerTime, Normalize
from moco.interfaces import Session as AnySession
from moco.measurement import INIT, LOAD, ON_A_PROCESSOR, Measurement, TimingPlan
from moco.readings import measured_by

CUDA_MULTIPLE = 8  # channels that tensor cores take at a time
LEVELS = range(6)
"""How long TensorRT looks for kernels, as `builder_optimization_level` counts."""
PLANS, SIZES = 8, 6
"""Serialised engines, and sizes of a batch of each open one, that are kept; those used longest ago make room."""
FAILING = Failing("TensorRT")
NO_DEVICE = "torch finds no CUDA device here: TensorRT needs one of NVIDIA's, its driver, and a torch built for CUDA"


@dataclass(frozen=True)
class TensorRTOptions:
    """How engines are built."""

    tf32: bool = False  # inner products of float32 with 10 bits of mantissa, as TensorRT does by itself
    level: int | None = None  # of the builder's optimisation, 0 to 5; None for TensorRT's own, 3
    counters: tuple[CounterChoice, ...] | None = None
    """Of the energy that sessions take, by name or as {name: …, option: …}; None measures no energy."""
    modelled_power_w: float | None = None  # that the device is taken to draw while it computes; None models no energy

    def __post_init__(self) -> None:
        if self.level is not None and self.level not in LEVELS:
            raise ConfigError(f"target.level: expected {LEVELS[0]} to {LEVELS[-1]}, got {self.level}")


class TensorRTSession(LocalSession):
    """An ONNX file, open on TensorRT."""

    failing = FAILING
    in_host_memory = False

    def __init__(self, artifact: Artifact, engine: Engine) -> None:
        """Wrap an open engine."""
        super().__init__(artifact, engine.image_shape)
        self.ready = lru_cache(SIZES)(engine.ready)

    def _free(self) -> None:
        self.ready.cache_clear()

    def _logits(self, images: np.ndarray) -> np.ndarray:
        return by_batches(images, self._batch)

    def _batch(self, images: np.ndarray) -> np.ndarray:
        ready = self.ready(len(images))
        ready.fill(images)
        ready.compute()
        return ready.logits()


class BoundCalls:
    """A session whose images stay on the device from call to call, to be timed."""

    def __init__(self, session: TensorRTSession) -> None:
        """Take an open session; nothing is bound yet."""
        self.artifact, self.input_shape = session.artifact, session.input_shape
        self._session = session
        self._images: np.ndarray | None = None
        self._ready: Ready | None = None

    def run(self, images: np.ndarray) -> None:
        """Compute their logits, which stay on the device; images that are new to it are copied there before."""
        with FAILING.named(self.artifact, "failed"):
            if self._ready is None or images is not self._images:
                self._ready, self._images = self._session.ready(len(images)), images
                self._ready.fill(images)
            self._ready.compute()


class TensorRTTarget:
    """This machine's CUDA device under TensorRT."""

    Options = TensorRTOptions
    name = "tensorrt"
    distributions = ("tensorrt", "torch")

    def __init__(self, options: TensorRTOptions | None = None) -> None:
        """Choose how engines are built, and counters; opens nothing yet."""
        self.options = options or TensorRTOptions()
        self.power = Power.of(self.options.counters, self.options.modelled_power_w)
        series = ON_A_PROCESSOR - {LOAD, INIT}  # opening a file builds its engine, which a deploying program ships
        self.capabilities = Capabilities(
            precisions=("float32",),
            channel_multiples={"float32": CUDA_MULTIPLE},
            layer_kinds={"float32": KINDS},
            metrics=measured_by(series | self.power.series),
        )
        self._plan = lru_cache(PLANS)(partial(built, tf32=self.options.tf32, level=self.options.level))

    def connect(self) -> None:
        """Make sure of the device and the counters; a ConfigError says what is missing."""
        if not torch.cuda.is_available():
            raise ConfigError(f"target: '{self.name}': {NO_DEVICE}")
        check_readable(self.power.counters)

    def load(self, artifact: Artifact) -> TensorRTSession:
        """Open the file's engine, built here where it was not before, after a check of the file itself (W08).

        The serialised engine is kept in memory. A MeasurementError tells of another or no file, and of one that
        TensorRT cannot run.
        """
        content = content_of(artifact)
        with FAILING.named(artifact, "cannot load it"):
            return TensorRTSession(artifact, Engine(self._plan(content)))

    def measure(self, sessions: Sequence[AnySession], plan: TimingPlan) -> Measurement:
        """Interleaved times of the sessions, the first the reference, with raw samples and doubts; see `measured`."""
        timed: list[Timed] = [BoundCalls(one) if isinstance(one, TensorRTSession) else one for one in sessions]
        return self.power.modelled(measured(timed, plan, clock="wall", threads=1, counters=self.power.counters))

    def layer_times(self, artifact: Artifact, batch: int, calls: int) -> Sequence[LayerTime]:
        """The engine's layers as TensorRT's profiler tells; many of the file's operators may be one of them."""
        with closing(self.load(artifact)) as session, FAILING.named(artifact, "failed"):
            ready = session.ready(batch)
            ready.fill(normal_images(TimingPlan(batch=batch), session.input_shape))
            return ready.layer_times(calls)

    def describe(self) -> Mapping[str, Any]:
        """What a timed number depends on, the same from run to run on one machine: part of the store's key. JSON."""
        return {
            "runtime": self.name,
            "version": trt.__version__,
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            "tf32": self.options.tf32,
            "level": self.options.level,
            "clock": "wall",
            **facts(),
            **self.power.describe(),
        }

    def snippet(self, file: str, input_shape: Sequence[int] | None, normalize: Normalize | None) -> str:
        """Some lines that label a batch of images with TensorRT and moco, on a black image as they stand."""
        how = f"tf32={self.options.tf32}, level={self.options.level}"
        opening = (
            "import numpy as np\nfrom pathlib import Path\n"
            "from moco.hardware.tensorrt_engine import Engine, built\n"
            f'engine = Engine(built(Path("{file}").read_bytes(), {how}))\n'
            "network = engine.ready(1)  # memory on the device for one image at a time\n"
        )
        program = labelling_program(opening, "*engine.image_shape", "network.logits()", input_shape, normalize)
        *before, last = program.splitlines()
        feed = "images" if normalize is None else "((images - mean) / std).astype(np.float32)"
        return "\n".join((*before, f"network.fill({feed})", "network.compute()", last, ""))

    def findings(self) -> tuple[Finding, ...]:
        """Version, device and what it can run and measure; that it was never run."""
        never = "written to its documentation, never run"
        if not torch.cuda.is_available():
            return (
                Finding(self.name, False, f"{trt.__version__}, {NO_DEVICE}; {never}", "choose another target here"),
            )
        detail = what_it_can(trt.__version__, 1, self.capabilities)
        return (Finding(self.name, True, f"{detail}; {torch.cuda.get_device_name()}; {never}"),)
