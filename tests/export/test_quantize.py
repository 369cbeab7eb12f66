"""Int8 as real quantize/dequantize nodes that the runtime fuses."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper
from torch import nn

from moco.compression.precision import Bits
from moco.compression.space.codec import cost_of
from moco.errors import CompressionError
from moco.export.bits import Scale
from moco.export.calibration import calibrate
from moco.export.quantize import observed_tensors, quantizable_layers, quantize
from moco.export.rewrites import compact
from moco.export.template import build_template
from moco.models.cifar_resnet import PadShortcut
from tests.compression.toys import Chain, images, made
from tests.export.graphs import (
    LARGE,
    NAMES,
    compressor_of,
    expected,
    images_of,
    optimized,
    pruned,
    quantized,
    run,
    template_of,
)
from tests.export.int8_graphs import LAYERS, float_of, initializers, inputs_of, worst
from tests.policies import policy_of
from tests.processors import exact_integers

INT8_ONLY = ["tiny A", "tiny B", "shared", LARGE]


@cache
def int8_of(name: str) -> onnx.ModelProto:
    return quantized(float_of(name), LAYERS[name], images_of(name, 32))


@pytest.mark.parametrize("name", NAMES)
def test_every_convolution_and_linear_layer_can_be_quantized(name: str) -> None:
    assert set(quantizable_layers(float_of(name))) == set(LAYERS[name])


@pytest.mark.parametrize("name", NAMES)
def test_codes_are_signed_for_weights_unsigned_for_activations_and_32_bit_for_biases(name: str) -> None:
    proto = int8_of(name)
    onnx.checker.check_model(proto, full_check=True)
    stored = initializers(proto)
    assert not [layer for layer in LAYERS[name] if f"{layer}.weight" in stored]
    for layer in LAYERS[name]:
        weights, scales = stored[f"{layer}.weight_q"], stored[f"{layer}.weight_s"]
        assert weights.dtype == np.int8
        assert scales.shape == (len(weights),)
        assert np.abs(weights.astype(int)).max() <= 127
        original = initializers(float_of(name))[f"{layer}.weight"]
        wide = scales.reshape(-1, *[1] * (weights.ndim - 1))
        assert np.all(np.abs(weights * wide - original) <= wide / 2 * 1.0001)
    for data, scale, zero in inputs_of(proto, "QuantizeLinear"):
        assert stored[zero].dtype == np.uint8, data
        assert stored[scale].shape == ()


@pytest.mark.parametrize("name", ["tiny A", "shared", LARGE])
def test_biases_have_the_product_of_both_scales(name: str) -> None:
    proto = int8_of(name)
    stored, found = initializers(proto), 0
    dequantized = {node.output[0]: list(node.input) for node in proto.graph.node if node.op_type == "DequantizeLinear"}
    for data, weight, bias in inputs_of(proto, "Conv") + inputs_of(proto, "Gemm"):
        codes, scales = (stored[n] for n in dequantized[bias])
        assert codes.dtype == np.int32
        product = stored[dequantized[data][1]] * stored[dequantized[weight][1]]
        np.testing.assert_allclose(scales, product, rtol=1e-6)
        found += 1
    assert found == len(compressor_of(name).counts.layers)  # a layer that is used twice has two biases


@given(st.floats(-1e4, 1e4), st.floats(0, 1e4), st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_activations_take_256_values_within_half_a_step_and_zero_is_exact(
    low: float, width: float, shares: list[float]
) -> None:
    scale = Scale.of(low, low + width)
    bottom, top = min(low, 0.0), max(low + width, 0.0)
    values = bottom + np.array(shares) * (top - bottom)
    codes = np.clip(np.rint(values / scale.scale) + scale.zero_point, 0, 255)
    decoded = (codes - scale.zero_point) * scale.scale

    assert 0 <= scale.zero_point <= 255
    assert scale.scale > 0
    assert np.all(np.abs(decoded - values) <= scale.scale * (0.5 + 1e-4) + 1e-12)
    assert (np.clip(np.rint(0.0 / scale.scale) + scale.zero_point, 0, 255) - scale.zero_point) * scale.scale == 0.0


def test_the_range_ends_where_the_codes_end() -> None:
    assert Scale.of(0.0, 255.0) == Scale(1.0, 0)
    assert Scale.of(-255.0, 0.0) == Scale(1.0, 255)
    assert Scale.of(3.0, 255.0) == Scale(1.0, 0)  # widened to hold zero
    assert Scale.of(0.0, 0.0) == Scale(1.0, 0)


@given(st.integers(0, 2**32 - 1))
def test_the_runtimes_own_codes_are_those_of_the_scale(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scale = Scale.of(float(rng.normal()), float(rng.normal() + 2))
    node = onnx.helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"])
    graph = onnx.helper.make_graph(
        [node],
        "g",
        [onnx.helper.make_tensor_value_info("x", TensorProto.FLOAT, [9])],
        [onnx.helper.make_tensor_value_info("y", TensorProto.UINT8, [9])],
        [
            numpy_helper.from_array(np.asarray(np.float32(scale.scale)), "s"),
            numpy_helper.from_array(np.asarray(np.uint8(scale.zero_point)), "z"),
        ],
    )
    x = rng.normal(size=9).astype(np.float32)
    codes = onnx.reference.ReferenceEvaluator(onnx.helper.make_model(graph)).run(None, {"x": x})[0]

    np.testing.assert_array_equal(codes, np.clip(np.rint(x / np.float32(scale.scale)) + scale.zero_point, 0, 255))


@exact_integers
@pytest.mark.parametrize("name", NAMES)
def test_any_subset_of_layers_gives_a_valid_graph_close_to_float(name: str) -> None:
    rng = np.random.default_rng(7)
    calibration = images_of(name, 32)
    for _ in range(3 if name == "mobilenet_v2" else 12):
        layers = [layer for layer in LAYERS[name] if rng.random() < rng.random()]
        proto = quantized(float_of(name), layers, calibration)
        onnx.checker.check_model(proto, full_check=True)

        assert {n.removesuffix(".weight_q") for n in initializers(proto) if n.endswith(".weight_q")} == set(layers)
        assert worst(proto, name, images_of(name, 7)) < (0.12 if name == "mobilenet_v2" else 0.04)


@exact_integers
@pytest.mark.parametrize("name", NAMES)
def test_all_layers_of_a_pruned_network_in_int8_stay_close_to_it(name: str) -> None:
    thin = pruned(name, 2)
    proto = quantized(template_of(name).render(thin), LAYERS[name], images_of(name, 32))
    batch = images_of(name, 7)
    wanted = expected(thin, batch)

    onnx.checker.check_model(proto, full_check=True)
    assert float(np.abs(run(proto, batch) - wanted).max()) < 0.1 * float(np.ptp(wanted)) + 0.02


@exact_integers
def test_every_single_layer_alone_in_int8_stays_close_to_float() -> None:
    for layer in LAYERS["tiny A"]:
        proto = quantized(float_of("tiny A"), [layer], images_of("tiny A", 32))
        assert 0 < worst(proto, "tiny A", images_of("tiny A", 7)) < 0.03


def test_no_layer_leaves_the_graph_as_it_is() -> None:
    proto = float_of("tiny A")

    assert observed_tensors(proto, ()) == ()
    assert quantize(proto, (), {}).SerializeToString(deterministic=True) == proto.SerializeToString(deterministic=True)


@pytest.mark.parametrize("name", INT8_ONLY)
def test_the_runtime_fuses_every_int8_convolution(name: str, tmp_path: Path) -> None:
    proto = int8_of(name)
    convolutions = len(inputs_of(proto, "Conv"))
    seen = [node.op_type for node in optimized(proto, str(tmp_path / "seen.onnx")).graph.node]

    assert convolutions >= 2
    assert seen.count("QLinearConv") == convolutions
    assert not {"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "Add"} & set(seen)
    assert seen.count("QGemm") == len(inputs_of(proto, "Gemm"))
    if name != "shared":  # its factor of 3 is no operator on codes
        assert seen.count("QuantizeLinear") == 1  # the image; everything after it stays in codes


def test_the_shortcut_and_the_sum_stay_in_codes(tmp_path: Path) -> None:
    seen = [node.op_type for node in optimized(int8_of("tiny A"), str(tmp_path / "seen.onnx")).graph.node]

    assert seen.count("QLinearAdd") == 4
    assert seen.count("QLinearGlobalAveragePool") == 1
    assert seen.count("DequantizeLinear") == 0


def test_zeros_that_are_padded_on_codes_are_zeros_also_where_values_are_negative() -> None:
    middle = nn.Sequential(nn.Conv2d(8, 8, 1), PadShortcut(8, 12, 2), nn.Conv2d(12, 8, 1))
    network = made(Chain, middle)
    example, batch = images(2, side=8), images(32, side=8, seed=3).numpy()
    proto = build_template(network, example).render(network)
    int8 = quantized(proto, quantizable_layers(proto), batch)
    padded = [node for node in int8.graph.node if node.op_type == "Pad"]
    wanted = expected(network, batch)

    assert len(padded) == 1
    assert initializers(int8)[padded[0].input[2]] > 50  # a zero point within the codes
    assert float(np.abs(run(int8, batch) - wanted).max()) < 0.05 * float(np.ptp(wanted))


@pytest.mark.slow
def test_a_compacted_int8_graph_gives_the_very_same_and_is_a_third_of_the_size() -> None:
    proto = onnx.ModelProto()
    proto.CopyFrom(int8_of("mobilenet_v2"))
    batch = images_of("mobilenet_v2", 3)
    before = run(proto, batch)
    compact(proto)

    assert np.array_equal(run(proto, batch), before)
    assert proto.ByteSize() < 0.34 * float_of("mobilenet_v2").ByteSize()


@pytest.mark.parametrize("broken", [None, (float("nan"), 1.0), (0.0, float("inf"))])
def test_a_missing_or_broken_range_is_named(broken: tuple[float, float] | None) -> None:
    proto = float_of("tiny A")
    tensors = observed_tensors(proto, LAYERS["tiny A"])
    ranges: dict[str, tuple[float, float]] = dict.fromkeys(tensors, (-1.0, 1.0))
    del ranges[tensors[3]]
    if broken is not None:
        ranges[tensors[3]] = broken
    with pytest.raises(CompressionError, match=f"no finite range of tensor '{tensors[3]}'"):
        quantize(proto, LAYERS["tiny A"], ranges)


def test_an_unknown_layer_is_refused() -> None:
    with pytest.raises(CompressionError, match="layer 'layer9' is no convolution or linear layer"):
        quantize(float_of("tiny A"), ["conv1", "layer9"], {})


def test_only_the_tensors_of_quantized_layers_are_observed() -> None:
    proto = float_of("tiny A")

    assert set(observed_tensors(proto, ["conv1"])) < set(observed_tensors(proto, LAYERS["tiny A"]))
    assert observed_tensors(proto, ["conv1"])[0] == "input"


def with_weight(proto: onnx.ModelProto, values: Mapping[str, float]) -> onnx.ModelProto:
    changed = onnx.ModelProto()
    changed.CopyFrom(proto)
    for tensor in changed.graph.initializer:
        if tensor.name in values:
            array = numpy_helper.to_array(tensor).copy()
            array.flat[0] = values[tensor.name]
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return changed


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("layer", ["conv1", "layer2.0.conv2", "linear"])
def test_a_network_that_gives_nan_or_inf_is_refused_before_its_codes_are_written(layer: str, value: float) -> None:
    proto = with_weight(float_of("tiny A"), {f"{layer}.weight": value})
    with pytest.raises(CompressionError, match="not finite on the calibration images"):
        calibrate(proto, observed_tensors(proto, LAYERS["tiny A"]), images_of("tiny A", 8))


def test_no_calibration_images_are_refused() -> None:
    with pytest.raises(CompressionError, match="expected at least one image, got none"):
        calibrate(float_of("tiny A"), ("input",), images_of("tiny A", 8)[:0])


def test_ranges_are_the_lowest_and_highest_values_over_all_batches() -> None:
    proto, batch = float_of("tiny A"), images_of("tiny A", 37)
    found = calibrate(proto, observed_tensors(proto, LAYERS["tiny A"]), batch)
    wanted = expected(compressor_of("tiny A").network, batch)

    assert found.ranges["input"] == (batch.min(), batch.max())
    np.testing.assert_allclose(found.logits, wanted[:16], rtol=1e-3, atol=1e-4)
    relus = [node.output[0] for node in proto.graph.node if node.op_type == "Relu"]
    assert all(found.ranges[name][0] == 0 for name in relus if name in found.ranges)
    assert all(low <= high for low, high in found.ranges.values())


def test_a_graph_that_the_runtime_refuses_is_named() -> None:
    proto = onnx.ModelProto()
    proto.CopyFrom(float_of("tiny A"))
    proto.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(CompressionError, match="the exported graph is not valid"):
        run(proto, images_of("tiny A", 1))


class Padded(nn.Module):
    """A pad between two convolutions, read by a maximum or a mean."""

    def __init__(self, value: float, pool: nn.Module) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 1), nn.Linear(6, 5)
        self.value, self.pool = value, pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.pad(self.first(x), (1, 2, 1, 2), value=self.value)
        return self.head(torch.relu(self.second(self.pool(x))).mean((2, 3)))


@exact_integers
@pytest.mark.parametrize(
    ("value", "pool", "in_codes"),
    [
        (0.0, nn.AvgPool2d(3, 2), True),
        (-3.0, nn.AvgPool2d(3, 2), False),
        (2.5, nn.MaxPool2d(3, 2), False),
        (-np.inf, nn.MaxPool2d(3, 2), False),
    ],
)
def test_a_pad_keeps_its_constant(value: float, pool: nn.Module, in_codes: bool) -> None:
    network, example = made(Padded, value, pool), images(2, side=8)
    network.first.bias.data -= 1  # type: ignore[union-attr, operator]
    proto, batch = build_template(network, example).render(network), images(32, side=8).numpy()
    int8, wanted = quantized(proto, quantizable_layers(proto), batch), expected(network, batch)
    written = {node.output[0] for node in int8.graph.node if node.op_type == "QuantizeLinear"}
    (pad,) = (node for node in int8.graph.node if node.op_type == "Pad")

    assert (pad.input[0] in written) == in_codes
    assert np.abs(run(int8, batch) - wanted).max() < 0.05 * np.ptp(wanted)


@pytest.mark.parametrize("name", ["tiny B", LARGE])
def test_the_packed_size_is_that_of_the_codes_and_scales_in_the_file(name: str) -> None:
    """Besides them, only what the policy leaves in floats: biases, and batch-norms, which the file has folded."""
    layers, costs = LAYERS[name], compressor_of(name).costs
    found = initializers(quantized(float_of(name), layers, images_of(name, 8)))
    stored = sum(found[f"{layer}.weight_q"].nbytes + found[f"{layer}.weight_s"].nbytes for layer in layers)
    whole, coded = costs.of({}), cost_of(costs, policy_of({}, dict.fromkeys(layers, Bits(8, 8))))
    floats = 4 * sum(costs.weights(layer, {}) for layer in layers)

    assert coded["packed_size_mb"] * 1e6 == pytest.approx(whole["packed_size_mb"] * 1e6 - floats + stored)
