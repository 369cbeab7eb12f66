"""Codes side by side in a file: what the runtime computes, what is read back, and what it takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from moco.compression.precision import Bits
from moco.export.bits import highest_weight_code
from moco.export.calibration import calibrate, open_session, outputs
from moco.export.packing import PACKED, Stream, pack, unpacked
from moco.export.quantize import observed_tensors, quantize
from moco.export.rewrites import compact
from tests.export.graphs import images_of, optimized
from tests.export.int8_graphs import LAYERS, float_of

NAME = "tiny A"


def in_bits(weights: Mapping[str, int]) -> onnx.ModelProto:
    proto, bits = float_of(NAME), {layer: Bits(count, 8) for layer, count in weights.items()}
    return quantize(proto, bits, calibrate(proto, observed_tensors(proto, bits), images_of(NAME, 16)).ranges)


def codes_of(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {i.name: numpy_helper.to_array(i) for i in proto.graph.initializer if ".weight_q" in i.name}


def codes_by_place(proto: onnx.ModelProto) -> list[np.ndarray]:
    """What is dequantized of four or two axes, whatever it is called."""
    stored = {i.name: numpy_helper.to_array(i) for i in proto.graph.initializer}
    read = [stored.get(node.input[0]) for node in proto.graph.node if node.op_type == "DequantizeLinear"]
    return [codes for codes in read if codes is not None and codes.ndim > 1]


@given(st.integers(2, 7), st.lists(st.integers(-64, 63), max_size=40))
def test_what_is_packed_comes_back(bits: int, values: list[int]) -> None:
    stream, highest = Stream(bits), highest_weight_code(bits)
    codes = np.clip(np.array(values, np.int8), -highest, highest)

    packed = stream.packed(codes)

    assert np.array_equal(stream.unpacked(packed)[: len(codes)], codes)
    assert packed.shape == (-(-len(codes) // 8) * bits, 1)
    assert packed.dtype == np.uint8


@pytest.mark.parametrize("bits", range(1, 7))
def test_the_runtime_answers_as_before(bits: int) -> None:
    plain = in_bits(dict.fromkeys(LAYERS[NAME], bits))
    proto = onnx.ModelProto()
    proto.CopyFrom(plain)
    pack(proto, dict.fromkeys(LAYERS[NAME], bits))
    onnx.checker.check_model(proto)
    batch, (before, after) = images_of(NAME, 3), (codes_of(plain), codes_of(unpacked(proto)))

    assert np.array_equal(outputs(open_session(proto), batch)[0], outputs(open_session(plain), batch)[0])
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert not codes_of(proto)
    compact(proto)
    assert len(codes_by_place(unpacked(proto))) == len(before)
    assert all(np.array_equal(*pair) for pair in zip(codes_by_place(unpacked(proto)), before.values(), strict=True))
    assert np.array_equal(outputs(open_session(proto), batch)[0], outputs(open_session(plain), batch)[0])


def test_a_loaded_file_computes_in_integers_and_unpacks_no_more(tmp_path: Path) -> None:
    proto = in_bits(dict.fromkeys(LAYERS[NAME], 4))
    plain = [node.op_type for node in optimized(proto, str(tmp_path / "plain.onnx")).graph.node]
    pack(proto, dict.fromkeys(LAYERS[NAME], 4))

    assert [node.op_type for node in optimized(proto, str(tmp_path / "packed.onnx")).graph.node] == plain


def test_each_layer_keeps_its_own_bits_and_8_stay_as_they_are() -> None:
    first, second, *rest = LAYERS[NAME]
    bits = {first: 3, second: 5, **dict.fromkeys(rest, 8)}
    proto = in_bits(bits)
    before = codes_of(proto)
    pack(proto, bits)

    assert codes_of(proto).keys() <= before.keys()
    assert {f"{layer}.weight_q" for layer in rest} <= codes_of(proto).keys()
    assert all(np.array_equal(before[name], codes) for name, codes in codes_of(unpacked(proto)).items())


def test_a_file_is_never_larger() -> None:
    layer = min(LAYERS[NAME], key=lambda name: codes_of(in_bits({name: 7}))[f"{name}.weight_q"].size)
    proto = in_bits({layer: 7})
    size = proto.ByteSize()
    pack(proto, {layer: 7})

    assert proto.ByteSize() == size
    assert not [i.name for i in proto.graph.initializer if i.name.startswith(PACKED)]
