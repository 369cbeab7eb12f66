"""moco's int8 file as the float network that it stands for, with what its codes span.

A converter that has a quantizer of its own takes floats. It gets the weights that the codes mean, and for every tensor
that is in codes the lowest and the highest value that they can mean: so its codes are those of moco's file. Codes also
cut off what lies outside of that, as ONNX Runtime's quantizer does where it leaves a Relu out; the floats do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import helper, numpy_helper

from moco.errors import MeasurementError
from moco.interfaces import QuantizePlacement

Range = tuple[float, float]
MOVED = QuantizePlacement().moved
"""Operators that moco's files run on codes."""
DEQUANTIZE, QUANTIZE = "DequantizeLinear", "QuantizeLinear"


@dataclass(frozen=True)
class Floats:
    """A network in floats.

    Attributes:
        model: the float network, with the outputs that the file has.
        ranges: by tensor of it that was in codes, the lowest and the highest value that they can mean.
        weights: of the constants that were in codes, the float form, by name.
    """

    model: onnx.ModelProto
    ranges: Mapping[str, Range]
    weights: Mapping[str, np.ndarray]


def is_coded(model: onnx.ModelProto) -> bool:
    """Whether the file has tensors in codes."""
    return any(node.op_type == QUANTIZE for node in model.graph.node)


def floated(model: onnx.ModelProto) -> Floats:
    """The float network of a file, which stays as it is; a MeasurementError tells of codes that are not moco's.

    Where the file is in floats already, it is returned as it is, without ranges.
    """
    return _Walk(model).result()


@dataclass
class _Walk:
    """One way through the nodes of a file, in order."""

    model: onnx.ModelProto
    names: dict[str, str] = field(default_factory=dict)  # by tensor that is gone, the float one that stands for it
    codes: dict[str, Range] = field(default_factory=dict)  # by tensor of codes, what they span
    ranges: dict[str, Range] = field(default_factory=dict)
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)

    def result(self) -> Floats:
        graph = self.model.graph
        self.constants = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
        for node in graph.node:
            if node.op_type == QUANTIZE:
                self._quantized(node)
            elif node.op_type == DEQUANTIZE:
                self._dequantized(node)
            else:
                self._other(node)
        for name in {value.name for value in graph.output} & self.names.keys():  # an output that was in codes
            self.nodes.append(helper.make_node("Identity", [self.names[name]], [name]))
        made = onnx.ModelProto()
        made.CopyFrom(self.model)
        del made.graph.node[:], made.graph.initializer[:]
        made.graph.node.extend(self.nodes)
        used = {name for node in self.nodes for name in node.input}
        made.graph.initializer.extend(one for one in graph.initializer if one.name in used)
        made.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in self.weights.items())
        return Floats(made, self.ranges, self.weights)

    def _quantized(self, node: onnx.NodeProto) -> None:
        source, scale, *zero = node.input
        source = self.names.get(source, source)
        span = self._span(node, scale, zero)
        if self.ranges.setdefault(source, span) != span:
            raise MeasurementError(f"'{source}' is in codes of two scales; only float32 and int8 can be converted")
        self.codes[node.output[0]], self.names[node.output[0]] = span, source

    def _span(self, node: onnx.NodeProto, scale: str, zero: list[str]) -> Range:
        """The lowest and the highest value of codes of 8 bits with one scale."""
        step = self.constants.get(scale)
        start = self.constants.get(zero[0]) if zero else np.zeros((), np.uint8)
        if step is None or start is None or step.size != 1 or start.dtype not in (np.uint8, np.int8):
            raise MeasurementError(f"'{node.output[0]}': expected codes of 8 bits with one scale")
        kind = np.iinfo(start.dtype)
        low, high = (float(step.reshape(())) * (code - int(start.reshape(()))) for code in (kind.min, kind.max))
        return low, high

    def _dequantized(self, node: onnx.NodeProto) -> None:
        codes, output = node.input[0], node.output[0]
        if codes in self.codes:
            self.names[output] = self.names.get(codes, codes)
            return
        if codes not in self.constants:
            raise MeasurementError(f"'{output}': expected codes that the file quantizes or holds")
        values, scale, *zero = (self.constants[name] for name in node.input)
        axis = next((one.i for one in node.attribute if one.name == "axis"), 1)
        along = [-1 if place == axis % max(values.ndim, 1) else 1 for place in range(values.ndim)]
        shape = along if scale.size > 1 else [1] * values.ndim
        start = zero[0].reshape(shape).astype(np.float32) if zero else np.float32(0)
        self.weights[output] = (values.astype(np.float32) - start) * scale.reshape(shape)

    def _other(self, node: onnx.NodeProto) -> None:
        """A node on floats; where it moved codes, what it gives spans what they did."""
        made = onnx.NodeProto()
        made.CopyFrom(node)
        spans = {self.codes[name] for name in node.input if name in self.codes}
        made.input[:] = [self.names.get(name, name) for name in node.input]
        if spans:
            if node.op_type not in MOVED or len(spans) > 1:
                raise MeasurementError(
                    f"{node.op_type} of '{node.output[0]}' computes on codes; only float32 and int8 can be converted"
                )
            if node.op_type == "Pad" and len(made.input) > 2:
                made.input[2] = ""  # the code of zero, which floats have of themselves
            for name in node.output:
                self.codes[name] = self.ranges[name] = next(iter(spans))
        self.nodes.append(made)
