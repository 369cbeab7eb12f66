"""moco's int8 files as floats with what their codes span: needs neither LiteRT nor its converter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from moco.compression.precision import Bits
from moco.errors import MeasurementError
from moco.export.calibration import calibrate
from moco.export.quantize import observed_tensors, quantize
from moco.export.static_quantization import statically_quantized
from moco.hardware.litert_converter.floats import floated
from moco.hardware.measuring.probe_model import write
from tests.export.graphs import images_of, quantized, run
from tests.export.int8_graphs import LAYERS, float_of, initializers

NAMES = ("tiny A", "tiny B", "concat", "shared")


@pytest.mark.parametrize("name", NAMES)
def test_what_codes_span_is_what_was_calibrated(name: str) -> None:
    proto, layers = float_of(name), LAYERS[name]
    calibration = calibrate(proto, observed_tensors(proto, layers), images_of(name, 16))
    floats = floated(quantize(proto, layers, calibration.ranges))
    assert set(calibration.ranges) <= set(floats.ranges)
    for tensor, (low, high) in calibration.ranges.items():
        lowest, highest = floats.ranges[tensor]
        step = (highest - lowest) / 255
        assert lowest == pytest.approx(min(low, 0), abs=step)
        assert highest == pytest.approx(max(high, 0), abs=step)


@pytest.mark.parametrize("name", NAMES)
def test_the_float_network_has_the_weights_that_the_codes_mean_and_no_codes(name: str) -> None:
    proto = float_of(name)
    made = quantized(proto, LAYERS[name], images_of(name, 16))
    floats = floated(made)
    kinds = {node.op_type for node in floats.model.graph.node}
    assert not kinds & {"QuantizeLinear", "DequantizeLinear"}
    images = images_of(name, 8, 3)
    wanted = run(proto, images)
    # Weights alone are rounded, so it lies nearer to the float network than what computes in codes throughout.
    assert 0 < np.abs(run(floats.model, images) - wanted).max() < 0.05 * np.ptp(wanted)
    codes = [value for key, value in initializers(made).items() if key.endswith(".weight_q")]
    sizes = {value.size for value in floats.weights.values() if value.ndim > 1}  # a shared one may be there twice
    assert sizes == {code.size for code in codes}


def test_codes_that_are_moved_span_what_they_did() -> None:
    made = quantized(float_of("tiny A"), LAYERS["tiny A"], images_of("tiny A", 16))
    coded = {node.output[0] for node in made.graph.node if node.op_type == "QuantizeLinear"}
    moved = [node for node in made.graph.node if node.op_type == "Pad" and node.input[0]]
    assert moved, "option A pads its shortcuts"
    assert coded
    floats = floated(made)
    before = {node.output[0]: node.input[0] for node in floats.model.graph.node if node.op_type in {"Pad", "Slice"}}
    assert before
    for after, source in before.items():
        assert floats.ranges[after] == floats.ranges[source]


def test_a_file_in_floats_stays_as_it_is() -> None:
    proto = float_of("tiny B")
    floats = floated(proto)
    assert not floats.ranges
    assert not floats.weights
    np.testing.assert_array_equal(run(floats.model, images_of("tiny B", 4)), run(proto, images_of("tiny B", 4)))


def test_layers_in_floats_keep_their_weights() -> None:
    proto, [first, *_] = float_of("tiny A"), LAYERS["tiny A"]
    floats = floated(quantized(proto, [first], images_of("tiny A", 16)))
    kept, before = initializers(floats.model), initializers(proto)
    others = [name for name in before if name.endswith(".weight") and not name.startswith(f"{first}.")]
    assert others
    for name in others:
        np.testing.assert_array_equal(kept[name], before[name])


def test_codes_of_fewer_bits_are_refused() -> None:
    proto, bits = float_of("tiny A"), dict.fromkeys(LAYERS["tiny A"], Bits(4, 4))
    made = quantize(proto, bits, calibrate(proto, observed_tensors(proto, bits), images_of("tiny A", 16)).ranges)
    with pytest.raises(MeasurementError, match="only float32 and int8 can be converted"):
        floated(made)


def test_a_tensor_in_codes_of_two_scales_is_refused() -> None:
    made = quantized(float_of("tiny B"), LAYERS["tiny B"], images_of("tiny B", 16))
    first = next(node for node in made.graph.node if node.op_type == "QuantizeLinear")
    made.graph.initializer.append(numpy_helper.from_array(np.float32(7), "other_scale"))
    again = helper.make_node("QuantizeLinear", [first.input[0], "other_scale", first.input[2]], ["again"])
    made.graph.node.insert(1, again)
    with pytest.raises(MeasurementError, match="two scales") as refused:
        floated(made)
    assert "\n" not in str(refused.value)


def test_onnx_runtimes_own_int8_files_are_taken_too(tmp_path: Path) -> None:
    proto, images = float_of("tiny A"), images_of("tiny A", 16)
    file = write(proto, tmp_path / "net.onnx")
    floats = floated(onnx.load(statically_quantized(file.path, images, tmp_path).path))
    assert [value.name for value in floats.model.graph.output] == ["logits"]
    low, high = floats.ranges[floats.model.graph.node[-1].input[0]]
    wanted = run(proto, images)
    assert low < wanted.min() + (high - low) / 255
    assert wanted.max() < high + (high - low) / 255
    assert run(floats.model, images).shape == wanted.shape


def test_the_given_file_is_not_changed() -> None:
    made = quantized(float_of("tiny B"), LAYERS["tiny B"], images_of("tiny B", 16))
    before = onnx.ModelProto.FromString(made.SerializeToString())
    floated(made)
    assert made == before
