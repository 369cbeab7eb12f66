"""What is probed for pay-off: the pair of layers that a channel group lies between, as it appears in the network.

A group's width is the output of its producers and the input of its consumers. Groups whose pairs have the same
kernels, strides and sizes cost the same at every width, so they are one geometry: a ResNet-56 has 30 groups and five.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from moco.compression.channels.groups import ChannelGroup
from moco.compression.counting import Counts, LayerCount, LayerKind

Size = tuple[int, int]


@dataclass(frozen=True)
class LayerShape:
    """A layer as far as its latency depends on it; sizes and kernels are (height, width)."""

    kind: LayerKind
    in_channels: int
    out_channels: int
    kernel: Size
    stride: Size
    input_hw: Size
    output_hw: Size

    @staticmethod
    def of(layer: LayerCount) -> LayerShape:
        """The shape of a counted layer."""
        return LayerShape(**{field.name: getattr(layer, field.name) for field in fields(LayerShape)})

    @property
    def weights(self) -> int:
        """How many weights the layer has, without its bias."""
        inner = 1 if self.kind == "depthwise" else self.in_channels
        return inner * self.out_channels * self.kernel[0] * self.kernel[1]

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image."""
        return self.weights * self.output_hw[0] * self.output_hw[1]

    @property
    def text(self) -> str:
        """Kernel and stride in short."""
        if self.kind == "linear":
            return "linear"
        return f"{_x(self.kernel)}{'dw' if self.kind == 'depthwise' else ''}{_stride(self.stride)}"


@dataclass(frozen=True)
class PairGeometry:
    """Two layers with the channels of a group between them."""

    producer: LayerShape
    depthwise: LayerShape | None  # works on each of them between the two; None where there is none
    consumer: LayerShape  # reads them; where it is linear, `consumer.in_channels` is a multiple of the width

    @property
    def width(self) -> int:
        """Channels of the group in the uncompressed network."""
        return self.producer.out_channels

    @property
    def middle_hw(self) -> Size:
        """Size of the maps that the last layer before the consumer gives."""
        return (self.depthwise or self.producer).output_hw

    @property
    def key(self) -> str:
        """The geometry as text, K being its width; equal for equal geometries only."""
        layers = [layer for layer in (self.producer, self.depthwise, self.consumer) if layer is not None]
        sizes = [self.producer.input_hw, *(layer.output_hw for layer in layers)]
        if self.consumer.input_hw != self.middle_hw:
            sizes.insert(-1, self.consumer.input_hw)
        sizes = sizes if len(set(sizes)) > 1 else sizes[:1]
        return (
            f"{self.producer.in_channels}→K→{self.consumer.out_channels}, K={self.width}, "
            f"{' '.join(layer.text for layer in layers)}, {'→'.join(map(_x, sizes))}"
        )

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the pair at full width, for one image."""
        return self.producer.macs + (self.depthwise.macs if self.depthwise else 0) + self.consumer.macs

    def weights_at(self, width: int) -> int:
        """Weights of the pair at a width."""
        return max(1, (self.producer.weights + self.consumer.weights) * width // self.width)


@dataclass(frozen=True)
class Geometries:
    """The geometries of a network."""

    of_group: Mapping[str, PairGeometry]
    left_out: Mapping[str, str]  # groups whose pair cannot be built on its own: name and reason

    def distinct(self) -> tuple[PairGeometry, ...]:
        """Each geometry once, in the order of the network."""
        return tuple(dict.fromkeys(self.of_group.values()))


def geometries(counts: Counts, groups: Iterable[ChannelGroup]) -> Geometries:
    """The pair of each channel group: of several producers or consumers, the shape that most of the work is done in."""
    found: dict[str, PairGeometry] = {}
    left_out: dict[str, str] = {}
    layers = {layer.name: layer for layer in reversed(counts.layers)}  # of several uses, the first
    for group in groups:
        pair = _pair(group, layers)
        if isinstance(pair, str):
            left_out[group.name] = pair
        else:
            found[group.name] = pair
    return Geometries(found, left_out)


def _pair(group: ChannelGroup, layers: Mapping[str, LayerCount]) -> PairGeometry | str:
    """The geometry of a group, or why it has none."""
    members = [layers[name] for name in (*group.producers, *group.consumers) if name in layers]
    if odd := [layer.name for layer in members if layer.kind == "grouped"]:
        return f"'{odd[0]}' is a grouped convolution"
    if odd := [layer.name for layer in members if layer.kind == "linear" and layer.input_hw != (1, 1)]:
        return f"'{odd[0]}' is linear over several positions"
    around: Counter[LayerShape] = Counter()
    for layer in members:
        around[LayerShape.of(layer)] += layer.macs
    given = {LayerShape.of(layers[name]) for name in group.producers if name in layers}
    read = {LayerShape.of(layers[name]) for name in group.consumers if name in layers}
    depthwise = [shape for shape in given | read if shape.kind == "depthwise"]
    producers = [shape for shape in given if shape.kind != "depthwise" and shape.out_channels == group.channels]
    if not producers:
        return "no layer gives its channels, and only them"
    producer = max(producers, key=lambda shape: (around[shape], shape.macs))
    between = max(
        (shape for shape in depthwise if shape.input_hw == producer.output_hw and shape.in_channels == group.channels),
        key=lambda shape: around[shape],
        default=None,
    )
    middle = (between or producer).output_hw
    consumers = [shape for shape in read if shape.kind != "depthwise" and _follows(middle, group.channels, shape)]
    if not consumers:
        return "no layer reads its channels, and only them, in the size in which they are given"
    consumer = max(consumers, key=lambda shape: (shape.input_hw == middle, around[shape], shape.macs))
    return PairGeometry(producer, between, consumer)


def _follows(middle: Size, channels: int, consumer: LayerShape) -> bool:
    """Whether the consumer can read maps of `channels` channels and that size, after pooling where need be."""
    if consumer.kind == "linear":
        return consumer.in_channels in {channels, channels * middle[0] * middle[1]}
    fits = all(have >= want and have % want == 0 for have, want in zip(middle, consumer.input_hw, strict=True))
    return consumer.in_channels == channels and fits


def _x(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


def _stride(stride: Size) -> str:
    return "" if stride == (1, 1) else f"/{stride[0]}" if stride[0] == stride[1] else f"/{_x(stride)}"
