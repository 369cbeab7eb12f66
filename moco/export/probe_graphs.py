"""Small graphs of a pair of layers at a width and a precision, to time how much of a width is paid for.

A graph is a cheap stem, then the pair a few times side by side, each pooled and all added: so that a call takes long
enough to be timed, and input and output are a small part of it. Layers, activations and the nodes of int8 are those
that the exporter writes; the weights are noise, since time does not depend on them.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from moco.export.probe_geometry import LayerShape, PairGeometry
from moco.export.quantize import WIDEST, observed_tensors, quantize
from moco.export.template import INPUT, OUTPUT
from moco.interfaces import QuantizePlacement
from moco.randomness import generator

OPSET, IR_VERSION = 18, 10
IMAGE_CHANNELS = 3
ENOUGH_MACS, MOST_REPEATS = 16_000_000, 4
SPREAD = 4.0  # quantizer ranges: activations of unit variance hardly leave [-4, 4]


@dataclass(frozen=True)
class Variant:
    """What is done to the pair."""

    width: int
    precision: str = "float32"
    keep: float | None = None  # both layers are factorised at this share of their ranks; None where they are whole


def repeats(geometry: PairGeometry) -> int:
    """How often the pair is put side by side, at every width: as often as it is small."""
    return min(MOST_REPEATS, max(1, math.ceil(ENOUGH_MACS / geometry.macs)))


def pair_graph(
    geometry: PairGeometry,
    variant: Variant,
    int8_kinds: Collection[str] | None = None,
    placement: QuantizePlacement = WIDEST,
) -> onnx.ModelProto:
    """The graph of the pair: float32 images in, `logits` out, as all of moco's files.

    Only layers of the `int8_kinds`, those that the target has, are put into int8; None means all.
    """
    builder = _Graph()
    data, hw = INPUT, geometry.producer.input_hw
    channels = geometry.producer.in_channels
    image = (channels if channels <= IMAGE_CHANNELS else IMAGE_CHANNELS, *hw)
    if channels > IMAGE_CHANNELS:
        data = builder.layer("stem", data, LayerShape("conv", IMAGE_CHANNELS, channels, (1, 1), (1, 1), hw, hw))
    if geometry.producer.kind == "linear":
        data = builder.node("Flatten", [data], "flat")
    ends = [_branch(builder, f"pair{index}", data, geometry, variant) for index in range(repeats(geometry))]
    total = ends[0]
    for index, end in enumerate(ends[1:]):
        total = builder.node("Add", [total, end], f"sum{index}")
    builder.node("Flatten", [total], OUTPUT)
    proto = builder.model(image, geometry.consumer.out_channels)
    if variant.precision == "float32":
        return proto
    chosen = [name for name, kind in builder.kinds.items() if int8_kinds is None or kind in int8_kinds]
    clipped = {node.output[0] for node in proto.graph.node if node.op_type == "Relu"}
    tensors = observed_tensors(proto, chosen, placement)
    ranges = {name: (0.0 if name in clipped else -SPREAD, SPREAD) for name in tensors}
    return quantize(proto, chosen, ranges, placement=placement)


def factorised(shape: LayerShape, keep: float) -> tuple[LayerShape, ...]:
    """The layers that a layer is factorised into at ranks ceil(keep x channels).

    A kxk convolution becomes 1x1, kxk, 1x1 (Tucker in both channel modes), a 1x1 convolution or a linear layer two of
    its kind (SVD, rank ceil(keep x the smaller side)); a depthwise one stays.
    """
    if shape.kind == "depthwise":
        return (shape,)
    if shape.kind == "linear" or shape.kernel == (1, 1):
        rank = math.ceil(keep * min(shape.in_channels, shape.out_channels))
        last = replace(shape, in_channels=rank)
        return replace(shape, out_channels=rank, stride=(1, 1), output_hw=shape.input_hw), last
    low, high = math.ceil(keep * shape.in_channels), math.ceil(keep * shape.out_channels)
    one = {"kernel": (1, 1), "stride": (1, 1)}
    return (
        LayerShape("conv", shape.in_channels, low, **one, input_hw=shape.input_hw, output_hw=shape.input_hw),
        replace(shape, in_channels=low, out_channels=high),
        LayerShape("conv", high, shape.out_channels, **one, input_hw=shape.output_hw, output_hw=shape.output_hw),
    )


def _branch(graph: _Graph, name: str, data: str, geometry: PairGeometry, variant: Variant) -> str:
    """Producer, depthwise layer, pooling and consumer, up to one value a channel."""
    width, consumer = variant.width, geometry.consumer
    data = graph.layers(f"{name}.producer", data, replace(geometry.producer, out_channels=width), variant.keep)
    if geometry.depthwise is not None:
        shape = replace(geometry.depthwise, in_channels=width, out_channels=width)
        data = graph.layer(f"{name}.depthwise", data, shape)
    if consumer.kind == "linear":
        features = consumer.in_channels // geometry.width
        if features == 1 and geometry.middle_hw != (1, 1):
            data = graph.node("GlobalAveragePool", [data], f"{name}.pooled")
        if geometry.producer.kind != "linear":
            data = graph.node("Flatten", [data], f"{name}.flat")
        consumer = replace(consumer, in_channels=width * features)
        return graph.layers(f"{name}.consumer", data, consumer, variant.keep, last=True)
    window = [have // want for have, want in zip(geometry.middle_hw, consumer.input_hw, strict=True)]
    if window != [1, 1]:
        data = graph.node("MaxPool", [data], f"{name}.pooled", kernel_shape=window, strides=window)
    data = graph.layers(f"{name}.consumer", data, replace(consumer, in_channels=width), variant.keep)
    return graph.node("GlobalAveragePool", [data], f"{name}.end")


class _Graph:
    def __init__(self) -> None:
        self.kinds: dict[str, str] = {}  # by layer
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[TensorProto] = []
        self._noise = generator(0, "probe weights").standard_normal(8191).astype(np.float32)

    def layers(self, name: str, data: str, shape: LayerShape, keep: float | None, last: bool = False) -> str:
        """A layer, or what it is factorised into; an activation follows where it is not the `last`."""
        parts = (shape,) if keep is None else factorised(shape, keep)
        for index, part in enumerate(parts):
            final = index == len(parts) - 1
            data = self.layer(f"{name}.{index}", data, part, bias=final, relu=final and not last)
        return data

    def layer(self, name: str, data: str, shape: LayerShape, bias: bool = True, relu: bool = True) -> str:
        """A convolution or a linear layer with noise for weights, unit variance in and out."""
        self.kinds[name] = shape.kind
        inner = 1 if shape.kind == "depthwise" else shape.in_channels
        size = (shape.out_channels, inner, *(() if shape.kind == "linear" else shape.kernel))
        scale = math.sqrt((2 if relu else 1) / math.prod(size[1:]))
        operands = [data, self._constant(f"{name}.weight", size, scale)]
        if bias:
            operands.append(self._constant(f"{name}.bias", (shape.out_channels,), 0.1))
        if shape.kind == "linear":
            out = self.node("Gemm", operands, f"{name}.out", transB=1)
        else:
            attributes = {"kernel_shape": shape.kernel, "strides": shape.stride, "pads": _pads(shape)}
            group = shape.in_channels if shape.kind == "depthwise" else 1
            out = self.node("Conv", operands, f"{name}.out", **attributes, group=group)
        return self.node("Relu", [out], f"{name}.relu") if relu else out

    def node(self, op_type: str, operands: list[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(op_type, operands, [output], **attributes))
        return output

    def model(self, image: tuple[int, int, int], classes: int) -> onnx.ModelProto:
        inputs = [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", *image])]
        outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", classes])]
        graph = helper.make_graph(self._nodes, "pay_off", inputs, outputs, self._initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)

    def _constant(self, name: str, size: tuple[int, ...], scale: float) -> str:
        # Tiled noise is drawn in no time; each constant starts elsewhere, lest the runtime merge equal layers.
        start = 37 * len(self._initializers)
        values = np.resize(np.roll(self._noise, start), size) * np.float32(scale)
        self._initializers.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float32), name))
        return name


def _pads(shape: LayerShape) -> list[int]:
    """Padding (top, left, bottom, right) with which the input's size becomes the output's, the same on both sides.

    Only where no even padding gives that size is there less of it at the far end.
    """
    before, after = [], []
    for size, out, kernel, stride in zip(shape.input_hw, shape.output_hw, shape.kernel, shape.stride, strict=True):
        total = max(0, (out - 1) * stride + kernel - size)
        first = math.ceil(total / 2)
        even = (size + 2 * first - kernel) // stride + 1 == out
        before.append(first)
        after.append(first if even else total - first)
    return [*before, *after]
