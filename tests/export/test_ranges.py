"""Range estimators: what they leave out, and that the layers' outputs gain by it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from moco.compression.precision import Bits
from moco.errors import CompressionError
from moco.export.bits import Scale
from moco.export.calibration import calibrate, features
from moco.export.code_graph import at_bits
from moco.export.quantize import codings, observed_tensors, quantizable_layers, quantize
from moco.export.ranges import ACTIVATION_RANGES, WEIGHT_SHARES, LayerErrors, RangeOptions, estimate
from moco.export.template import build_template
from tests.compression.toys import Chain, images, made
from tests.export.graphs import NETWORKS, compressor_of, expected, images_of, run, template_of

FOUR = Bits(4, 4)


@cache
def tiny_graph() -> onnx.ModelProto:
    return template_of("tiny A").render(compressor_of("tiny A").network)


def one_linear(weights: np.ndarray) -> onnx.ModelProto:
    """logits = input x weights^T; the layer is called `fc`."""
    outputs, inputs = weights.shape
    node = helper.make_node("Gemm", ["input", "fc.weight"], ["logits"], transB=1)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", inputs])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", outputs])],
        [numpy_helper.from_array(weights.astype(np.float32), "fc.weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.mark.parametrize("weights", WEIGHT_SHARES)
@pytest.mark.parametrize("activations", ACTIVATION_RANGES)
@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "mobilenet_v2"])
@pytest.mark.slow
def test_every_pair_of_estimators_gives_a_graph_that_runs(name: str, activations: str, weights: str) -> None:
    proto = template_of(name).render(compressor_of(name).network)
    layers = dict.fromkeys(quantizable_layers(proto), Bits(6, 6))
    options = RangeOptions(activations, weights)
    found = estimate(proto, layers, images_of(name, 20), options)
    coded = quantize(proto, layers, found.ranges, found.weight_shares)
    wanted = expected(compressor_of(name).network, images_of(name, 7))

    assert set(observed_tensors(proto, layers)) <= set(found.ranges)
    assert all(low <= 0 <= high or low < high for low, high in found.ranges.values())
    assert float(np.abs(run(coded, images_of(name, 7)) - wanted).max()) < 0.35 * float(np.ptp(wanted))


def test_minmax_and_max_abs_are_what_calibration_gives() -> None:
    layers = quantizable_layers(tiny_graph())
    plain = calibrate(tiny_graph(), observed_tensors(tiny_graph(), layers), images_of("tiny A", 37))
    found = estimate(tiny_graph(), layers, images_of("tiny A", 37))

    assert found.ranges == plain.ranges
    assert found.weight_shares == {}
    assert quantize(tiny_graph(), layers, found.ranges) == quantize(tiny_graph(), layers, plain.ranges)


def test_the_percentile_agrees_with_sorting_to_a_bin() -> None:
    layers = quantizable_layers(tiny_graph())
    options = RangeOptions("percentile", percentile=99.0, percentile_images=20)
    found, whole = (estimate(tiny_graph(), layers, images_of("tiny A", 40), o).ranges for o in (options, None))
    tensors = observed_tensors(tiny_graph(), layers)
    batches = list(features(tiny_graph(), tensors, images_of("tiny A", 40)[:20]))
    for tensor in tensors:
        values = np.concatenate([batch[tensor] for batch in batches])
        bin_width = (whole[tensor][1] - whole[tensor][0]) / 2048
        ends = np.quantile(values, [0.01, 0.99], method="inverted_cdf")
        np.testing.assert_allclose(found[tensor], ends, atol=1.01 * bin_width)
    assert found["input"][1] < whole["input"][1]


def test_a_percentile_of_100_is_the_whole_range() -> None:
    layers = quantizable_layers(tiny_graph())
    found = estimate(tiny_graph(), layers, images_of("tiny A", 16), RangeOptions("percentile", percentile=100))
    whole = estimate(tiny_graph(), layers, images_of("tiny A", 16))

    for tensor, ends in whole.ranges.items():
        np.testing.assert_allclose(found.ranges[tensor], ends, atol=(ends[1] - ends[0]) / 2000)


def test_an_outlier_that_no_output_sees_is_clipped_and_one_that_matters_is_not() -> None:
    rng = np.random.default_rng(0)
    data = rng.uniform(0, 1, (16, 8)).astype(np.float32)
    data[0, 7] = 4.0
    ranges = []
    for weight in (0.0, 1.0):
        weights = np.ones((2, 8), np.float32)
        weights[:, 7] = weight
        found = estimate(one_linear(weights), {"fc": FOUR}, data, RangeOptions("output_error"))
        ranges.append(found.ranges[at_bits("input", 4)][1])

    assert ranges[0] <= 1.2
    assert ranges[1] > 2 * ranges[0]


def test_weights_that_read_nothing_are_clipped_for_the_sake_of_the_others() -> None:
    # The largest weight of channel 0 reads zeros, that of channel 1 does not.
    weights = np.array([[0.1, 0.2, 0.3, 2.0], [2.0, 0.2, 0.3, 0.1]], np.float32)
    data = np.random.default_rng(1).uniform(0, 1, (16, 4)).astype(np.float32)
    data[:, 3] = 0
    found = estimate(one_linear(weights), {"fc": Bits(3, 8)}, data, RangeOptions(weights="output_error"))

    assert found.weight_shares["fc"][0] <= 0.25
    assert found.weight_shares["fc"][1] >= 0.8


def test_an_error_of_data_is_what_coding_the_layers_input_does() -> None:
    layer = nn.Conv2d(6, 8, 3, stride=2, padding=1, groups=2)
    network = made(Chain, nn.Sequential(nn.Conv2d(8, 6, 1), nn.ReLU(), layer))
    proto = build_template(network, images(2, side=8)).render(network)
    node = next(node for node in proto.graph.node if node.op_type == "Conv" and len(node.input) > 1 and any(
        a.name == "group" and a.i == 2 for a in node.attribute
    ))  # fmt: skip
    data, scale = np.random.default_rng(2).normal(size=(3, 6, 8, 8)).astype(np.float32), Scale.of(-1, 1, 3)
    with torch.no_grad():
        wanted, got = (layer(torch.from_numpy(x)) for x in (data, scale.values(scale.codes(data))))
        assert layer.bias is not None
        size = (wanted - layer.bias[:, None, None]).square().sum()
    found = LayerErrors(proto, [node, node]).of_data({node.input[0]: data}, [scale])

    assert found == pytest.approx(2 * float((got - wanted).square().sum() / size), rel=1e-3)


@pytest.mark.parametrize("bits", [2, 4])
def test_output_error_is_never_worse_than_the_whole_range_on_its_own_images(bits: int) -> None:
    layers = dict.fromkeys(quantizable_layers(tiny_graph()), Bits(bits, bits))
    found = estimate(tiny_graph(), layers, images_of("tiny A", 16), RangeOptions("output_error"))
    readers = {key: nodes for key, nodes in codings(tiny_graph(), layers).items() if nodes}
    tensors = [node.input[0] for nodes in readers.values() for node in nodes]
    values = next(features(tiny_graph(), tensors, images_of("tiny A", 16)))
    gains = 0
    for (tensor, taken), nodes in readers.items():
        errors = LayerErrors(tiny_graph(), nodes)
        chosen, full = (Scale.of(*found.ranges[name], taken) for name in (at_bits(tensor, taken), tensor))
        best, whole = errors.of_data(values, [chosen, full])
        assert best <= whole
        gains += best < whole

    assert gains >= len(readers) / 2


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"activations": "min_max"}, "ranges.activations: unknown estimator 'min_max'.*minmax"),
        ({"weights": "output_eror"}, "ranges.weights: unknown estimator 'output_eror'.*output_error"),
        ({"percentile": 50.0}, "ranges.percentile: expected more than 50"),
        ({"error_images": 0}, "at least one image"),
        ({"shares": (1.0, 0.0)}, "ranges.shares: expected numbers in"),
    ],
)
def test_options_that_make_no_sense_are_refused(changes: dict[str, object], text: str) -> None:
    with pytest.raises(CompressionError, match=text):
        replace(RangeOptions(), **changes)  # type: ignore[arg-type]
