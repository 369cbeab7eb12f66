"""PyTorch on this machine: the delivered ONNX file as a torch module, eager or compiled, on the processor or on CUDA.

A file becomes a module by moco/hardware/onnx_network, for each size of batch on its first use. On the processor all
work happens in the calling thread where there is one thread, so that its processor time tells all of it. CUDA was not
tried on a device yet.

Files in int8 are computed by emulation in floats, so int8 is no precision of this target. Inductor's own integer
kernels were not tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from moco.errors import ConfigError, nearest
from moco.hardware.measuring.artifact_file import content_of
from moco.hardware.measuring.host import (
    KINDS,
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
from moco.hardware.onnx_network.network import Network
from moco.hardware.onnx_network.running import (
    ARITHMETICS,
    DEVICES,
    LAYOUTS,
    Prepared,
    Way,
    compiler_lack,
    computing_with,
    has_bfloat16,
)
from moco.interfaces import Artifact, Capabilities, Finding, Normalize
from moco.interfaces import Session as AnySession
from moco.measurement import INIT, LOAD, ON_A_PROCESSOR, Measurement, TimingPlan
from moco.readings import measured_by

CUDA_MULTIPLE = 8  # channels that tensor cores take at a time
BATCHES = 6
"""Sizes of a batch that stay prepared; those used longest ago make room."""
FAILING = Failing("PyTorch")


@dataclass(frozen=True)
class PyTorchOptions:
    """How files are run."""

    device: str = "cpu"  # or `cuda`, the current CUDA device, by CUDA graphs
    compile: bool = False  # by torch.compile: seconds to minutes for each file and size of batch
    threads: int = 1  # threads within an operator; more than one is of use on an otherwise idle machine only
    arithmetic: str = "float32"  # or `bfloat16` where the device has it
    layout: str = "channels_last"  # of images and weights in memory, or `channels_first`
    clock: str | None = None
    """`processor` or `wall`; None takes the processor's where there is one thread and no other device."""
    counters: tuple[CounterChoice, ...] | None = None
    """Of the energy that sessions take, by name or as {name: …, option: …}; None measures no energy."""
    modelled_power_w: float | None = None  # that the device is taken to draw while it computes; None models no energy

    def __post_init__(self) -> None:
        check_threads(self.threads)
        for name, valid in (("device", DEVICES), ("arithmetic", ARITHMETICS), ("layout", LAYOUTS)):
            if (given := getattr(self, name)) not in valid:
                raise ConfigError(f"target.{name}: unknown {name} '{given}'{nearest(given, valid)}")
        check_clock(self.clock, one_thread_works=self._one_thread_works)

    @property
    def clock_name(self) -> str:
        """The clock that is used."""
        return clock_for(self.clock, one_thread_works=self._one_thread_works)

    @property
    def way(self) -> Way:
        """How networks are run."""
        return Way(self.device, self.compile, self.arithmetic, self.layout)

    @property
    def _one_thread_works(self) -> bool:
        """Whether the calling thread does all the work, on no other device."""
        return calling_thread_works(self.threads) and self.device == "cpu"


class PyTorchSession(LocalSession):
    """An ONNX file, open on PyTorch."""

    failing = FAILING

    def __init__(self, artifact: Artifact, network: Network, options: PyTorchOptions) -> None:
        """Prepare the network for a single image; raises whatever torch raises."""
        super().__init__(artifact, network.image_shape)
        self._threads, self.in_host_memory = options.threads, options.device == "cpu"
        self._for_batch = lru_cache(BATCHES)(lambda n: Prepared(network, n, options.way))
        with computing_with(self._threads):
            self._for_batch(1)

    def _free(self) -> None:
        self._for_batch.cache_clear()

    def _logits(self, images: np.ndarray) -> np.ndarray:
        with computing_with(self._threads):
            return self._for_batch(len(images)).run(images)


class PyTorchTarget:
    """This machine's processor, or its CUDA device, under PyTorch."""

    Options = PyTorchOptions
    name = "torch"
    distributions = ("torch",)

    def __init__(self, options: PyTorchOptions | None = None) -> None:
        """Choose device, threads, arithmetic and counters; opens nothing yet."""
        self.options = options or PyTorchOptions()
        self.power = Power.of(self.options.counters, self.options.modelled_power_w)
        compiling = {LOAD, INIT} if self.options.compile else set()  # is no loading, and is kept by torch
        series = ON_A_PROCESSOR - compiling
        self.capabilities = Capabilities(
            precisions=("float32",),
            channel_multiples={"float32": processor().float32_block if self.options.device == "cpu" else CUDA_MULTIPLE},
            layer_kinds={"float32": KINDS},
            metrics=measured_by(series | self.power.series),
        )

    def connect(self) -> None:
        """Make sure of device, arithmetic, compiler and counters; a ConfigError says what is missing."""
        options = self.options
        if options.device == "cuda" and not torch.cuda.is_available():
            raise ConfigError("target.device: torch finds no CUDA device here; take cpu")
        if options.arithmetic == "bfloat16" and not has_bfloat16(options.device):
            raise ConfigError("target.arithmetic: torch finds no bfloat16 on this device; take float32")
        if options.compile and (lack := compiler_lack(options.device)):
            raise ConfigError(f"target.compile: {lack}")
        check_readable(self.power.counters)

    def load(self, artifact: Artifact) -> PyTorchSession:
        """Open the file on torch, after a check that it is the very file that the artefact names (W08).

        A MeasurementError tells of another or no file, one with an operator that is not known, and one not in moco's
        form.
        """
        content = content_of(artifact)
        with FAILING.named(artifact, "cannot load it"):
            return PyTorchSession(artifact, Network.read(content), self.options)

    def measure(self, sessions: Sequence[AnySession], plan: TimingPlan) -> Measurement:
        """Interleaved times of the sessions, the first the reference, with raw samples and doubts; see `measured`."""
        options = self.options
        with computing_with(options.threads):
            found = measured(
                sessions,
                plan,
                clock=options.clock_name,
                threads=options.threads,
                counters=self.power.counters,
                opening=Opening(lambda content: Prepared(Network.read(content), plan.batch, options.way), self.load),
            )
        return self.power.modelled(found)

    def describe(self) -> Mapping[str, Any]:
        """What a timed number depends on, the same from run to run on one machine: part of the store's key. JSON."""
        options = self.options
        return {
            "runtime": self.name,
            "version": torch.__version__,
            "device": torch.cuda.get_device_name() if options.device == "cuda" else options.device,
            "compile": options.compile,
            "arithmetic": options.arithmetic,
            "layout": options.layout,
            "threads": options.threads,
            "clock": options.clock_name,
            **facts(),
            **self.power.describe(),
        }

    def snippet(self, file: str, input_shape: Sequence[int] | None, normalize: Normalize | None) -> str:
        """Five lines or so that label a batch of images with torch and moco, on a black image as they stand."""
        opening = (
            "import numpy as np, torch\nfrom pathlib import Path\n"
            "from moco.hardware.onnx_network.network import Network\n"
            f'file = Network.read(Path("{file}").read_bytes())\n'
            "network = file.module(batch=1)  # a torch module for one image at a time\n"
        )
        call = "network(torch.from_numpy({feed})).numpy()"
        return labelling_program(opening, "*file.image_shape", call, input_shape, normalize)

    def findings(self) -> tuple[Finding, ...]:
        """Version, threads, what it can run and measure, and which of its options can be asked for here."""
        detail = what_it_can(torch.__version__, self.options.threads, self.capabilities)
        arithmetic = "bfloat16 too" if has_bfloat16("cpu") else "no bfloat16"
        compiles = compiler_lack("cpu") or "compile too"
        cuda = f"CUDA on {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "no CUDA device"
        return (Finding(self.name, True, f"{detail}; {arithmetic}; {compiles}; {cuda}"),)
