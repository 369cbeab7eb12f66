"""Ranges of a float graph's tensors over the calibration images, found by the runtime itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from moco.errors import CompressionError
from moco.export.template import INPUT, OUTPUT

BATCH = 16  # small enough for the feature maps to stay in the processor's cache: 64 images took twice as long


@dataclass(frozen=True)
class Calibration:
    """What the calibration images show."""

    # lowest and highest value by tensor, or by what an estimator of moco/export/ranges.py puts for them
    ranges: dict[str, tuple[float, float]]
    logits: np.ndarray  # of the float graph for the first images, (at most 16, classes)
    # by layer, the scale of each channel (channels,) as a share of the one that clips nothing
    weight_shares: Mapping[str, np.ndarray] = field(default_factory=dict)


def calibrate(proto: onnx.ModelProto, tensors: Sequence[str], images: np.ndarray) -> Calibration:
    """Ranges of the tensors over the images (n, channels, height, width).

    The minima and maxima are computed inside the graph, so that no feature map leaves the runtime. No images, a graph
    that does not run on them, and a tensor that is not finite on them are a CompressionError.
    """
    if not len(images):
        raise CompressionError("calibration: expected at least one image, got none; see data.splits.calibration")
    inner = [name for name in tensors if name != INPUT]
    session = open_session(_with_extremes(proto, inner))
    batches = [outputs(session, images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    ranges = {INPUT: (float(images.min()), float(images.max()))}
    for index, name in enumerate(inner):
        lows, highs = ([float(batch[1 + 2 * index + end]) for batch in batches] for end in (0, 1))
        ranges[name] = (min(lows), max(highs))
    for name, values in (*ranges.items(), (OUTPUT, batches[0][0])):
        if not np.all(np.isfinite(values)):
            raise CompressionError(f"calibration: tensor '{name}' is not finite on the calibration images")
    return Calibration(ranges, np.asarray(batches[0][0]))


def features(proto: onnx.ModelProto, tensors: Sequence[str], images: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    """The tensors' values (n, ...) by name, of at most 16 images at a time; fails as `outputs` does."""
    inner = [name for name in tensors if name != INPUT]
    extended = deepcopy(proto)
    del extended.graph.output[:]
    extended.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in inner)
    session = open_session(extended) if inner else None
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        found = dict(zip(inner, outputs(session, batch), strict=True)) if session is not None else {}
        yield {**found, INPUT: batch}


def open_session(proto: onnx.ModelProto) -> ort.InferenceSession:
    """The graph on ONNX Runtime with one thread, whatever the target is: for calibration and parity checks.

    A graph that the runtime refuses is a CompressionError with its reason.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's exceptions share no base but this
        raise CompressionError(f"the exported graph is not valid: {str(error).splitlines()[0]}") from error


def outputs(session: ort.InferenceSession, images: np.ndarray) -> list[Any]:
    """All outputs of the graph for images (n, channels, height, width); a CompressionError where it does not run."""
    try:
        return list(session.run(None, {INPUT: images}))
    except Exception as error:  # of any class; the graph may hold a width that a candidate has not, for example
        raise CompressionError(f"the exported graph does not run: {str(error).splitlines()[0]}") from error


def _with_extremes(proto: onnx.ModelProto, tensors: Sequence[str]) -> onnx.ModelProto:
    extended = deepcopy(proto)
    graph = extended.graph
    del graph.output[1:]
    relu_outputs = {node.output[0] for node in graph.node if node.op_type == "Relu"}
    graph.initializer.append(numpy_helper.from_array(np.zeros((), np.float32), "moco_zero"))
    for index, name in enumerate(tensors):
        if name in relu_outputs:  # its minimum needs no pass over the map
            graph.node.append(helper.make_node("Identity", ["moco_zero"], [f"low{index}"]))
        else:
            graph.node.append(helper.make_node("ReduceMin", [name], [f"low{index}"], keepdims=0))
        graph.node.append(helper.make_node("ReduceMax", [name], [f"high{index}"], keepdims=0))
        graph.output.extend(
            helper.make_tensor_value_info(f"{end}{index}", TensorProto.FLOAT, []) for end in ("low", "high")
        )
    return extended
