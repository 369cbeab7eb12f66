"""The environment of LiteRT's converter: what is installed in it, and how its Python converts a file."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from moco.errors import ConfigError, MeasurementError, in_one_line
from moco.interfaces import Artifact

VARIABLE = "MOCO_LITERT_PYTHON"
INSTALL = "pip install -c constraints.txt litert-torch==0.10.0 onnx optuna"
ADVICE = f"make it by `{INSTALL}` in a venv of its own, and name its Python by target.converter_python or {VARIABLE}"
PACKAGES = (
    "litert-torch",
    "litert-converter",
    "ai-edge-quantizer",
    "ai-edge-litert",
    "torch",
    "onnx",
    "numpy",
    "optuna",
)
"""What converting needs; the last is moco's own need."""
FORM = 2
"""Counts the ways in which moco has had files converted: those of another one are not taken for its own."""
LIMIT_S = 900.0
QUESTION_S = 60.0
VERSIONS = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        found[name] = None
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Converter:
    """A Python that has the converter's packages."""

    python: str | None  # None where nobody names one

    @classmethod
    def named(cls, python: str | None) -> Converter:
        """The one of this path, else the one that the variable names."""
        return cls(python or os.environ.get(VARIABLE) or None)

    def check(self) -> None:
        """Pass one that is there and has all packages; a ConfigError says what to install."""
        if self.python is None or not os.access(self.python, os.X_OK):
            raise ConfigError(
                f"target.converter_python: expected the Python of a converter, got {self.python}; {ADVICE}"
            )
        if lacks := [name for name, version in self.versions().items() if version is None]:
            how = f"install them by `{self.python} -m {INSTALL}`"
            raise ConfigError(f"target.converter_python: {self.python} has no {', '.join(lacks)}; {how}")

    def versions(self) -> Mapping[str, str | None]:
        """Of the packages, None of one that is not there; a ConfigError where the Python does not run."""
        return _versions(str(self.python))

    @property
    def shown(self) -> str | None:
        """What a converted file depends on, in words; None where there is no such converter."""
        try:
            self.check()
        except ConfigError:
            return None
        return f"form {FORM}, " + ", ".join(f"{name} {version}" for name, version in self.versions().items())

    def path(self, artifact: Artifact, batches: Sequence[int]) -> Path:
        """Where the converted file of an ONNX file lies: named by all that it depends on, so that no other is taken."""
        about = json.dumps([artifact.sha256, list(batches), self.shown])
        key = hashlib.sha256(about.encode()).hexdigest()[:12]
        return artifact.path.with_name(f"{artifact.path.stem}-{key}.tflite")

    def converted(self, artifact: Artifact, batches: Sequence[int]) -> bytes:
        """The content of a LiteRT file for batches of these sizes; a MeasurementError says how that fails."""
        with tempfile.TemporaryDirectory() as scratch:
            root, made = Path(scratch), Path(scratch) / "made.tflite"
            # This moco and nothing else of its environment is put in the way of the converter's own packages.
            (root / "moco").symlink_to(Path(__file__).resolve().parents[2] / "moco")
            command = [str(self.python), "-m", "moco.hardware.litert_converter.convert"]
            try:
                done = subprocess.run(
                    [*command, str(artifact.path.resolve()), str(made), *map(str, batches)],
                    cwd=root, capture_output=True, text=True, errors="replace", timeout=LIMIT_S, check=False,
                    env={**os.environ, "PYTHONPATH": scratch, "OMP_NUM_THREADS": "1"},
                )  # fmt: skip
            except (OSError, subprocess.TimeoutExpired) as error:
                raise MeasurementError(f"{artifact.path}: the converter failed: {in_one_line(error)}") from error
            if done.returncode or not made.exists():
                last = (done.stderr.strip().splitlines() or ["no word"])[-1]
                raise MeasurementError(f"{artifact.path}: LiteRT's converter refuses it: {last}")
            return made.read_bytes()


@lru_cache(8)
def _versions(python: str) -> Mapping[str, str | None]:
    try:
        done = subprocess.run(
            [python, "-c", VERSIONS, *PACKAGES],
            capture_output=True, text=True, errors="replace", timeout=QUESTION_S, check=True,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        )  # fmt: skip
        found: dict[str, str | None] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise ConfigError(f"target.converter_python: {python} does not run: {in_one_line(error)}; {ADVICE}") from error
    return found
