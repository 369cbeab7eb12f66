"""Where quantize nodes go is the target's to say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from moco.export.calibration import calibrate, open_session, outputs
from moco.export.quantize import WIDEST, observed_tensors, quantizable_layers, quantize
from moco.hardware.measuring.probe_model import conv_stack
from moco.hardware.measuring.processor import processor
from moco.hardware.onnxruntime import ONNXRuntimeTarget
from moco.interfaces import QuantizePlacement

IMAGES = np.random.default_rng(0).standard_normal((12, 3, 8, 8), dtype=np.float32)


def model() -> onnx.ModelProto:
    return conv_stack(layers=3, width=8, image=(3, 8, 8))


def quantized(placement: QuantizePlacement) -> onnx.ModelProto:
    proto = named()
    layers = quantizable_layers(proto)
    calibration = calibrate(proto, observed_tensors(proto, layers, placement), IMAGES)
    return quantize(proto, layers, calibration.ranges, placement=placement)


def named() -> onnx.ModelProto:
    """The stack with weights named as the exporter names them."""
    proto = model()
    for node in proto.graph.node:
        if node.op_type == "Conv":
            node.input[1] = f"{node.input[1]}.weight"
    for constant in proto.graph.initializer:
        constant.name += ".weight" if constant.name != "head" else ""
    return proto


def test_onnx_runtime_has_the_nodes_of_all_files_so_far() -> None:
    bits = 8 if processor().int8_exact else 7  # two products with 8 overflow in 16 bits
    assert ONNXRuntimeTarget().capabilities.placement == replace(WIDEST, packed=True, weight_bits=bits)
    assert QuantizePlacement() == WIDEST


@pytest.mark.parametrize("field", ["computed", "moved", "fused"])
def test_a_narrower_placement_computes_the_rest_in_floats(field: str) -> None:
    narrow = quantized(replace(WIDEST, **{field: frozenset()}))
    logits = outputs(open_session(narrow), IMAGES)[0]
    expected = outputs(open_session(named()), IMAGES)[0]

    assert np.abs(logits - expected).max() < 0.1 * np.abs(expected).max()
    assert ops(narrow) != ops(quantized(WIDEST))


def ops(proto: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in proto.graph.node]


def test_weights_have_no_more_bits_than_the_target_adds_up() -> None:
    proto = quantized(replace(WIDEST, weight_bits=7))
    codes = [numpy_helper.to_array(i) for i in proto.graph.initializer if i.name.endswith(".weight_q")]

    assert codes
    assert max(int(np.abs(values).max()) for values in codes) == 63
