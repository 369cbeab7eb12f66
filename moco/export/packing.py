"""Codes of fewer than 8 bits side by side in a file: a runtime unpacks them once, when it loads it.

No runtime has kernels for such weights, so they are computed on as 8-bit codes, and would fill a byte each. Here all
of one width lie in one stream of bits, after a few operators that give each layer its 8-bit codes again:

    bits -> sum of bit x 2^place -> less the highest code -> split by layers -> shapes of the weights

These have no inputs but constants, so a runtime that folds constants runs them at loading, before it looks for layers
to compute in integers. A file takes less room and runs as fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from moco.export.bits import highest_weight_code

CODES = ".weight_q"
PACKED = "packed_"
"""What the streams are called, before their bits."""


@dataclass(frozen=True)
class Stream:
    """Codes of one width, one after the other; the lowest bit of each comes first."""

    bits: int

    @property
    def highest(self) -> int:
        """The highest code; minus it is the lowest, and is stored as 0."""
        return highest_weight_code(self.bits)

    def packed(self, codes: np.ndarray) -> np.ndarray:
        """Codes (n,) int8 as bytes (k, 1), the last ones filled up to a whole number of both."""
        stored = np.pad((codes + self.highest).astype(np.uint8), (0, -len(codes) % 8))
        return np.packbits(
            np.unpackbits(stored[:, None], axis=1, count=self.bits, bitorder="little"), bitorder="little"
        )[:, None]

    def unpacked(self, stream: np.ndarray) -> np.ndarray:
        """The codes int8 of bytes (k, 1), with those that fill it up."""
        bits = np.unpackbits(stream.ravel(), bitorder="little").reshape(-1, self.bits)
        return (bits @ (1 << np.arange(self.bits)) - self.highest).astype(np.int8)


def stored_bits(bits: int) -> int:
    """Bits that a code takes in a stream: at 1 bit it is -1 or +1, and 0 where a channel holds nothing but zeros."""
    return max(bits, 2)


def pack(proto: onnx.ModelProto, bits: Mapping[str, int]) -> None:
    """Lay the weights' codes of these layers side by side, in place, where that makes the file smaller.

    `bits` are of the codes by layer; those of 8 stay as they are.
    """
    layers: dict[int, list[onnx.TensorProto]] = {}
    for initializer in proto.graph.initializer:
        name, _, use = initializer.name.rpartition(CODES)
        width = stored_bits(bits.get(name, 8))
        if width < 8 and (not use or use.isdigit()):
            layers.setdefault(width, []).append(initializer)
    for width, codes in sorted(layers.items()):
        smaller = onnx.GraphProto()
        smaller.CopyFrom(_unpacking(Stream(width), codes))
        if smaller.ByteSize() < sum(tensor.ByteSize() for tensor in codes):
            _replace(proto.graph, codes, smaller)


def unpacked(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with the codes as 8-bit tensors, as they are once the file is loaded; as it is where none is packed."""
    constants = {i.name for i in proto.graph.initializer}
    shifts = [node for node in proto.graph.node if node.op_type == "BitShift" and node.input[0] in constants]
    if not shifts:
        return proto
    codes = {name: codes for shift in shifts for name, codes in _streamed(proto.graph, shift)}
    found = onnx.ModelProto()
    found.CopyFrom(proto)
    nodes = [node for node in found.graph.node if node.output[0] not in codes]
    del found.graph.node[:]
    found.graph.node.extend(nodes)
    found.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in codes.items())
    return found


def _streamed(graph: onnx.GraphProto, shift: onnx.NodeProto) -> Iterator[tuple[str, np.ndarray]]:
    """The codes of the stream that this node begins to unpack, by what they are called."""
    constants = {i.name: i for i in graph.initializer}
    readers = {node.input[0]: node for node in graph.node if node.input}
    node, bits = shift, 0
    while node.op_type != "Split":
        node = readers[node.output[0]]
        if node.op_type == "Reshape":
            bits = int(numpy_helper.to_array(constants[node.input[1]])[-1])
    codes = Stream(bits).unpacked(numpy_helper.to_array(constants[shift.input[0]]))
    ends = np.cumsum(numpy_helper.to_array(constants[node.input[1]]))
    for part, values in zip(node.output, np.split(codes, ends[:-1]), strict=True):
        if (reshape := readers.get(part)) is not None:  # nothing reads what fills the stream up
            yield reshape.output[0], values.reshape(numpy_helper.to_array(constants[reshape.input[1]]))


def _unpacking(stream: Stream, tensors: list[onnx.TensorProto]) -> onnx.GraphProto:
    """The stream of these codes and the operators that unpack it."""
    arrays = [numpy_helper.to_array(tensor) for tensor in tensors]
    packed = stream.packed(np.concatenate([array.ravel() for array in arrays]))
    sizes = [array.size for array in arrays]
    left = packed.size * 8 // stream.bits - sum(sizes)
    graph, name = onnx.GraphProto(), f"{PACKED}{stream.bits}"

    def constant(what: str, values: np.ndarray | np.generic) -> str:
        if what not in {i.name for i in graph.initializer}:
            graph.initializer.append(numpy_helper.from_array(np.asarray(values), what))
        return what

    def apply(operator: str, *inputs: str, **attributes: Any) -> str:
        output = f"{name}_{len(graph.node)}"
        graph.node.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    places = constant(f"{name}_places", np.arange(8, dtype=np.uint8))
    bits = apply("BitShift", constant(name, packed), places, direction="RIGHT")
    bits = apply("BitwiseAnd", bits, constant(f"{name}_lowest", np.uint8(1)))
    bits = apply("Cast", bits, to=TensorProto.FLOAT)
    rows = apply("Reshape", bits, constant(f"{name}_row", np.array([-1, stream.bits])))
    sums = apply("MatMul", rows, constant(f"{name}_powers", (2.0 ** np.arange(stream.bits)).astype(np.float32)))
    codes = apply("Sub", sums, constant(f"{name}_highest", np.float32(stream.highest)))
    codes = apply("Cast", codes, to=TensorProto.INT8)
    parts = [f"{name}_of_{place}" for place in range(len(sizes) + bool(left))]
    ends = constant(f"{name}_sizes", np.array(sizes + [left] * bool(left)))
    graph.node.append(helper.make_node("Split", [codes, ends], parts, axis=0))
    for tensor, part in zip(tensors, parts, strict=False):
        shape = constant(f"shape_{'_'.join(map(str, tensor.dims))}", np.array(tensor.dims))
        graph.node.append(helper.make_node("Reshape", [part, shape], [tensor.name]))
    return graph


def _replace(graph: onnx.GraphProto, tensors: list[onnx.TensorProto], unpacking: onnx.GraphProto) -> None:
    gone, there = {tensor.name for tensor in tensors}, {i.name for i in unpacking.initializer}
    kept = [i for i in graph.initializer if i.name not in gone | there]
    nodes = [*unpacking.node, *graph.node]
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend([*kept, *unpacking.initializer])
    graph.node.extend(nodes)
