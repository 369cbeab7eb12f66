"""LiteRT on this machine's processor, by XNNPACK: the runtime of phones and ARM boards. Float32, and int8.

It runs files of its own form, which `prepare` makes of moco's ONNX files by litert-torch, in an environment of its own
(`converter_python`, or the variable MOCO_LITERT_PYTHON), some twenty seconds a file. The converted file is what is
scored, timed and shipped. In int8 ai-edge-quantizer gives it the codes of moco's file. A file has one fixed size of
batch, one image, and one more for each size in `batches`; other sizes run in parts of these. All work happens in the
calling thread where there is one thread.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from moco.errors import ConfigError, MeasurementError
from moco.hardware.litert_converter.environment import ADVICE, Converter
from moco.hardware.measuring.artifact_file import content_of
from moco.hardware.measuring.host import (
    INT8_MULTIPLE,
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
from moco.hardware.measuring.metering import Opening, measured
from moco.hardware.measuring.processor import processor
from moco.interfaces import Artifact, Capabilities, Finding, Normalize
from moco.interfaces import Session as AnySession
from moco.measurement import ON_A_PROCESSOR, Measurement, TimingPlan
from moco.readings import measured_by
from moco.whole_file import write_bytes

PACKAGE = "ai-edge-litert"
FIRST = "serving_default"
"""The signature of a file that takes single images."""
NAMES = {"inputs": ["input"], "outputs": ["logits"]}
FAILING = Failing("LiteRT", errors=(RuntimeError, ValueError))


@dataclass(frozen=True)
class LiteRTOptions:
    """How files are converted and opened."""

    converter_python: str | None = None  # Python of the converter's environment; None takes MOCO_LITERT_PYTHON's
    threads: int = 1  # threads within an operator
    clock: str | None = None  # `processor` or `wall`; None takes the processor's where there is one thread
    batches: tuple[int, ...] | None = None  # sizes of batches, beside single images, that a file is converted for

    def __post_init__(self) -> None:
        check_threads(self.threads)
        check_clock(self.clock, one_thread_works=calling_thread_works(self.threads))
        if any(batch < 1 for batch in self.batches or ()):
            raise ConfigError(f"target.batches: expected sizes of 1 or more, got {list(self.batches or ())}")

    @property
    def clock_name(self) -> str:
        """The clock that is used."""
        return clock_for(self.clock, one_thread_works=calling_thread_works(self.threads))

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes of batches that files are for, from one image on."""
        return tuple(sorted({1, *(self.batches or ())}))


class LiteRTSession(LocalSession):
    """A LiteRT file, open on LiteRT."""

    failing = FAILING

    def __init__(self, artifact: Artifact, interpreter: Any) -> None:
        """Wrap an allocated interpreter; a MeasurementError where input or output is not the one of moco's files."""
        signatures = interpreter.get_signature_list()
        if FIRST not in signatures or any(names != NAMES for names in signatures.values()):
            raise MeasurementError(
                f"{artifact.path}: expected an input 'input' and an output 'logits', got {signatures}"
            )
        [given], [gives] = interpreter.get_input_details(), interpreter.get_output_details()
        super().__init__(artifact, tuple(map(int, given["shape"][1:])))
        self._interpreter = interpreter
        self._input, self._output = given["index"], gives["index"]
        self._runs: dict[int, Callable[[np.ndarray], np.ndarray]] = {1: self._one}
        if len(signatures) > 1:  # an interpreter that has given a runner refuses to be run without one
            self._runs = dict(sorted(map(self._run_of, signatures), reverse=True))

    def _run_of(self, signature: str) -> tuple[int, Callable[[np.ndarray], np.ndarray]]:
        """The size of a signature's batches, and what runs it."""
        runner = self._interpreter.get_signature_runner(signature)
        size = int(runner.get_input_details()["input"]["shape"][0])
        return size, lambda images: np.asarray(runner(input=images)["logits"])

    def _free(self) -> None:
        self._interpreter = None
        self._runs = {}

    def _logits(self, images: np.ndarray) -> np.ndarray:
        parts, at = list[np.ndarray](), 0
        while at < len(images):
            size, run = next((size, run) for size, run in self._runs.items() if size <= len(images) - at)
            parts.append(run(images[at : at + size]))
            at += size
        return np.concatenate(parts)

    def _one(self, image: np.ndarray) -> np.ndarray:
        self._interpreter.set_tensor(self._input, image)
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._output))


class LiteRTTarget:
    """This machine's processor under LiteRT."""

    Options = LiteRTOptions
    name = "litert"
    distributions = (PACKAGE,)

    def __init__(self, options: LiteRTOptions | None = None) -> None:
        """Choose threads, clock and converter; opens nothing yet."""
        self.options = options or LiteRTOptions()
        self.converter = Converter.named(self.options.converter_python)
        self.capabilities = Capabilities(
            precisions=("float32", "int8"),
            channel_multiples={"float32": processor().float32_block, "int8": INT8_MULTIPLE},
            layer_kinds={"float32": KINDS, "int8": KINDS},
            metrics=measured_by(ON_A_PROCESSOR),
            pooled_strides=True,
        )

    def connect(self) -> None:
        """Make sure that the converter's Python is there and has what it needs; a ConfigError says what to install."""
        self.converter.check()

    def prepare(self, artifact: Artifact) -> Artifact:
        """The LiteRT file of an ONNX file, beside it; one that this converter made of the same file before is taken.

        A MeasurementError names an operator that is not known, and says how the converter fails.
        """
        content_of(artifact)
        path = self.converter.path(artifact, self.options.sizes)
        if not path.exists():
            write_bytes(path, self.converter.converted(artifact, self.options.sizes))
        content = path.read_bytes()
        return Artifact(path, hashlib.sha256(content).hexdigest(), len(content))

    def load(self, artifact: Artifact) -> LiteRTSession:
        """Open a prepared file, after a check that it is the very file that the artefact names (W08).

        A MeasurementError tells of another or no file, and of one that is not LiteRT's.
        """
        content = content_of(artifact)
        with FAILING.named(artifact, "cannot load it"):
            return LiteRTSession(artifact, self._opened(content))

    def _opened(self, content: bytes) -> Any:
        interpreter = Interpreter(model_content=content, num_threads=self.options.threads)
        interpreter.allocate_tensors()
        return interpreter

    def measure(self, sessions: Sequence[AnySession], plan: TimingPlan) -> Measurement:
        """Interleaved times of the sessions, the first the reference, with raw samples and doubts; see `measured`."""
        clock, threads = self.options.clock_name, self.options.threads
        return measured(sessions, plan, clock=clock, threads=threads, opening=Opening(self._opened, self.load))

    def describe(self) -> Mapping[str, Any]:
        """What a timed number depends on, the same from run to run on one machine: part of the store's key. JSON."""
        options = self.options
        about = {"runtime": self.name, "version": version(PACKAGE), "threads": options.threads}
        made = {"converter": self.converter.shown, **({"batches": list(options.sizes)} if options.batches else {})}
        return {**about, "clock": options.clock_name, **made, **facts()}

    def snippet(self, file: str, input_shape: Sequence[int] | None, normalize: Normalize | None) -> str:
        """Five lines or so that label an image; they run as they stand, on a black image."""
        opening = (
            "import numpy as np\nfrom ai_edge_litert.interpreter import Interpreter\n"
            f'run = Interpreter("{file}").get_signature_runner("{FIRST}")  # one image at a time\n'
        )
        size = '*run.get_input_details()["input"]["shape"][1:]'
        return labelling_program(opening, size, 'run(input={feed})["logits"]', input_shape, normalize)

    def findings(self) -> tuple[Finding, ...]:
        """Version, threads, what it can run and measure, and whether its converter is there."""
        detail = what_it_can(version(PACKAGE), self.options.threads, self.capabilities)
        try:
            self.connect()
        except ConfigError as error:
            return (Finding(self.name, False, f"{detail}; no converter: {error}", ADVICE),)
        return (Finding(self.name, True, f"{detail}; converter: {self.converter.shown}"),)
