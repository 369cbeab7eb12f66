"""Rewrites of an exported graph, after which it takes other widths and runs in int8.

| what the exporter writes | what it becomes | why |
|---|---|---|
| reshapes to fixed sizes | Flatten, or reshapes by axes | they take other widths |
| a shortcut's Pad and Gather | one Pad, where the channels are still a run | channels-last passes a Pad, no Gather |
| a linear layer on tokens as MatMul and Add | Flatten, Gemm, Reshape | the weight has its name, and int8 has Gemm |
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from moco.interfaces import Artifact
from moco.whole_file import write_bytes

Shape = Sequence[int | str]  # sizes of the axes; a name where the size is not fixed


def reshape_by_axes(graph: onnx.GraphProto) -> None:
    """Rewrite, in place, the reshapes of tensors whose shapes the graph knows, so that they take other widths.

    One to (batch, all the rest) becomes a Flatten. In another that keeps the batch, the leading axes that stay are
    copied and the last one of those that are split or merged is found: the channel shuffle (n, 2 c, h, w) ->
    (n, 2, c, h, w) takes any c.
    """
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer if i.data_type == onnx.TensorProto.INT64}
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.input)
    }
    for node in graph.node:
        source = shapes.get(node.input[0]) if node.op_type == "Reshape" and node.input[1] in constants else None
        if not source:
            continue
        target = constants[node.input[1]].tolist()
        if _flattens(source, target):
            node.op_type = "Flatten"
            del node.input[1:]
            del node.attribute[:]
            node.attribute.append(helper.make_attribute("axis", 1))
            continue
        written = _by_axes(source, shapes.get(node.output[0], []), target)
        if written is not None:
            node.input[1] = f"{node.output[0]}_shape"
            graph.initializer.append(numpy_helper.from_array(np.asarray(written, np.int64), node.input[1]))
            del node.attribute[:]  # `allowzero` would make a 0 of a copied axis


def _flattens(source: Shape, target: Sequence[int]) -> bool:
    fixed = [size for size in source[1:] if isinstance(size, int) and size > 0]
    return len(target) == 2 and len(fixed) == len(source) - 1 > 1 and target[1] == int(np.prod(fixed))


def _by_axes(source: Shape, result: Shape, target: Sequence[int]) -> list[int] | None:
    """The target with copied axes (0) and one to be found (-1); None where the batch does not stay as it is."""
    if not result or source[0] != result[0] or not isinstance(source[0], str) or list(source) == list(result):
        return None
    if any(isinstance(size, str) for size in result[1:]):
        return None
    front = _common(source, result)
    back = min(_common(source[::-1], result[::-1]), len(result) - front)
    changed = len(result) - back - 1
    if changed < front or min(len(source), len(result)) - front - back > 1:  # neither one axis split nor one merged
        return None
    written = [0] * front + list(target[front:])
    written[changed] = -1
    return written


def _common(first: Shape, second: Shape) -> int:
    """How many sizes at the beginning are the same."""
    pairs = zip(first, second, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def pad_instead_of_gather(graph: onnx.GraphProto, zero_channels: Mapping[str, int]) -> None:
    """Rewrite, in place, each Gather of a zero-padded tensor's channels whose sources are a run with zeros around it.

    `zero_channels` holds, by name of the gathered indices, the index that stands for zero: the number of real channels.
    """
    constants = {i.name: i for i in graph.initializer}
    producers = {node.output[0]: node for node in graph.node}
    used = readers(graph)
    removed: set[str] = set()
    for node in graph.node:
        pad = producers.get(node.input[0]) if node.op_type == "Gather" else None
        if pad is None or pad.op_type != "Pad" or len(used[pad.output[0]]) != 1 or node.input[1] not in zero_channels:
            continue
        if not _pads_one_zero_channel(pad, constants):
            continue
        run = _run_with_zeros(numpy_helper.to_array(constants[node.input[1]]), zero_channels[node.input[1]])
        if run is None:
            continue
        name = f"{node.output[0]}_pads"
        graph.initializer.append(numpy_helper.from_array(np.asarray(run, dtype=np.int64), name))
        node.op_type = "Pad"
        del node.attribute[:]
        del node.input[:]
        node.input.extend([pad.input[0], name])
        node.attribute.append(helper.make_attribute("mode", "constant"))
        removed.add(pad.output[0])
    if removed:
        for node in [node for node in graph.node if node.output[0] in removed]:
            graph.node.remove(node)
        drop_unread(graph)


def _pads_one_zero_channel(pad: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    if (len(pad.input) > 3 and pad.input[3]) or pad.input[1] not in constants:
        return False
    if len(pad.input) > 2 and pad.input[2]:
        value = constants.get(pad.input[2])
        if value is None or float(numpy_helper.to_array(value)) != 0.0:
            return False
    return bool(numpy_helper.to_array(constants[pad.input[1]]).tolist() == [0, 0, 0, 0, 0, 1, 0, 0])


def _run_with_zeros(source: np.ndarray, zero: int) -> list[int] | None:
    """Pads [n, c, h, w, n, c, h, w] that give the same as gathering `source`; None where it is no whole run."""
    places = np.flatnonzero(source != zero)
    if not np.array_equal(source[places], np.arange(zero)) or not np.array_equal(places, places[0] + np.arange(zero)):
        return None
    front = int(places[0])
    return [0, front, 0, 0, 0, len(source) - front - zero, 0, 0]


def gemm_instead_of_matmul(graph: onnx.GraphProto, weights: Mapping[str, np.ndarray]) -> None:
    """Rewrite, in place, each MatMul by the transpose of a weight (outputs, inputs), and the Add of its bias."""
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer if len(i.dims) == 2}
    left = {name: weight for name, weight in weights.items() if name not in constants}
    vectors = {i.name for i in graph.initializer if len(i.dims) == 1}
    reading = readers(graph)
    nodes: list[onnx.NodeProto] = []
    gone: set[str] = set()
    found: dict[str, str] = {}  # a layer that is used twice shares its constant
    for node in graph.node:
        constant = node.input[1] if node.op_type == "MatMul" and node.input[1] in constants else None
        if constant is not None and constant not in found:
            match = next((name for name, weight in left.items() if np.array_equal(weight.T, constants[constant])), None)
            if match is not None:
                found[constant] = match
                graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(left.pop(match)), match))
        name = found.get(constant) if constant is not None else None
        if name is not None:
            bias, output = _bias(node, reading.get(node.output[0], []), vectors)
            gone.add(output)
            nodes.extend(_written(node.input[0], [name, *bias], output))
        elif node.output[0] not in gone:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    drop_unread(graph)
    if any(node.op_type == "Gemm" and node.input[0].endswith("_tokens") for node in nodes):
        graph.initializer.append(numpy_helper.from_array(np.asarray([-1], np.int64), "moco_rest"))


def _bias(node: onnx.NodeProto, following: Sequence[onnx.NodeProto], vectors: set[str]) -> tuple[list[str], str]:
    """The bias that alone is added to what the node gives, if any, and the name of the sum."""
    if len(following) == 1 and following[0].op_type == "Add":
        others = [name for name in following[0].input if name != node.output[0]]
        if len(others) == 1 and others[0] in vectors:
            return others, following[0].output[0]
    return [], node.output[0]


def _written(tokens: str, operands: list[str], output: str) -> list[onnx.NodeProto]:
    """Flatten to a matrix, multiply, and give the result the leading axes that `tokens` has."""
    flat, product, leading, shape = (f"{output}_{part}" for part in ("tokens", "product", "leading", "shape"))
    return [
        helper.make_node("Flatten", [tokens], [flat], axis=-1),
        helper.make_node("Gemm", [flat, *operands], [product], transB=1),
        helper.make_node("Shape", [tokens], [leading], start=0, end=-1),
        helper.make_node("Concat", [leading, "moco_rest"], [shape], axis=0),
        helper.make_node("Reshape", [product, shape], [output]),
    ]


def readers(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    """The nodes that read each tensor, once for each time that they do."""
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            found.setdefault(name, []).append(node)
    return found


def drop_unread(graph: onnx.GraphProto) -> None:
    """Take out, in place, the initializers that no node reads."""
    read = {name for node in graph.node for name in node.input}
    kept = [initializer for initializer in graph.initializer if initializer.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


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
    """The graph as a file of the folder, named by its hash; one that is there is left as it is. Or a RunFolderError."""
    data = proto.SerializeToString(deterministic=True)
    sha256 = hashlib.sha256(data).hexdigest()
    path = folder / f"{sha256[:16]}.onnx"
    if not path.exists():
        write_bytes(path, data)  # whole: a killed search must not leave half a file of this name
    return Artifact(path, sha256, len(data))


def _short_names(taken: set[str]) -> Iterator[str]:
    """0, 1, …, z, 10, …: numbers in base 36 that are not taken."""
    return (name for number in count() if (name := np.base_repr(number, 36).lower()) not in taken)


def _is_default(op_type: str, attribute: onnx.AttributeProto) -> bool:
    key = (op_type, attribute.name)
    if key in _ALL_ONES:
        return all(value == 1 for value in attribute.ints)
    return key in _INFERRED or (key in _DEFAULTS and attribute.i == _DEFAULTS[key])
