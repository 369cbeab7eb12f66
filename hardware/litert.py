"""LiteRT on this machine's processor, by XNNPACK: the runtime of phones and ARM boards. Float32 only.

It runs files of its own form, which `prepare` makes of moco's ONNX files by litert-torch, in an environment of its own
(`converter_python`, or the variable MOCO_LITERT_PYTHON), some ten seconds a file. The converted file is what is scored,
timed and shipped. It is for one image: a larger batch runs image by image, since a file whose input is resized gives
other answers where a shape is written in it. All work happens in the calling thread where there is one thread.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from moco.errors import ConfigError, MeasurementError, in_one_line
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
from moco.hardware.measuring.metering import Opening, measured
from moco.hardware.measuring.processor import processor
from moco.interfaces import Artifact, Capabilities, Finding, Normalize
from moco.interfaces import Session as AnySession
from moco.measurement import ON_A_PROCESSOR, Measurement, TimingPlan
from moco.readings import measured_by
from moco.whole_file import write_bytes

VARIABLE = "MOCO_LITERT_PYTHON"
ADVICE = (
    "make it by `pip install -c constraints.txt litert-torch==0.10.0 onnx optuna` in a venv of its own, and name its "
    f"Python by target.converter_python or {VARIABLE}"
)
PACKAGE = "ai-edge-litert"
LIMIT_S = 900.0
FAILING = Failing("LiteRT", errors=(RuntimeError, ValueError))


@dataclass(frozen=True)
class LiteRTOptions:
    """How files are converted and opened."""

    converter_python: str | None = None  # Python of the converter's environment; None takes MOCO_LITERT_PYTHON's
    threads: int = 1  # threads within an operator
    clock: str | None = None  # `processor` or `wall`; None takes the processor's where there is one thread

    def __post_init__(self) -> None:
        check_threads(self.threads)
        check_clock(self.clock, one_thread_works=calling_thread_works(self.threads))

    @property
    def clock_name(self) -> str:
        """The clock that is used."""
        return clock_for(self.clock, one_thread_works=calling_thread_works(self.threads))

    @property
    def python(self) -> str | None:
        """The converter's Python; None where nobody names one."""
        return self.converter_python or os.environ.get(VARIABLE) or None


class LiteRTSession(LocalSession):
    """A LiteRT file, open on LiteRT."""

    failing = FAILING

    def __init__(self, artifact: Artifact, interpreter: Any) -> None:
        """Wrap an allocated interpreter; a MeasurementError where input or output is not the one of moco's files."""
        names = interpreter.get_signature_list().get("serving_default")
        if names != {"inputs": ["input"], "outputs": ["logits"]}:
            raise MeasurementError(f"{artifact.path}: expected an input 'input' and an output 'logits', got {names}")
        [given], [gives] = interpreter.get_input_details(), interpreter.get_output_details()
        super().__init__(artifact, tuple(map(int, given["shape"][1:])))
        self._interpreter = interpreter
        self._input, self._output = given["index"], gives["index"]

    def _free(self) -> None:
        self._interpreter = None

    def _logits(self, images: np.ndarray) -> np.ndarray:
        return np.concatenate([self._one(images[n : n + 1]) for n in range(len(images))])

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
        self.capabilities = Capabilities(
            precisions=("float32",),
            channel_multiples={"float32": processor().float32_block},
            layer_kinds={"float32": KINDS},
            metrics=measured_by(ON_A_PROCESSOR),
        )

    def connect(self) -> None:
        """Make sure that somebody names the converter's Python, and that it is there; else a ConfigError."""
        python = self.options.python
        if python is None or not os.access(python, os.X_OK):
            raise ConfigError(f"target.converter_python: expected the Python of a converter, got {python}; {ADVICE}")

    def prepare(self, artifact: Artifact) -> Artifact:
        """The LiteRT file of an ONNX file, beside it; one that is there already is taken.

        A MeasurementError names an operator that is not known, and says how the converter fails.
        """
        content_of(artifact)
        path = artifact.path.with_suffix(".tflite")
        if not path.exists():
            write_bytes(path, self._converted(artifact))
        content = path.read_bytes()
        return Artifact(path, hashlib.sha256(content).hexdigest(), len(content))

    def _converted(self, artifact: Artifact) -> bytes:
        with tempfile.TemporaryDirectory() as scratch:
            root, made = Path(scratch), Path(scratch) / "made.tflite"
            # This moco and nothing else of its environment is put in the way of the converter's own packages.
            (root / "moco").symlink_to(Path(__file__).resolve().parents[1] / "moco")
            command = [str(self.options.python), "-m", "moco.hardware.litert_converter.convert"]
            try:
                done = subprocess.run(
                    [*command, str(artifact.path.resolve()), str(made)],
                    cwd=root, capture_output=True, text=True, errors="replace", timeout=LIMIT_S, check=False,
                    env={**os.environ, "PYTHONPATH": scratch, "OMP_NUM_THREADS": "1"},
                )  # fmt: skip
            except (OSError, subprocess.TimeoutExpired) as error:
                raise MeasurementError(f"{artifact.path}: the converter failed: {in_one_line(error)}") from error
            if done.returncode or not made.exists():
                last = (done.stderr.strip().splitlines() or ["no word"])[-1]
                raise MeasurementError(f"{artifact.path}: LiteRT's converter refuses it: {last}")
            return made.read_bytes()

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
        return {**about, "clock": options.clock_name, **facts()}

    def snippet(self, file: str, input_shape: Sequence[int] | None, normalize: Normalize | None) -> str:
        """Five lines or so that label an image; they run as they stand, on a black image."""
        opening = (
            "import numpy as np\nfrom ai_edge_litert.interpreter import Interpreter\n"
            f'run = Interpreter("{file}").get_signature_runner()  # one image at a time\n'
        )
        size = '*run.get_input_details()["input"]["shape"][1:]'
        return labelling_program(opening, size, 'run(input={feed})["logits"]', input_shape, normalize)

    def findings(self) -> tuple[Finding, ...]:
        """Version, threads, what it can run and measure, and whether its converter is there."""
        detail = what_it_can(version(PACKAGE), self.options.threads, self.capabilities)
        try:
            self.connect()
        except ConfigError:
            return (Finding(self.name, False, f"{detail}; no converter is named", ADVICE),)
        return (Finding(self.name, True, detail),)
