"""Linear layers on tokens written as Gemm, with the weight as the layer holds it and by its name.

The exporter writes a linear layer on (n, tokens, channels) as a MatMul with the transposed weight, a constant without a
name, and an Add. As Flatten, Gemm and Reshape it takes other weights and widths, and runtimes have it in int8.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper


def gemm_instead_of_matmul(graph: onnx.GraphProto, weights: Mapping[str, np.ndarray]) -> None:
    """Rewrite, in place, each MatMul by the transpose of one of these weights, with the Add of a bias behind it.

    Args:
        weights: matrices (outputs, inputs) by name; each is found once.
    """
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer if len(i.dims) == 2}
    left = {name: weight for name, weight in weights.items() if name not in constants}
    vectors = {i.name for i in graph.initializer if len(i.dims) == 1}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    nodes: list[onnx.NodeProto] = []
    gone: set[str] = set()
    found: dict[str, str] = {}  # a layer that is used twice shares its constant
    for node in graph.node:
        if _by_constant(node, constants) and node.input[1] not in found:
            match = _match(constants[node.input[1]], left)
            if match is not None:
                found[node.input[1]] = match
                graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(left.pop(match)), match))
        name = found.get(node.input[1]) if _by_constant(node, constants) else None
        if name is not None:
            bias, output = _bias(node, readers, vectors)
            gone.add(output)
            nodes.extend(_written(node.input[0], [name, *bias], output))
        elif node.output[0] not in gone:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [initializer for initializer in graph.initializer if initializer.name in used]
    if any(node.op_type == "Gemm" and node.input[0].endswith("_tokens") for node in nodes):
        kept.append(numpy_helper.from_array(np.asarray([-1], np.int64), "moco_rest"))
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _by_constant(node: onnx.NodeProto, constants: Mapping[str, np.ndarray]) -> bool:
    return node.op_type == "MatMul" and node.input[1] in constants


def _match(constant: np.ndarray, weights: Mapping[str, np.ndarray]) -> str | None:
    """The first of the weights of which the constant is the transpose."""
    return next((name for name, weight in weights.items() if np.array_equal(weight.T, constant)), None)


def _bias(
    node: onnx.NodeProto, readers: Mapping[str, list[onnx.NodeProto]], vectors: set[str]
) -> tuple[list[str], str]:
    """The bias that alone is added to what the node gives, if any, and the name of the sum."""
    following = readers.get(node.output[0], [])
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
