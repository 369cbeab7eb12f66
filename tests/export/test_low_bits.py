"""Fewer than eight bits, as codes of int8 that stay in range."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from moco.compression.precision import Bits
from moco.errors import CompressionError
from moco.export.calibration import calibrate, open_session, outputs
from moco.export.code_graph import at_bits
from moco.export.quantize import codings, observed_tensors, quantize
from moco.export.rewrites import compact
from tests.export.graphs import (
    LARGE,
    images_of,
    optimized,
    quantized,
    run,
)
from tests.export.int8_graphs import LAYERS, float_of, initializers, inputs_of, worst

LOW = [Bits(8, 4), Bits(4, 8), Bits(4, 4), Bits(2, 3), Bits(1, 8), Bits(1, 1)]


def in_bits(name: str, layers: Mapping[str, Bits]) -> onnx.ModelProto:
    proto, batch = float_of(name), images_of(name, 32)
    return quantize(proto, layers, calibrate(proto, observed_tensors(proto, layers), batch).ranges)


def mixed(name: str, seed: int) -> dict[str, Bits]:
    rng = np.random.default_rng(seed)
    drawn = {layer: Bits(int(rng.integers(1, 9)), int(rng.integers(1, 9))) for layer in LAYERS[name]}
    return {layer: bits for layer, bits in drawn.items() if rng.random() < 0.8}


def activations_read(proto: onnx.ModelProto, batch: np.ndarray) -> dict[str, np.ndarray]:
    """By layer, what the runtime gives it to read: the graph is run with these tensors as further outputs."""
    weights = {
        node.output[0]: node.input[0].removesuffix(".weight_q")
        for node in proto.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0].removesuffix("1").endswith(".weight_q")
    }
    read = {weights[n.input[1]]: n.input[0] for n in proto.graph.node if len(n.input) > 1 and n.input[1] in weights}
    names = tuple(dict.fromkeys(read.values()))
    wide = onnx.ModelProto()
    wide.CopyFrom(proto)
    wide.graph.output.extend(onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    values = dict(zip(names, outputs(open_session(wide), batch)[1:], strict=True))
    return {layer: values[name] for layer, name in read.items()}


@pytest.mark.slow
def test_a_name_int8_and_eight_bits_are_the_same_to_the_byte() -> None:
    layers = LAYERS["tiny A"][::2]
    graphs = [
        quantized(float_of("tiny A"), layers, images_of("tiny A", 32)),
        quantized(float_of("tiny A"), dict.fromkeys(layers, "int8"), images_of("tiny A", 32)),  # type: ignore[arg-type]
        in_bits("tiny A", dict.fromkeys(layers, Bits(8, 8))),
    ]

    assert len({graph.SerializeToString(deterministic=True) for graph in graphs}) == 1
    assert not inputs_of(graphs[0], "Clip")


@pytest.mark.parametrize("bits", LOW, ids=lambda bits: f"w{bits.weights}a{bits.activations}")
@pytest.mark.parametrize("name", ["tiny A", "tiny B", "concat"])
def test_tensors_of_b_bits_take_at_most_2_to_the_b_values_in_the_file_and_on_the_runtime(name: str, bits: Bits) -> None:
    proto = in_bits(name, dict.fromkeys(LAYERS[name], bits))
    onnx.checker.check_model(proto, full_check=True)
    stored, read = initializers(proto), activations_read(proto, 3 * images_of(name, 9, seed=4))

    assert set(read) == set(LAYERS[name])
    for layer in LAYERS[name]:
        assert stored[f"{layer}.weight_q"].dtype == np.int8
        assert len(np.unique(stored[f"{layer}.weight_q"])) <= 2**bits.weights
        assert 1 < len(np.unique(read[layer])) <= 2**bits.activations


@pytest.mark.parametrize("seed", range(4))
def test_every_layer_reads_its_own_bits_whatever_its_neighbours_take(seed: int) -> None:
    layers = mixed("tiny A", seed)
    proto = in_bits("tiny A", layers)
    onnx.checker.check_model(proto, full_check=True)
    stored, read = initializers(proto), activations_read(proto, images_of("tiny A", 9, seed=4))

    assert set(read) == set(layers)
    for layer, bits in layers.items():
        assert len(np.unique(stored[f"{layer}.weight_q"])) <= 2**bits.weights
        assert len(np.unique(read[layer])) <= 2**bits.activations
    assert run(proto, images_of("tiny A", 3)).shape == (3, 10)


def test_a_tensor_is_written_at_the_most_bits_that_a_reader_takes_and_narrower_for_the_others() -> None:
    # conv1's output goes into layer1.0.conv1 and, by the shortcut, into an addition, which takes 8 bits.
    layers = {"conv1": Bits(8, 8), "layer1.0.conv1": Bits(4, 3), "layer1.0.conv2": Bits(4, 5)}
    found = codings(float_of("tiny A"), layers)
    read = {node.input[1].removesuffix(".weight"): key for key, nodes in found.items() for node in nodes}
    first, middle = read["layer1.0.conv1"][0], read["layer1.0.conv2"][0]

    assert read == {"conv1": ("input", 8), "layer1.0.conv1": (first, 3), "layer1.0.conv2": (middle, 5)}
    assert (first, 8) in found
    assert (middle, 8) not in found
    assert [bits for _, bits in found] == [8, 8, 3, 5, 8, 8]  # the last two: the block's end before and after the sum


def test_a_range_for_fewer_bits_goes_before_the_tensors_own() -> None:
    layers = {"conv1": Bits(8, 4)}
    proto = float_of("tiny A")
    ranges = {**dict.fromkeys(observed_tensors(proto, layers), (-1.0, 1.0)), at_bits("input", 4): (-0.5, 0.25)}
    read = activations_read(quantize(proto, layers, ranges), images_of("tiny A", 4))["conv1"]

    assert (read.min(), read.max()) == pytest.approx((-0.5, 0.25), abs=1e-6)


def test_weight_shares_scale_the_codes_of_their_channels() -> None:
    proto, layer = float_of("tiny A"), "layer1.0.conv1"
    ranges = dict.fromkeys(observed_tensors(proto, [layer]), (-1.0, 1.0))
    shares = np.linspace(0.3, 1, len(initializers(proto)[f"{layer}.weight"]))
    whole, shared = (quantize(proto, [layer], ranges, s) for s in (None, {layer: shares}))
    ratio = initializers(shared)[f"{layer}.weight_s"] / initializers(whole)[f"{layer}.weight_s"]

    np.testing.assert_allclose(ratio, shares, rtol=1e-6)


@pytest.mark.parametrize("name", ["tiny A", LARGE])
@pytest.mark.slow
def test_the_runtime_computes_few_bits_by_the_same_integer_kernels(name: str, tmp_path: Path) -> None:
    # A Clip of the floats, or Relu6 left before it, would leave most of MobileNetV2 in float (12 times slower).
    proto = in_bits(name, dict.fromkeys(LAYERS[name], Bits(4, 4)))
    seen = [node.op_type for node in optimized(proto, str(tmp_path / "seen.onnx")).graph.node]

    assert seen.count("QLinearConv") == len(inputs_of(proto, "Conv"))
    assert seen.count("QGemm") == len(inputs_of(proto, "Gemm"))
    assert seen.count("Clip") == len([clip for clip in inputs_of(proto, "Clip") if clip[2].startswith("top_code")]) > 5


@pytest.mark.slow
def test_relu6_bounds_its_codes_also_where_it_is_written_as_relu() -> None:
    name = "mobilenet_v2"
    proto = in_bits(name, dict.fromkeys(LAYERS[name], Bits(8, 5)))
    read = activations_read(proto, 5 * images_of(name, 3, seed=4))
    clips = sum(node.op_type == "Clip" for node in float_of(name).graph.node)

    assert sum(node.op_type == "Relu" for node in proto.graph.node) > clips / 2
    assert max(float(values.max()) for layer, values in read.items() if layer.endswith("1.0")) <= 6 * (1 + 1e-6)


def test_more_bits_are_closer_to_float_on_the_runtime() -> None:
    errors = [worst(in_bits("tiny A", dict.fromkeys(LAYERS["tiny A"], Bits(b, b))), "tiny A", images_of("tiny A", 7))
              for b in (2, 4, 6, 7)]  # fmt: skip

    # Of 8 bits nothing is said: without VNNI the runtime adds two products in 16 bits, which 8 bits may overflow.
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.05 < errors[0]


def test_compacting_keeps_low_bits_as_they_are() -> None:
    proto = in_bits("tiny A", mixed("tiny A", 1))
    before = run(proto, images_of("tiny A", 3))
    compact(proto)

    assert np.array_equal(run(proto, images_of("tiny A", 3)), before)


@pytest.mark.parametrize("bits", ["int4", 4, Bits(32, 32), None])
def test_bits_that_are_none_are_refused(bits: object) -> None:
    with pytest.raises(CompressionError, match="layer 'conv1': expected Bits of 1 to 8 or 'int8', got"):
        quantize(float_of("tiny A"), {"conv1": bits}, {})
