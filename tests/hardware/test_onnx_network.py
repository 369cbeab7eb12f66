"""A file as a torch module: the operators against ONNX Runtime, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from moco.errors import MeasurementError
from moco.hardware.measuring.probe_model import conv_stack
from moco.hardware.onnx_network.network import OPERATORS, Network
from tests.compression.toys import images, seeded
from tests.export.graphs import LARGE, NAMES, images_of
from tests.export.int8_graphs import LAYERS, float_of
from tests.export.test_quantize import int8_of

IMAGE = (4, 7, 9)
BATCH = 3


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def one_operator(
    operator: str, constants: Sequence[np.ndarray | None] = (), opset: int = 20, **attributes: Any
) -> onnx.ModelProto:
    """A file whose images go through that operator and are then averaged to logits."""
    names = ["" if array is None else f"k{i}" for i, array in enumerate(constants)]
    stored = [numpy_helper.from_array(a, n) for a, n in zip(constants, names, strict=True) if a is not None]
    nodes = [
        helper.make_node(operator, ["input", *names], ["y"], **attributes),
        helper.make_node("Cast", ["y"], ["z"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["z"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", *IMAGE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", None])],
        stored,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def on_runtime(model: onnx.ModelProto, batch: np.ndarray) -> np.ndarray:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    logits: np.ndarray = session.run(["logits"], {"input": batch})[0]
    return logits


def on_torch(model: onnx.ModelProto, batch: np.ndarray) -> np.ndarray:
    module = Network.read(model.SerializeToString()).module(len(batch))
    with torch.inference_mode():
        logits: np.ndarray = module(torch.from_numpy(batch)).numpy()
    return logits


def assert_same(model: onnx.ModelProto, batch: np.ndarray) -> None:
    expected, found = on_runtime(model, batch), on_torch(model, batch)
    assert float(np.abs(expected).max()) > 0
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * float(np.abs(expected).max()))
    assert np.array_equal(found.argmax(1), expected.argmax(1))


ONE = {
    "conv with stride, groups and dilation": one_operator(
        "Conv", [drawn(6, 2, 3, 3), drawn(6)], group=2, strides=[2, 1], dilations=[1, 2], pads=[1, 2, 1, 2]
    ),
    "conv padded on one side": one_operator("Conv", [drawn(6, 4, 2, 3)], pads=[0, 1, 1, 0]),
    "conv with SAME_UPPER": one_operator("Conv", [drawn(6, 4, 2, 3)], auto_pad="SAME_UPPER", strides=[2, 2]),
    "conv with SAME_LOWER": one_operator("Conv", [drawn(6, 4, 2, 3)], auto_pad="SAME_LOWER", strides=[2, 2]),
    "conv transposed": one_operator("ConvTranspose", [drawn(4, 5, 3, 3)], strides=[2, 2], pads=[1, 1, 1, 1]),
    "max pool": one_operator("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "max pool that ends within": one_operator("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "max pool padded on one side": one_operator("MaxPool", kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 1, 1]),
    "average pool": one_operator("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "average pool that counts padding": one_operator(
        "AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1
    ),
    "average pool padded on one side": one_operator("AveragePool", kernel_shape=[2, 2], pads=[0, 0, 1, 1]),
    "global max pool": one_operator("GlobalMaxPool"),
    "batch norm": one_operator("BatchNormalization", [drawn(4), drawn(4), drawn(4), np.abs(drawn(4)) + 0.5]),
    "layer norm": one_operator("LayerNormalization", [drawn(7, 9), drawn(7, 9)], axis=2),
    "instance norm": one_operator("InstanceNormalization", [drawn(4), drawn(4)]),
    "group norm": one_operator("GroupNormalization", [drawn(4), drawn(4)], opset=21, num_groups=2),
    "matrix product": one_operator("MatMul", [drawn(9, 5)]),
    "clip": one_operator("Clip", [np.float32(-0.3), np.float32(0.5)]),
    "clip above only": one_operator("Clip", [None, np.float32(0.5)]),
    "hard sigmoid": one_operator("HardSigmoid"),
    "hard sigmoid of a sixth": one_operator("HardSigmoid", alpha=1 / 6),
    "hard swish": one_operator("HardSwish"),
    "gelu": one_operator("Gelu"),
    "gelu by tanh": one_operator("Gelu", approximate="tanh"),
    "leaky relu": one_operator("LeakyRelu", alpha=0.2),
    "slopes": one_operator("PRelu", [drawn(4, 1, 1)]),
    "elu": one_operator("Elu", alpha=0.7),
    "softmax": one_operator("Softmax", axis=1),
    "power": one_operator("Pow", [np.float32(2.0)]),
    "maximum": one_operator("Max", [drawn(4, 1, 1)]),
    "mean": one_operator("ReduceMean", [ints(1, 3)]),
    "mean of older files": one_operator("ReduceMean", opset=13, axes=[2], keepdims=0),
    "sum over all": one_operator("ReduceSum", [ints(1, 2, 3)]),
    "norm": one_operator("ReduceL2", [ints(1)]),
    "transposed": one_operator("Transpose", perm=[0, 3, 1, 2]),
    "reshaped": one_operator("Reshape", [ints(0, 2, -1)]),
    "axis put in": one_operator("Unsqueeze", [ints(1, -1)]),
    "cut": one_operator("Slice", [ints(5, 1), ints(-100, 7), ints(2, 3), ints(-2, 3)]),
    "gathered": one_operator("Gather", [ints(2, -1, 0)], axis=1),
    "gathered by a matrix": one_operator("Gather", [ints(2, -1, 0, 1).reshape(2, 2)], axis=2),
    "one gathered": one_operator("Gather", [np.int64(-2)], axis=3),
    "padded": one_operator("Pad", [ints(0, 1, 0, 2, 0, 3, 1, 0), np.float32(0.7)]),
    "padded by axes": one_operator("Pad", [ints(1, 2), None, ints(1)]),
    "padded by mirroring": one_operator("Pad", [ints(0, 0, 1, 2, 0, 0, 2, 1)], mode="reflect"),
    "tiled": one_operator("Tile", [ints(1, 2, 1, 1)]),
    "triangle": one_operator("Trilu", [np.int64(1)], upper=0),
    "depth to space": one_operator("DepthToSpace", blocksize=2),
    "resized by linear mixing": one_operator("Resize", [None, None, ints(3, 4, 14, 12)], mode="linear"),
    "resized by the nearest": one_operator(
        "Resize",
        [None, np.array([1, 1, 2, 2], np.float32)],
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    ),
    "codes": one_operator("QuantizeLinear", [np.float32(0.02), np.uint8(100)]),
    "codes by channel": one_operator(
        "QuantizeLinear", [np.array([0.01, 0.02, 0.03, 0.04], np.float32), np.zeros(4, np.int8)], axis=1
    ),
}


@pytest.mark.parametrize("case", ONE)
def test_an_operator_computes_what_it_does_on_onnx_runtime(case: str) -> None:
    assert_same(ONE[case], drawn(BATCH, *IMAGE))


@pytest.mark.parametrize("name", NAMES)
def test_an_exported_network_gives_the_logits_of_onnx_runtime(name: str) -> None:
    assert_same(float_of(name), images_of(name, 5))


@pytest.mark.parametrize("name", ["tiny A", "concat", LARGE])
def test_integer_files_are_emulated(name: str) -> None:
    assert LAYERS[name]
    batch = images_of(name, 16)
    expected, found = on_runtime(int8_of(name), batch), on_torch(int8_of(name), batch)
    np.testing.assert_allclose(found, expected, atol=0.05 * float(np.abs(expected).max()))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v3_small", "efficientnet_b0", "densenet121", "vit_b_16", "swin_t"])
def test_published_networks_give_the_logits_of_onnx_runtime(name: str) -> None:
    from moco.export.template import build_template

    network = seeded(name, num_classes=10)
    for layer in network.modules():
        if isinstance(layer, torch.nn.Linear):  # the last layer of some is all zero
            torch.nn.init.normal_(layer.weight, std=0.05)
    side = 224
    proto = build_template(network, images(2, side=side)).render(network)
    assert_same(proto, images(2, side=side).numpy())


def test_what_follows_from_weights_and_shapes_is_computed_once() -> None:
    module = Network.read(int8_of("tiny A").SerializeToString()).module(2)
    weights = [node for node in module.graph.nodes if node.target is torch.conv2d]
    assert weights
    assert all(node.args[1].op == "get_attr" for node in weights)  # dequantized already


def test_weights_are_shared_by_all_sizes_of_batch_and_need_no_gradient() -> None:
    network = Network.read(float_of("tiny A").SerializeToString())
    first, second = (dict(network.module(n).named_buffers()) for n in (1, 2))
    kernels = {tensor.data_ptr() for tensor in first.values() if tensor.dim() == 4}
    assert kernels
    assert kernels == {tensor.data_ptr() for tensor in second.values() if tensor.dim() == 4}
    assert not any(tensor.requires_grad for tensor in first.values())


def refused(model: onnx.ModelProto) -> str:
    with pytest.raises(MeasurementError) as found:
        Network.read(model.SerializeToString()).module(1)
    assert "\n" not in str(found.value)
    return str(found.value)


def test_unknown_operators_are_all_named_before_anything_runs() -> None:
    model = conv_stack(layers=2, width=4)
    model.graph.node[0].op_type, model.graph.node[1].op_type = "Convolve", "Bend"
    with pytest.raises(MeasurementError, match="no function of torch is known for Bend, Convolve"):
        Network.read(model.SerializeToString())


def test_an_operator_of_another_domain_is_not_taken_for_onnx_s() -> None:
    model = conv_stack(layers=1, width=4)
    model.graph.node[0].domain = "com.example"
    assert "com.example.Conv" in refused(model)


def test_operators_of_an_old_version_are_refused() -> None:
    model = conv_stack(layers=1, width=4)
    model.opset_import[0].version = 9
    assert "version 13 or later, got 9" in refused(model)


def test_an_attribute_that_is_not_known_is_told_with_its_operator() -> None:
    assert "Relu of 'y'" in refused(one_operator("Relu", strength=2))


def test_an_output_that_is_not_given_is_refused() -> None:
    model = one_operator("MaxPool", kernel_shape=[2, 2])
    model.graph.node[0].output.append("places")
    assert "MaxPool" in refused(model)


def test_sizes_that_follow_from_an_image_s_content_are_refused() -> None:
    model = one_operator("Relu")
    model.graph.node[0].CopyFrom(helper.make_node("Cast", ["input"], ["ints"], to=TensorProto.INT64))
    model.graph.node.insert(1, helper.make_node("Flatten", ["ints"], ["flat"], axis=0))
    model.graph.node.insert(2, helper.make_node("Squeeze", ["flat"], ["sizes"]))
    model.graph.node.insert(3, helper.make_node("Reshape", ["input", "sizes"], ["y"]))
    assert "do not depend on an image's content" in refused(model)


def test_every_operator_of_the_table_is_one_of_onnx() -> None:
    assert set(OPERATORS) <= {schema.name for schema in onnx.defs.get_all_schemas()}
