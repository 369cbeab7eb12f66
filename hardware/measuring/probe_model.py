"""A network made on the spot, for checks of a target that must need neither torch nor a trained network."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from moco.interfaces import Artifact
from moco.randomness import generator

OPSET, IR_VERSION = 17, 8
CLASSES = 10


def conv_stack(layers: int = 20, width: int = 32, image: tuple[int, int, int] = (3, 16, 16)) -> onnx.ModelProto:
    """A chain of 3x3 convolutions with ReLU, pooling and a linear head, in the form of moco's files.

    All convolutions of `width` channels but the first cost the same, so one more changes the time by a known share;
    `image` is (channels, height, width).
    """
    weights, nodes, rng = list[TensorProto](), [], generator(0, "probe model")
    name, channels = "input", image[0]
    for layer in range(layers):
        scale = np.sqrt(2 / (9 * channels))
        kernel = (rng.standard_normal((width, channels, 3, 3)) * scale).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"w{layer}"))
        nodes.append(helper.make_node("Conv", [name, f"w{layer}"], [f"c{layer}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]))
        name, channels = f"r{layer}", width
    head = (rng.standard_normal((channels, CLASSES)) / np.sqrt(channels)).astype(np.float32)
    weights.append(numpy_helper.from_array(head, "head"))
    nodes.append(helper.make_node("GlobalAveragePool", [name], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"]))
    nodes.append(helper.make_node("MatMul", ["flat", "head"], ["logits"]))
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", *image])]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])]
    graph = helper.make_graph(nodes, "probe", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def write(model: onnx.ModelProto, path: Path) -> Artifact:
    """The file with that model, written to `path`."""
    path.write_bytes(model.SerializeToString())
    return artifact(path)


def artifact(path: Path) -> Artifact:
    """The artefact that a file is."""
    content = path.read_bytes()
    return Artifact(path, hashlib.sha256(content).hexdigest(), len(content))
