"""Shared libraries that TVM makes of moco's ONNX files: for this machine's processor, or for another one's.

As a program, `python -m moco.hardware.tvm_library FILE.onnx FILE.so "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72"`
compiles a delivered file for a device that is not here.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import onnx
import tvm
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx
from tvm.support import cc
from tvm.target import codegen

from moco.errors import ConfigError, MeasurementError, in_one_line
from moco.hardware.measuring.artifact_file import content_of
from moco.hardware.tvm_schedule import compiled as scheduled
from moco.interfaces import Artifact
from moco.whole_file import write_bytes

INPUT, OUTPUT, SHAPE = "input", "logits", "image_shape"
"""Names of the file's input and output, and of the library's function that tells (channels, height, width)."""
KIND, TRIPLE, CPU = "llvm", "mtriple", "mcpu"
LISTS = frozenset({"mattr", "keys", "libs"})
"""Keys of TVM's targets that take several words."""
EXAMPLE = "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a72"
INSTRUCTIONS = re.compile(r"(sse|avx|amx|fma|f16c|bmi|lzcnt|popcnt|movbe|neon|sve|sme|dotprod|fullfp16|i8mm|bf16|lse)")
"""LLVM's features that are instructions which its loops may become; others, such as `slow-incdec`, only tune."""


@dataclass(frozen=True)
class Machine:
    """A processor that libraries are compiled for, as `llvm -mtriple=… -mcpu=… -mattr=+a,+b`; None is this one."""

    text: str | None = None
    linker: str | None = None  # the program that links; None takes the triple's g++, here the one that TVM finds

    @cached_property
    def keys(self) -> dict[str, Any]:
        """TVM's words for it; a ConfigError says what LLVM does not know (TVM itself ends the process at some)."""
        kind, *words = (self.text or KIND).split()
        if kind != KIND:
            raise ConfigError(f"target.tvm_target: expected '{EXAMPLE}' or the like, got '{self.text}'")
        found: dict[str, Any] = {"kind": KIND, TRIPLE: codegen.llvm_get_system_triple()}
        for word in words:
            key, is_one, value = word.lstrip("-").partition("=")
            if not is_one or not value or not word.startswith("-"):
                raise ConfigError(f"target.tvm_target: expected words such as -{CPU}=cortex-a72, got '{word}'")
            found[key] = value.split(",") if key in LISTS else value
        if not codegen.llvm_is_valid_cpu("generic", found[TRIPLE]):
            raise ConfigError(f"target.tvm_target: LLVM knows no -{TRIPLE}={found[TRIPLE]}")
        if is_this(found[TRIPLE]) and CPU not in found and self.text is None:
            found[CPU] = codegen.llvm_get_system_cpu()
        if CPU in found and not codegen.llvm_is_valid_cpu(found[CPU], found[TRIPLE]):
            raise ConfigError(f"target.tvm_target: LLVM knows no -{CPU}={found[CPU]} for {found[TRIPLE]}")
        return found

    @cached_property
    def target(self) -> Any:
        """TVM's own object; a ConfigError says which word it does not know."""
        try:
            return tvm.target.Target(self.keys)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"target.tvm_target: {in_one_line(error)[:200]}") from error

    @property
    def shown(self) -> str:
        """All that is known of it, in the form that it is written in."""
        words = (f"-{k}={','.join(v) if isinstance(v, list) else v}" for k, v in self.keys.items() if k != "kind")
        return " ".join((KIND, *words))

    @property
    def elsewhere(self) -> str:
        """Why what is compiled for it cannot run here; empty where it can."""
        if not is_this(self.keys[TRIPLE]):
            return f"this machine is {codegen.llvm_get_system_triple()}"
        here = {CPU: codegen.llvm_get_system_cpu(), TRIPLE: self.keys[TRIPLE], "kind": KIND}
        more = set(codegen.llvm_get_cpu_features(self.target))
        more -= set(codegen.llvm_get_cpu_features(tvm.target.Target(here)))
        lacks = sorted(filter(INSTRUCTIONS.match, more))
        return f"this machine has no {', '.join(lacks)}" if lacks else ""

    @property
    def links_by(self) -> str:
        """The program that links; a ConfigError where it is not there."""
        wanted = self.linker or (cc.get_cc() if is_this(self.keys[TRIPLE]) else f"{self.keys[TRIPLE]}-g++")
        if wanted is None or shutil.which(wanted) is None:
            raise ConfigError(
                f"target.linker: expected a compiler that links shared libraries for {self.keys[TRIPLE]}, got "
                f"{wanted or 'none'}, which is not there: install one (g++ by apt or the like), or name it"
            )
        return str(wanted)


def is_this(triple: str) -> bool:
    """Whether the triple is of this machine's architecture."""
    here = str(codegen.llvm_get_system_triple())
    return triple.partition("-")[0] == here.partition("-")[0]


def compiled(artifact: Artifact, machine: Machine) -> bytes:
    """The library of an ONNX file, for any number of images; the same bytes whenever it is asked for again.

    A MeasurementError tells of another or no file, and of an operator that Relax does not know.
    """
    content = content_of(artifact)
    linker = machine.links_by
    try:
        model = onnx.load_from_string(content)
        shape = _image_shape(model, artifact)
        with warnings.catch_warnings(), tempfile.TemporaryDirectory() as scratch:
            warnings.simplefilter("ignore")  # of what is an error a moment later
            module = from_onnx(model, keep_params_in_input=False)
            library = scheduled(_telling(module, shape), machine.target)
            made = Path(scratch) / "made.so"
            library.export_library(str(made), fcompile=cc.cross_compiler(linker))
            return made.read_bytes()
    except MeasurementError:
        raise
    except Exception as error:  # TVM's exceptions have no common base class, and the parser's are another's
        raise MeasurementError(f"{artifact.path}: TVM cannot compile it: {in_one_line(error)[:500]}") from error


def _telling(module: Any, shape: tuple[int, ...]) -> Any:
    """The module with a function more, which tells the shape of an image."""
    builder = relax.BlockBuilder(module)
    with builder.function(SHAPE, []):
        builder.emit_func_output(relax.ShapeExpr(list(shape)))
    return builder.get()


def _image_shape(model: onnx.ModelProto, artifact: Artifact) -> tuple[int, ...]:
    """(channels, height, width) of the file's input; names, type and shape must be those of moco's files."""
    weights = {one.name for one in model.graph.initializer}
    inputs, gives = [one for one in model.graph.input if one.name not in weights], [o.name for o in model.graph.output]
    given, where = [one.name for one in inputs], f"{artifact.path}: expected"
    if given != [INPUT] or gives != [OUTPUT]:
        raise MeasurementError(f"{where} an input '{INPUT}' and an output '{OUTPUT}', got {given} and {gives}")
    kind, (batch, *sizes) = inputs[0].type.tensor_type.elem_type, inputs[0].type.tensor_type.shape.dim
    if kind != onnx.TensorProto.FLOAT or not batch.dim_param or any(size.dim_value < 1 for size in sizes):
        got = [size.dim_param or size.dim_value for size in (batch, *sizes)]
        raise MeasurementError(f"{where} a float32 input (dynamic batch, fixed size), got type {kind} {got}")
    return tuple(size.dim_value for size in sizes)


def opened(content: bytes) -> Mapping[str, Any]:
    """The functions of a library, loaded from a file of its own.

    A library is loaded once for each path, whatever the file has become since, and must not change under its reader.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "opened.so"
        path.write_bytes(content)
        machine = relax.VirtualMachine(tvm.runtime.load_module(str(path)), tvm.cpu())
    return {name: machine[name] for name in ("main", SHAPE)}


def main(source: str, destination: str, text: str | None = None, linker: str | None = None) -> None:
    """Compile the one file into the other."""
    from moco.hardware.measuring.probe_model import artifact

    write_bytes(Path(destination), compiled(artifact(Path(source)), Machine(text, linker)))


if __name__ == "__main__":
    if not 2 <= len(sys.argv) - 1 <= 4:
        sys.exit(f'usage: python -m moco.hardware.tvm_library FILE.onnx FILE.so ["{EXAMPLE}" [LINKER]]')
    try:
        main(*sys.argv[1:])
    except (ConfigError, MeasurementError) as error:
        sys.exit(str(error))
