"""Ranges of a float graph's tensors over the calibration images, found by the runtime itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from moco.errors import CompressionError
from moco.export.template import INPUT

Runner = Callable[[bytes, np.ndarray], list[np.ndarray]]
"""Runs a serialized ONNX model on images and gives all its outputs."""

BATCH = 64


def calibrated_ranges(
    proto: onnx.ModelProto, tensors: Sequence[str], images: np.ndarray, run: Callable[[bytes], Callable[..., list[np.ndarray]]]
) -> dict[str, tuple[float, float]]:
    """Lowest and highest value of each tensor over the images (n, channels, height, width).

    The minima and maxima are computed inside the graph, so that no feature map leaves the runtime.

    Raises:
        CompressionError: there are no images, or a tensor is not finite on them.
    """
    if not len(images):
        raise CompressionError("calibration: expected at least one image, got none; see data.splits.calibration")
    inner = [name for name in tensors if name != INPUT]
    ranges = {INPUT: (float(images.min()), float(images.max()))}
    if inner:
        forward = run(_with_extremes(proto, inner).SerializeToString())
        batches = [forward(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
        extremes = np.asarray([[float(value) for value in batch] for batch in batches])  # (batches, 2 * tensors)
        for index, name in enumerate(inner):
            ranges[name] = (float(extremes[:, 2 * index].min()), float(extremes[:, 2 * index + 1].max()))
    for name, bounds in ranges.items():
        if not np.all(np.isfinite(bounds)):
            raise CompressionError(f"calibration: tensor '{name}' is not finite on the calibration images")
    return ranges


def _with_extremes(proto: onnx.ModelProto, tensors: Sequence[str]) -> onnx.ModelProto:
    extended = onnx.ModelProto()
    extended.CopyFrom(proto)
    graph = extended.graph
    del graph.output[:]
    relu_outputs = {node.output[0] for node in graph.node if node.op_type == "Relu"}
    graph.initializer.append(numpy_helper.from_array(np.float32(0), "moco_zero"))
    for index, name in enumerate(tensors):
        if name in relu_outputs:  # its minimum needs no pass over the map
            graph.node.append(helper.make_node("Identity", ["moco_zero"], [f"low{index}"]))
        else:
            graph.node.append(helper.make_node("ReduceMin", [name], [f"low{index}"], keepdims=0))
        graph.node.append(helper.make_node("ReduceMax", [name], [f"high{index}"], keepdims=0))
        graph.output.extend(helper.make_tensor_value_info(f"{end}{index}", TensorProto.FLOAT, []) for end in ("low", "high"))
    return extended
