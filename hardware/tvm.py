"""TVM: moco's ONNX file, compiled by Relax into a shared library for this machine's processor. Float32 only.

The library is what is scored, timed and shipped; it takes any number of images. Dense convolutions are summed up a
tile at a time in one fixed order of loops (tvm_schedule.py), all else in the loops that Relax writes, untuned. It is
some four times slower than ONNX Runtime on the same file (docs/runtimes.md has figures), and meant for a device that
has no other runtime. All work happens in the calling thread.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import tvm

from moco.errors import ConfigError, MeasurementError, in_one_line
from moco.hardware.measuring.artifact_file import check_images, content_of
from moco.hardware.measuring.host import (
    KINDS,
    calling_thread_works,
    check_clock,
    clock_for,
    facts,
    labelling_program,
    what_it_can,
)
from moco.hardware.measuring.metering import Opening, measured
from moco.hardware.tvm_library import SHAPE, Machine, compiled, opened
from moco.interfaces import Artifact, Capabilities, Finding, Normalize
from moco.interfaces import Session as AnySession
from moco.measurement import ON_A_PROCESSOR, Measurement, TimingPlan
from moco.readings import measured_by
from moco.whole_file import write_bytes

PACKAGE = "apache-tvm"
MULTIPLE = 4
"""Channels of a tile. Beside 64 channels a convolution of 63 took 0.97 times as long, 62 1.21, 61 2.11, 60 0.88."""


@dataclass(frozen=True)
class TVMOptions:
    """How files are compiled."""

    tvm_target: str | None = None  # `llvm -mcpu=… -mtriple=… -mattr=…`; None compiles for this machine's processor
    linker: str | None = None  # a compiler that links; None takes g++ or the like, and <mtriple>-g++ for other triples
    clock: str | None = None  # `processor` or `wall`; None takes the processor's

    def __post_init__(self) -> None:
        check_clock(self.clock, one_thread_works=calling_thread_works(1))
        _ = self.machine.target

    @property
    def machine(self) -> Machine:
        """The processor that files are compiled for."""
        return Machine(self.tvm_target, self.linker)

    @property
    def clock_name(self) -> str:
        """The clock that is used."""
        return clock_for(self.clock, one_thread_works=calling_thread_works(1))


class TVMSession:
    """A compiled library, open."""

    def __init__(self, artifact: Artifact, functions: Mapping[str, Any]) -> None:
        """Wrap the functions of a library."""
        self.artifact = artifact
        self.input_shape = tuple(map(int, functions[SHAPE]()))
        self._run = functions["main"]

    def close(self) -> None:
        """Free the runtime's memory of the file."""
        self._run = None

    def run(self, images: np.ndarray) -> np.ndarray:
        """Logits (n, classes) of normalised float32 images (n, channels, height, width).

        A MeasurementError refuses other images, and tells of a library that fails and of a session that is closed.
        """
        if self._run is None:
            raise MeasurementError(f"{self.artifact.path}: the session is closed")
        check_images(images, self.input_shape, self.artifact)
        try:
            logits: np.ndarray = self._run(tvm.runtime.tensor(np.ascontiguousarray(images))).numpy()
        except Exception as error:  # TVM's exceptions have no common base class
            raise MeasurementError(f"{self.artifact.path}: TVM failed: {in_one_line(error)}") from error
        return logits


class TVMTarget:
    """This machine's processor under TVM."""

    Options = TVMOptions
    name = "tvm"
    distributions = (PACKAGE,)

    def __init__(self, options: TVMOptions | None = None) -> None:
        """Choose the processor that files are compiled for; compiles nothing yet."""
        self.options = options or TVMOptions()
        # Galen's rules for kernels of few bits (S3.16) are not asked here: there are none of these.
        self.capabilities = Capabilities(
            precisions=("float32",),
            channel_multiples={"float32": MULTIPLE},
            layer_kinds={"float32": KINDS},
            metrics=measured_by(ON_A_PROCESSOR),
        )

    def connect(self) -> None:
        """Make sure that a library can be linked and that it runs here; a ConfigError says why not."""
        machine = self.options.machine
        if reason := machine.elsewhere:
            raise ConfigError(
                f"target.tvm_target: what is compiled for '{machine.shown}' can be measured on such a device only, "
                f"{reason}; search on moco there, or compile a delivered ONNX file for it by moco.hardware.tvm_library "
                "(docs/runtimes.md)"
            )
        _ = machine.links_by

    def prepare(self, artifact: Artifact) -> Artifact:
        """The library of an ONNX file, beside it; one that is there already is taken.

        A MeasurementError names an operator that is not known, and says how TVM fails.
        """
        path = artifact.path.with_suffix(".so")
        if not path.exists():
            write_bytes(path, compiled(artifact, self.options.machine))
        content = path.read_bytes()
        return Artifact(path, hashlib.sha256(content).hexdigest(), len(content))

    def load(self, artifact: Artifact) -> TVMSession:
        """Open a compiled file, after a check that it is the very file that the artefact names (W08).

        A MeasurementError tells of another or no file, and of one that is no library of TVM's for this machine.
        """
        content = content_of(artifact)
        try:
            return TVMSession(artifact, opened(content))
        except Exception as error:  # TVM's exceptions have no common base class
            raise MeasurementError(f"{artifact.path}: TVM cannot load it: {in_one_line(error)}") from error

    def measure(self, sessions: Sequence[AnySession], plan: TimingPlan) -> Measurement:
        """Interleaved times of the sessions, the first the reference, with raw samples and doubts; see `measured`."""
        return measured(sessions, plan, clock=self.options.clock_name, threads=1, opening=Opening(opened, self.load))

    def describe(self) -> Mapping[str, Any]:
        """What a timed number depends on, the same from run to run on one machine: part of the store's key. JSON."""
        about = {"runtime": self.name, "version": version(PACKAGE), "compiled_for": self.options.machine.shown}
        return {**about, "clock": self.options.clock_name, **facts()}

    def snippet(self, file: str, input_shape: Sequence[int] | None, normalize: Normalize | None) -> str:
        """Five lines or so that label a batch of images; they run as they stand, on a black image."""
        opening = (
            "import numpy as np, tvm\nfrom tvm import relax\n"
            f'network = relax.VirtualMachine(tvm.runtime.load_module("{file}"), tvm.cpu())  # pip install {PACKAGE}\n'
        )
        call = 'network["main"](tvm.runtime.tensor({feed})).numpy()'
        return labelling_program(opening, f'*network["{SHAPE}"]()', call, input_shape, normalize)

    def findings(self) -> tuple[Finding, ...]:
        """Version, what it compiles for, can run and measure, and whether it can link here."""
        detail = f"{what_it_can(version(PACKAGE), 1, self.capabilities)}; compiles for {self.options.machine.shown}"
        try:
            self.connect()
        except ConfigError as error:
            return (Finding(self.name, False, f"{detail}; {error}", "install g++, which links what it compiles"),)
        return (Finding(self.name, True, detail),)
