"""Whether a batch fits into memory, told before it is run: afterwards the system ends a process, and tells nobody why.

What a batch takes is estimated from the file: the most that its values take at one time, where they are computed in the
file's order and each is let go of when nobody reads it any more, times what runtimes take beside that. Weights are left
out, as they are there already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import prod

import onnx
from onnx import TypeProto, helper

from moco.errors import MeasurementError
from moco.free_memory import free_bytes
from moco.hardware.measuring.artifact_file import content_of
from moco.interfaces import Artifact

FILES = 64
"""Files whose estimates are remembered."""
BESIDE = 2.0
"""What a runtime takes, relative to the values alone. Of float32 files ONNX Runtime took 2.1 times as much (it keeps
what the first batch took, and plans a block for the second), OpenVINO 1.1 to 1.7 and torch 1.6 (2026-12-03)."""
MOST_AN_IMAGE = 1000
"""What a file's values take is not looked up where this many times the images' own bytes are free: that takes 50 ms."""


def check_batch(artifact: Artifact, shape: Sequence[int], batch: int) -> None:
    """Pass a batch of images of that shape that fits into what memory is free while the file runs.

    A MeasurementError else. Of a file of another form than ONNX the images alone are known.
    """
    images, free = 4 * batch * prod(shape), free_bytes()
    if MOST_AN_IMAGE * images < free:
        return
    needed = max(images, int(BESIDE * batch * _value_bytes(artifact)))
    if needed > free:
        raise MeasurementError(
            f"{artifact.path}: a batch of {batch} images takes about {needed / 1e9:.2f} GB of memory, and "
            f"{free / 1e9:.2f} GB are free where it runs: take smaller images or a smaller network, or free some"
        )


@lru_cache(FILES)
def _value_bytes(artifact: Artifact) -> int:
    return peak_bytes(content_of(artifact)) or 0


def peak_bytes(content: bytes) -> int | None:
    """The most that the values of one image take at a time in that file; None where the bytes are no ONNX file.

    A value whose shape the file does not tell counts as nothing.
    """
    try:
        model = onnx.load_from_string(content)
        for size in (one.type.tensor_type.shape.dim[0] for one in (*model.graph.input, *model.graph.output)):
            size.ClearField("dim_param")
            size.dim_value = 1
        graph = onnx.shape_inference.infer_shapes(model).graph
    except Exception:  # protobuf's, whose package has no types, and those of a graph that is none
        return None
    return max(_taken(graph), default=0)


def _taken(graph: onnx.GraphProto) -> Iterator[int]:
    """Bytes of all values that are alive while each node runs; what is made of constants alone is one when it runs."""
    sizes = {one.name: _bytes(one.type.tensor_type) for one in (*graph.value_info, *graph.input, *graph.output)}
    readers = Counter(name for node in graph.node for name in set(node.input))
    readers.update(one.name for one in graph.output)
    constants = {one.name for one in graph.initializer}
    alive = {one.name: sizes[one.name] for one in graph.input if one.name not in constants}
    for node in graph.node:
        if alive.keys().isdisjoint(node.input):
            continue
        alive |= {name: sizes.get(name, 0) for name in node.output if name}
        yield sum(alive.values())
        readers.subtract(set(node.input))
        for name in (*node.input, *node.output):
            if not readers[name]:
                alive.pop(name, None)


def _bytes(kind: TypeProto.Tensor) -> int:
    if not kind.elem_type:
        return 0
    values: int = prod(size.dim_value for size in kind.shape.dim)
    return values * int(helper.tensor_dtype_to_np_dtype(kind.elem_type).itemsize)
