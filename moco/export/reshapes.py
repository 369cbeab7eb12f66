"""Reshapes written without the widths that they had when they were exported."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

Shape = Sequence[int | str]
"""Sizes of the axes; a name where the size is not fixed."""


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
