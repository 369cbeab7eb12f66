"""Codes of 1 to 8 bits as real quantize/dequantize nodes, placed where the target fuses them (`QuantizePlacement`).

Activations are unsigned and asymmetric, one scale a tensor; weights signed and symmetric, one scale an output channel;
biases 32-bit at the product of both scales (moco/export/bits.py). (On x86 signed activations are slower than float,
and pairs around convolutions alone slower than pairs everywhere.) A tensor that a quantized layer gives stays in codes
through additions, pooling, slicing and reshaping until a float layer asks for it.

Codes of fewer bits lie in 8-bit tensors, as the runtime has kernels for no others: accuracy is that of b bits,
latency is not below int8's (the file may be smaller: packing.py). Activations saturate by a Clip of the codes: one of
the floats would part the convolution from its quantization. A tensor is written once, at the most bits that a reader
takes; additions, pooling and float layers take 8. A layer that takes fewer quantizes the floats where they exist,
else the codes once more, so that it adds to half a step of its own at most half of the finer one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy

import numpy as np
import onnx
from onnx import helper, numpy_helper

from moco.compression.precision import Bits
from moco.errors import CompressionError
from moco.export.bits import Scale, weight_codes, weight_scales
from moco.export.rewrites import readers
from moco.interfaces import QuantizePlacement

Ranges = Mapping[str, tuple[float, float]]
"""Lowest and highest value of each tensor, by name, or by `at_bits` where fewer bits take a narrower range."""

WEIGHTED = {"Conv", "Gemm"}


def at_bits(tensor: str, bits: int) -> str:
    """The key of a range that is meant for codes of so many bits only."""
    return f"{tensor}@{bits}"


class CodeGraph:
    """Walks the graph once, in order, and writes the quantized one."""

    def __init__(
        self,
        proto: onnx.ModelProto,
        layers: Mapping[str, Bits],
        ranges: Ranges | None,
        weight_shares: Mapping[str, np.ndarray],
        placement: QuantizePlacement,
    ) -> None:
        self.placement = placement
        self.proto, self.layers, self.ranges, self.weight_shares = proto, layers, ranges, weight_shares
        self.constants = {i.name: numpy_helper.to_array(i) for i in proto.graph.initializer}
        self.consumers = readers(proto.graph)
        self.outputs = {value.name for value in proto.graph.output}
        self.readers: dict[tuple[str, int], list[onnx.NodeProto]] = {}  # layers that read these codes
        self.origins: dict[str, str] = {}  # by moved tensor, the one whose codes were written
        self.scales: dict[str, Scale] = {}  # tensors that exist as codes
        self.narrow: dict[tuple[str, int], Scale] = {}  # tensors that exist as codes of fewer bits besides
        self.floats: set[str] = {value.name for value in proto.graph.input}  # tensors that exist as floats
        self.nodes: list[onnx.NodeProto] = []
        self.new: dict[str, onnx.TensorProto] = {}
        self.uses: dict[str, int] = {}  # how often a constant was used before
        self.fused: set[str] = set()  # outputs of activations that were written with the node before them

    def walk(self) -> None:
        """Write every node, and note which tensors' codes are written and who reads them."""
        for node in self.proto.graph.node:
            if node.output[0] in self.fused:
                continue
            if self._quantized(node):
                self._weighted(node)
            elif self._is_moved(node) and node.input[0] in self.scales:
                self._moved(node)
            elif node.op_type in self.placement.computed and all(n in self.scales for n in node.input):
                self._emit_with_codes(node, list(node.input))
            else:
                self._float(node)

    def build(self) -> onnx.ModelProto:
        """The quantized graph."""
        self.walk()
        proto = onnx.ModelProto()
        proto.ir_version = self.proto.ir_version  # no whole copy: its float weights would be thrown away
        proto.producer_name, proto.producer_version = self.proto.producer_name, self.proto.producer_version
        proto.opset_import.extend(self.proto.opset_import)
        graph = proto.graph
        graph.name = self.proto.graph.name
        graph.input.extend(self.proto.graph.input)
        graph.output.extend(self.proto.graph.output)
        for output in graph.output:  # an output that exists only as codes is asked for as floats
            if output.name in self.scales and output.name not in self.floats:
                self.nodes.append(helper.make_node("Identity", [self._as_float(output.name)], [output.name]))
        graph.node.extend(self.nodes)
        used = {name for node in self.nodes for name in node.input}
        graph.initializer.extend(i for i in self.proto.graph.initializer if i.name in used)
        graph.initializer.extend(i for i in self.new.values() if i.name in used)
        return proto

    def _quantized(self, node: onnx.NodeProto) -> bool:
        return node.op_type in WEIGHTED and node.input[1].rpartition(".")[0] in self.layers

    def _bits_taken(self, name: str) -> int:
        """The most bits that a reader of the tensor's codes takes."""
        if name in self.outputs:
            return 8
        return max((self._bits_taken_by(node, name) for node in self.consumers.get(name, [])), default=8)

    def _bits_taken_by(self, node: onnx.NodeProto, name: str) -> int:
        if name != node.input[0]:
            return 8
        if self._quantized(node):
            return self.layers[node.input[1].rpartition(".")[0]].activations
        return self._bits_taken(node.output[0]) if self._is_moved(node) else 8

    def _is_moved(self, node: onnx.NodeProto) -> bool:
        """Whether the node leaves codes as they are; a Pad does with zeros, which have a code in every scale."""
        padded = node.input[2] if node.op_type == "Pad" and len(node.input) > 2 else ""
        return node.op_type in self.placement.moved and not np.any(self.constants.get(padded, bool(padded)))

    # ---- the four ways that a node is written

    def _weighted(self, node: onnx.NodeProto) -> None:
        weight = node.input[1]
        layer = weight.rpartition(".")[0]
        bits = self.layers[layer]
        data, data_scale = self._read(node, bits.activations)
        if self.ranges is None:  # only the names of tensors are asked for
            self._emit_with_codes(node, [data])
            return
        weights = self.constants[weight]
        bias = self.constants[node.input[2]] if len(node.input) > 2 and node.input[2] else None
        shares = self.weight_shares.get(layer, 1.0)
        width = min(bits.weights, self.placement.weight_bits)
        scales = weight_scales(weights, width, bias, data_scale.scale, shares)
        if not np.all(np.isfinite(scales)):
            raise CompressionError(f"quantization: '{weight}' or its bias holds values that are not finite")
        codes = weight_codes(weights, width, scales)
        zeros = [self._initializer(f"zero_codes_{len(scales)}", np.zeros(len(scales), np.int8))]
        needed = zeros if node.op_type in self.placement.zero_points else []
        inputs = [data, self._constant_codes(weight, codes, scales, needed)]
        if bias is not None:
            bias_scales = (scales * np.float32(data_scale.scale)).astype(np.float32)
            codes = np.rint(bias / bias_scales).astype(np.int32)
            inputs.append(self._constant_codes(node.input[2], codes, bias_scales))
        self._emit_with_codes(node, inputs)

    def _moved(self, node: onnx.NodeProto) -> None:
        source = node.input[0]
        scale = self.scales[source]
        moved = deepcopy(node)
        moved.input[0], moved.output[0] = _codes(source), _codes(node.output[0])
        if node.op_type == "Pad":  # real zeros are the zero point in codes
            del moved.input[2:]
            moved.input.append(self._initializer(f"zero_code_{scale.zero_point}", np.uint8(scale.zero_point)))
            if len(node.input) > 3:
                moved.input.append(node.input[3])
        self.nodes.append(moved)
        self.scales[node.output[0]] = scale
        self.origins[node.output[0]] = self.origins.get(source, source)

    def _emit_with_codes(self, node: onnx.NodeProto, inputs: list[str]) -> None:
        """DQ -> node -> activation -> Q, which the runtime runs as one integer kernel."""
        written = deepcopy(node)
        del written.input[:]
        written.input.extend(self._as_float(name) if name in self.scales else name for name in inputs)
        self.nodes.append(written)
        last = node.output[0]
        following = self.consumers.get(last, [])
        if len(following) == 1 and following[0].op_type in self.placement.fused and last not in self.outputs:
            self.nodes.append(self._activation(following[0]))
            last = following[0].output[0]
            self.fused.add(last)
        if last in self.outputs:  # the runtime gives float logits at no cost
            self.floats.add(last)
        else:
            self._to_codes(last, self._bits_taken(last))

    def _activation(self, node: onnx.NodeProto) -> onnx.NodeProto:
        """The activation; Relu6 as Relu where the Clip of the codes ends within 6, as the runtime fuses only that."""
        name, bits = node.output[0], self._bits_taken(node.output[0])
        low, high = (self.constants.get(end) for end in node.input[1:3]) if len(node.input) == 3 else (None, None)
        if bits == 8 or node.op_type != "Clip" or low is None or high is None or self.ranges is None:
            return deepcopy(node)
        scale = self._scale(name, bits)
        if low != 0 or scale.zero_point or scale.top * scale.scale > float(high) * (1 + 1e-6):
            return deepcopy(node)
        return helper.make_node("Relu", [node.input[0]], [name], name=node.name)

    def _float(self, node: onnx.NodeProto) -> None:
        written = deepcopy(node)
        for index, name in enumerate(node.input):
            if name in self.scales and name not in self.floats:
                written.input[index] = self._as_float(name)
        self.nodes.append(written)
        self.floats.update(node.output)

    # ---- quantize and dequantize nodes

    def _read(self, node: onnx.NodeProto, bits: int) -> tuple[str, Scale]:
        """What the layer reads in codes of so many bits: the tensor's name, or that of a narrower copy; its scale."""
        data = node.input[0]
        if data not in self.scales and bits == 8:
            self._to_codes(data, bits)
        scale = self.scales.get(data)
        if scale is not None and scale.bits == bits:
            self.readers[self.origins.get(data, data), bits].append(node)
            return data, scale
        codes, dequantized = f"{_codes(data)}{bits}", f"{data}_d{bits}"
        if (data, bits) not in self.narrow:
            scale = self.narrow[data, bits] = self._scale(data, bits)
            self._write_codes(data if data in self.floats else self._as_float(data), codes, scale)
            self._write_floats(codes, dequantized, scale)
        self.readers[data, bits].append(node)
        return dequantized, self.narrow[data, bits]

    def _to_codes(self, name: str, bits: int) -> None:
        scale = self._scale(name, bits)
        self._write_codes(name, _codes(name), scale)
        self.scales[name] = scale

    def _as_float(self, name: str) -> str:
        dequantized = f"{name}_d"
        if dequantized not in self.floats:
            self._write_floats(_codes(name), dequantized, self.scales[name])
        return dequantized

    def _write_codes(self, source: str, codes: str, scale: Scale) -> None:
        wide = codes if scale.bits == 8 else f"{codes}_w"
        operands = [source, *self._scale_inputs(scale)]
        self.nodes.append(helper.make_node("QuantizeLinear", operands, [wide], name=f"q{len(self.nodes)}"))
        if scale.bits < 8:  # an unsigned 8-bit code saturates at 255 by itself
            top = self._initializer(f"top_code_{scale.bits}", np.uint8(scale.top))
            self.nodes.append(helper.make_node("Clip", [wide, "", top], [codes], name=f"c{len(self.nodes)}"))

    def _write_floats(self, codes: str, dequantized: str, scale: Scale) -> None:
        operands = [codes, *self._scale_inputs(scale)]
        self.nodes.append(helper.make_node("DequantizeLinear", operands, [dequantized], name=f"d{len(self.nodes)}"))
        self.floats.add(dequantized)

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

    def _scale(self, name: str, bits: int) -> Scale:
        self.readers.setdefault((name, bits), [])
        if self.ranges is None:
            return Scale(1.0, 0, bits)
        found = self.ranges.get(at_bits(name, bits), self.ranges.get(name))
        if found is None or not np.all(np.isfinite(found)):
            raise CompressionError(
                f"quantization: no finite range of tensor '{name}'; check the calibration images for NaN"
            )
        return Scale.of(*found, bits)


def _codes(name: str) -> str:
    return f"{name}_q"
