"""Layers of an exported graph in codes of 1 to 8 bits: which can be, what ranges they ask for, and the graph."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import onnx

from moco.compression.precision import INT8, INT8_BITS, Bits
from moco.errors import CompressionError
from moco.export.code_graph import WEIGHTED, CodeGraph, Ranges
from moco.interfaces import QuantizePlacement

WIDEST = QuantizePlacement()


def quantizable_layers(proto: onnx.ModelProto) -> tuple[str, ...]:
    """Names of the layers that `quantize` can put into int8: those whose weight is an initializer of a Conv or Gemm."""
    constants = {i.name for i in proto.graph.initializer}
    return tuple(
        node.input[1].rpartition(".")[0]
        for node in proto.graph.node
        if node.op_type in WEIGHTED and node.input[1] in constants and _transposed(node)
    )


def bits_of(layers: Collection[str]) -> dict[str, Bits]:
    """Bits by layer: `Bits` or int8 as a mapping says, int8 where only names are given; else a CompressionError."""
    if not isinstance(layers, Mapping):
        return dict.fromkeys(layers, INT8_BITS)
    for name, bits in layers.items():
        if bits != INT8 and not (isinstance(bits, Bits) and bits.weights <= 8):
            raise CompressionError(f"quantization: layer '{name}': expected Bits of 1 to 8 or 'int8', got {bits!r}")
    return {name: INT8_BITS if bits == INT8 else bits for name, bits in layers.items()}


def observed_tensors(
    proto: onnx.ModelProto, layers: Collection[str], placement: QuantizePlacement = WIDEST
) -> tuple[str, ...]:
    """Names of the tensors whose ranges `quantize` asks for."""
    return tuple(dict.fromkeys(tensor for tensor, _ in codings(proto, layers, placement)))


def codings(
    proto: onnx.ModelProto, layers: Collection[str], placement: QuantizePlacement = WIDEST
) -> dict[tuple[str, int], list[onnx.NodeProto]]:
    """Each (tensor, bits) that `quantize` writes codes of, with the quantized layers that read them."""
    graph = CodeGraph(proto, bits_of(layers), None, {}, placement)
    graph.walk()
    return graph.readers


def quantize(
    proto: onnx.ModelProto,
    layers: Collection[str],
    ranges: Ranges,
    weight_shares: Mapping[str, np.ndarray] | None = None,
    placement: QuantizePlacement = WIDEST,
) -> onnx.ModelProto:
    """A copy of the float graph, whose weights are initializers named `<layer>.weight`, with `layers` in codes.

    The layers are names, or bits by name: `Bits`, or "int8"; empty gives the graph unchanged. The ranges are of every
    tensor that `observed_tensors` names, the weight shares, by layer, the scale of each channel (channels,) as a share
    of the one that clips nothing. A layer that is not in the graph, and a range that is missing or not finite, are a
    CompressionError.
    """
    missing = set(layers) - set(quantizable_layers(proto))
    if missing:
        raise CompressionError(
            f"quantization: layer '{min(missing)}' is no convolution or linear layer of the exported graph"
        )
    return CodeGraph(proto, bits_of(layers), ranges, weight_shares or {}, placement).build()


def _transposed(node: onnx.NodeProto) -> bool:
    """Whether the weight's first axis is the output channel, as per-channel scales need it."""
    return node.op_type == "Conv" or any(a.name == "transB" and a.i == 1 for a in node.attribute)
