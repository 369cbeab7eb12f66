"""Pixels that are left out, written as a max-pool over one pixel, which every converter for small devices takes.

An option-A shortcut reads every second row and column. The exporter writes that as two Slices with a step, which some
converters cannot load (pnnx). A max-pool with a kernel of one pixel and the steps as strides gives the same values, in
floats and in codes, for sizes that the step does not divide too: both give ceil(size / step).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from moco.export.rewrites import drop_unread, readers

AXES = (2, 3)  # height and width of a tensor (n, channels, height, width)


def pools_instead_of_strides(proto: onnx.ModelProto) -> None:
    """Rewrite, in place, the Slices that take every so many rows and columns of images, from the first on.

    Those of one tensor that follow each other become one max-pool. Other Slices, and those of tensors that are known to
    have other axes or whose axes are not known, stay.
    """
    graph = proto.graph
    constants = {i.name: i for i in graph.initializer}
    if not any(_steps(node, constants) for node in graph.node):
        return
    ranks = _ranks(proto)
    for node in graph.node:
        steps = _steps(node, constants) if ranks.get(node.input[0]) == 4 else None
        if steps is not None:
            del node.input[1:], node.attribute[:]
            node.op_type = "MaxPool"
            node.attribute.extend(
                helper.make_attribute(n, v) for n, v in (("kernel_shape", (1, 1)), ("strides", steps))
            )
    _merge(graph)
    drop_unread(graph)


def _steps(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> tuple[int, int] | None:
    """Steps along height and width of a Slice that begins with the first pixel and leaves some out; None of others."""
    if node.op_type != "Slice" or len(node.input) != 5 or not all(name in constants for name in node.input[1:]):
        return None
    starts, ends, axes, steps = (numpy_helper.to_array(constants[name]).reshape(-1) for name in node.input[1:])
    found = {int(axis) % 4: int(step) for axis, step in zip(axes, steps, strict=True)}
    if np.any(starts) or np.any(ends < np.iinfo(np.int32).max) or not found.keys() <= set(AXES):
        return None
    if min(found.values()) < 1 or max(found.values()) == 1:
        return None
    return found.get(AXES[0], 1), found.get(AXES[1], 1)


def _ranks(proto: onnx.ModelProto) -> dict[str, int]:
    """The number of axes of each tensor, where the graph tells it."""
    graph = onnx.shape_inference.infer_shapes(proto).graph
    known = (*graph.input, *graph.value_info)
    return {value.name: len(v.shape.dim) for value in known if (v := value.type.tensor_type).HasField("shape")}


def _merge(graph: onnx.GraphProto) -> None:
    """Make one of two such max-pools, in place, where nothing else reads what the first one gives."""
    used = readers(graph)
    makers = {node.output[0]: node for node in graph.node}
    outputs = {value.name for value in graph.output}
    gone = []
    for node in graph.node:
        first = makers.get(node.input[0]) if node.input else None
        if first is None or not (_is_stride(node) and _is_stride(first)):
            continue
        if len(used[first.output[0]]) == 1 and first.output[0] not in outputs:
            both = zip(node.attribute[1].ints, first.attribute[1].ints, strict=True)
            node.attribute[1].ints[:] = [one * other for one, other in both]
            node.input[0] = first.input[0]
            gone.append(first)
    for node in gone:
        graph.node.remove(node)


def _is_stride(node: onnx.NodeProto) -> bool:
    """Whether the node is a max-pool as `pools_instead_of_strides` writes them."""
    names = [a.name for a in node.attribute] if node.op_type == "MaxPool" else []
    return names == ["kernel_shape", "strides"] and list(node.attribute[0].ints) == [1, 1]
