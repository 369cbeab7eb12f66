"""Int8 as real quantize/dequantize nodes, placed wherever the runtime fuses them.

Activations are unsigned 8-bit and asymmetric, one scale a tensor; weights signed 8-bit and symmetric, one scale an
output channel; biases 32-bit at the product of both scales. (On x86 signed activations are slower than float, and
pairs around convolutions alone slower than pairs everywhere.) A tensor that an int8 layer gives stays in codes through
additions, pooling, slicing and reshaping until a float layer asks for it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from moco.errors import CompressionError

Ranges = Mapping[str, tuple[float, float]]
"""Lowest and highest value seen of each tensor, by name."""

_WEIGHTED = {"Conv", "Gemm"}
_ACTIVATIONS = {"Relu", "Clip"}
_COMPUTED_ON_CODES = {"Add", "Mul", "GlobalAveragePool", "AveragePool", "Concat"}
_MOVED_AS_CODES = {
    "Slice", "Pad", "Gather", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "MaxPool", "Identity",
}  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Value = scale x (code - zero_point), codes 0..255."""

    scale: float
    zero_point: int

    @staticmethod
    def of(low: float, high: float) -> Scale:
        """The scale whose 256 codes span [low, high] widened to hold 0, which is represented exactly."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = float(np.float32((high - low) / 255))
        if scale < np.finfo(np.float32).tiny:  # nothing but zero was seen
            return Scale(1.0, 0)
        return Scale(scale, round(-low / scale))


def quantizable_layers(proto: onnx.ModelProto) -> tuple[str, ...]:
    """Names of the layers that `quantize` can put into int8: those whose weight is an initializer of a Conv or Gemm."""
    constants = {i.name for i in proto.graph.initializer}
    return tuple(
        node.input[1].rpartition(".")[0]
        for node in proto.graph.node
        if node.op_type in _WEIGHTED and node.input[1] in constants and _transposed(node)
    )


def observed_tensors(proto: onnx.ModelProto, layers: Collection[str]) -> tuple[str, ...]:
    """Names of the tensors whose ranges `quantize` asks for."""
    builder = _Builder(proto, layers, None)
    builder.walk()
    return tuple(builder.asked)


def quantize(proto: onnx.ModelProto, layers: Collection[str], ranges: Ranges) -> onnx.ModelProto:
    """A copy of the float graph with `layers` in int8.

    Args:
        proto: a graph whose weights are initializers named `<layer>.weight`.
        layers: names of the layers; empty gives the graph unchanged.
        ranges: of every tensor that `observed_tensors` names.

    Raises:
        CompressionError: a layer is not in the graph, or a range is missing or not finite.
    """
    missing = set(layers) - set(quantizable_layers(proto))
    if missing:
        raise CompressionError(f"int8: layer '{min(missing)}' is no convolution or linear layer of the exported graph")
    return _Builder(proto, layers, ranges).build()


class _Builder:
    """Walks the graph once, in order, and writes the quantized one."""

    def __init__(self, proto: onnx.ModelProto, layers: Collection[str], ranges: Ranges | None) -> None:
        self.proto, self.layers, self.ranges = proto, set(layers), ranges
        self.constants = {i.name: numpy_helper.to_array(i) for i in proto.graph.initializer}
        self.consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in proto.graph.node:
            for name in node.input:
                self.consumers.setdefault(name, []).append(node)
        self.outputs = {value.name for value in proto.graph.output}
        self.asked: dict[str, None] = {}
        self.scales: dict[str, Scale] = {}  # tensors that exist as codes
        self.floats: set[str] = {value.name for value in proto.graph.input}  # tensors that exist as floats
        self.nodes: list[onnx.NodeProto] = []
        self.new: dict[str, onnx.TensorProto] = {}
        self.uses: dict[str, int] = {}  # how often a constant was used before
        self.fused: set[str] = set()  # outputs of activations that were written with the node before them

    def walk(self) -> None:
        for node in self.proto.graph.node:
            if node.output[0] in self.fused:
                continue
            if node.op_type in _WEIGHTED and node.input[1].rpartition(".")[0] in self.layers:
                self._weighted(node)
            elif node.op_type in _MOVED_AS_CODES and node.input[0] in self.scales:
                self._moved(node)
            elif node.op_type in _COMPUTED_ON_CODES and all(n in self.scales for n in node.input):
                self._emit_with_codes(node, list(node.input))
            else:
                self._float(node)

    def build(self) -> onnx.ModelProto:
        self.walk()
        return self._finished()

    # ---- the four ways that a node is written

    def _weighted(self, node: onnx.NodeProto) -> None:
        data, weight = node.input[0], node.input[1]
        if data not in self.scales:
            self._to_codes(data, self._scale(data))
        if self.ranges is None:  # only the names of tensors are asked for
            self._emit_with_codes(node, [data])
            return
        weights = self.constants[weight]
        bias = self.constants[node.input[2]] if len(node.input) > 2 and node.input[2] else None
        scales = _weight_scales(weights, bias, self.scales[data].scale)
        if not np.all(np.isfinite(scales)):
            raise CompressionError(f"int8: '{weight}' or its bias holds values that are not finite")
        wide = np.expand_dims(scales, tuple(range(1, weights.ndim)))
        codes = np.clip(np.rint(weights / wide), -127, 127).astype(np.int8)
        # The runtime fuses a linear layer only where its weight has a zero point, a convolution without one too.
        zeros = [self._initializer(f"zero_codes_{len(scales)}", np.zeros(len(scales), np.int8))]
        inputs = [data, self._constant_codes(weight, codes, scales, zeros if node.op_type == "Gemm" else [])]
        if bias is not None:
            bias_scales = (scales * np.float32(self.scales[data].scale)).astype(np.float32)
            codes = np.rint(bias / bias_scales).astype(np.int32)
            inputs.append(self._constant_codes(node.input[2], codes, bias_scales))
        self._emit_with_codes(node, inputs)

    def _moved(self, node: onnx.NodeProto) -> None:
        source = node.input[0]
        scale = self.scales[source]
        moved = _copy(node)
        moved.input[0], moved.output[0] = _codes(source), _codes(node.output[0])
        if node.op_type == "Pad":  # real zeros are the zero point in codes
            del moved.input[2:]
            moved.input.append(self._initializer(f"zero_code_{scale.zero_point}", np.uint8(scale.zero_point)))
            if len(node.input) > 3:
                moved.input.append(node.input[3])
        self.nodes.append(moved)
        self.scales[node.output[0]] = scale

    def _emit_with_codes(self, node: onnx.NodeProto, inputs: list[str]) -> None:
        """DQ -> node -> activation -> Q, which the runtime runs as one integer kernel."""
        written = _copy(node)
        del written.input[:]
        written.input.extend(self._as_float(name) if name in self.scales else name for name in inputs)
        self.nodes.append(written)
        last = node.output[0]
        following = self.consumers.get(last, [])
        if len(following) == 1 and following[0].op_type in _ACTIVATIONS and last not in self.outputs:
            self.nodes.append(_copy(following[0]))
            last = following[0].output[0]
            self.fused.add(last)
        if last in self.outputs:  # the runtime gives float logits at no cost
            self.floats.add(last)
        else:
            self._to_codes(last, self._scale(last))

    def _float(self, node: onnx.NodeProto) -> None:
        written = _copy(node)
        for index, name in enumerate(node.input):
            if name in self.scales and name not in self.floats:
                written.input[index] = self._as_float(name)
        self.nodes.append(written)
        self.floats.update(node.output)

    # ---- quantize and dequantize nodes

    def _to_codes(self, name: str, scale: Scale) -> None:
        operands = [name, *self._scale_inputs(scale)]
        self.nodes.append(helper.make_node("QuantizeLinear", operands, [_codes(name)], name=f"q{len(self.nodes)}"))
        self.scales[name] = scale

    def _as_float(self, name: str) -> str:
        dequantized = f"{name}_d"
        if dequantized not in self.floats:
            operands = [_codes(name), *self._scale_inputs(self.scales[name])]
            self.nodes.append(helper.make_node("DequantizeLinear", operands, [dequantized], name=f"d{len(self.nodes)}"))
            self.floats.add(dequantized)
        return dequantized

    def _constant_codes(self, name: str, codes: np.ndarray, scales: np.ndarray, zeros: Sequence[str] = ()) -> str:
        """The dequantized constant; at each further use with codes of its own, since the input's scale differs."""
        uses = self.uses[name] = self.uses.get(name, -1) + 1
        suffix = str(uses or "")
        dequantized = f"{name}_d{suffix}"
        operands = [self._initializer(_codes(name) + suffix, codes), self._initializer(f"{name}_s{suffix}", scales)]
        node = helper.make_node(
            "DequantizeLinear", [*operands, *zeros], [dequantized], name=f"d{len(self.nodes)}", axis=0
        )
        self.nodes.append(node)
        return dequantized

    def _scale_inputs(self, scale: Scale) -> list[str]:
        return [
            self._initializer(f"scale_{np.float32(scale.scale).view(np.uint32):x}", np.float32(scale.scale)),
            self._initializer(f"zero_code_{scale.zero_point}", np.uint8(scale.zero_point)),
        ]

    def _initializer(self, name: str, array: np.ndarray | np.generic) -> str:
        if name not in self.new:
            self.new[name] = numpy_helper.from_array(np.asarray(array), name)
        return name

    def _scale(self, name: str) -> Scale:
        self.asked[name] = None
        if self.ranges is None:
            return Scale(1.0, 0)
        if name not in self.ranges or not np.all(np.isfinite(self.ranges[name])):
            raise CompressionError(f"int8: no finite range of tensor '{name}'; check the calibration images for NaN")
        return Scale.of(*self.ranges[name])

    def _finished(self) -> onnx.ModelProto:
        proto = onnx.ModelProto()
        proto.CopyFrom(self.proto)
        graph = proto.graph
        for output in graph.output:  # an output that exists only as codes is asked for as floats
            if output.name in self.scales and output.name not in self.floats:
                self.nodes.append(helper.make_node("Identity", [self._as_float(output.name)], [output.name]))
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self.nodes)
        used = {name for node in self.nodes for name in node.input}
        graph.initializer.extend(i for i in self.proto.graph.initializer if i.name in used)
        graph.initializer.extend(i for i in self.new.values() if i.name in used)
        return proto


def _weight_scales(weights: np.ndarray, bias: np.ndarray | None, input_scale: float) -> np.ndarray:
    """Per-channel scales (channels,): symmetric over 127 codes, and wide enough for the 32-bit bias."""
    flat = np.abs(weights.reshape(len(weights), -1)).max(axis=1)
    scales = flat / 127
    if bias is not None:
        scales = np.maximum(scales, np.abs(bias) / (input_scale * 2**30))
    return np.where(scales > 0, scales, 1.0).astype(np.float32)


def _transposed(node: onnx.NodeProto) -> bool:
    """Whether the weight's first axis is the output channel, as per-channel scales need it."""
    return node.op_type == "Conv" or any(a.name == "transB" and a.i == 1 for a in node.attribute)


def _codes(name: str) -> str:
    return f"{name}_q"


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    copied = onnx.NodeProto()
    copied.CopyFrom(node)
    return copied
