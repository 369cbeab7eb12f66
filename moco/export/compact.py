"""A graph as the file that ships, with short names and no defaults: in a small int8 network names weigh a lot."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import onnx

from moco.errors import RunFolderError
from moco.interfaces import Artifact

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_DEFAULTS: dict[tuple[str, str], object] = {("Conv", "group"): 1, ("DequantizeLinear", "axis"): 1}
_ALL_ONES = {("Conv", "strides"), ("Conv", "dilations")}
_INFERRED = {("Conv", "kernel_shape")}


def compact(proto: onnx.ModelProto, keep: tuple[str, ...] = (".weight", ".weight_q")) -> None:
    """Shorten, in place, the names of tensors: not of inputs, outputs and initializers that end in `keep`."""
    graph = proto.graph
    kept = {value.name for value in (*graph.input, *graph.output)}
    kept |= {initializer.name for initializer in graph.initializer if initializer.name.endswith(keep)}
    fresh = _short_names(kept)
    names: dict[str, str] = {name: name for name in (*kept, "")}

    def short(name: str) -> str:
        if name not in names:
            names[name] = next(fresh)
        return names[name]

    for initializer in graph.initializer:
        initializer.name = short(initializer.name)
    for node in graph.node:
        node.name = ""
        for field in (node.input, node.output):
            for index, name in enumerate(field):
                field[index] = short(name)
        for place in reversed(range(len(node.attribute))):
            if _is_default(node.op_type, node.attribute[place]):
                del node.attribute[place]


def written(proto: onnx.ModelProto, folder: Path) -> Artifact:
    """The graph as a file of the folder, named by its hash; one that is there already is left as it is.

    Raises:
        RunFolderError: it cannot be written.
    """
    data = proto.SerializeToString(deterministic=True)
    sha256 = hashlib.sha256(data).hexdigest()
    path = folder / f"{sha256[:16]}.onnx"
    if not path.exists():
        partial = path.with_suffix(".partial")
        try:
            partial.write_bytes(data)
            partial.replace(path)  # whole or not at all: a killed search must not leave half a file of this name
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise RunFolderError(f"{path}: cannot be written: {error.strerror or error}") from error
    return Artifact(path, sha256, len(data))


def _short_names(taken: set[str]) -> Iterator[str]:
    number = 0
    while True:
        name, rest = "", number
        while True:
            name, rest = _DIGITS[rest % 36] + name, rest // 36
            if not rest:
                break
        if name not in taken:
            yield name
        number += 1


def _is_default(op_type: str, attribute: onnx.AttributeProto) -> bool:
    key = (op_type, attribute.name)
    if key in _INFERRED:
        return True
    if key in _ALL_ONES:
        return all(value == 1 for value in attribute.ints)
    return key in _DEFAULTS and attribute.i == _DEFAULTS[key]
