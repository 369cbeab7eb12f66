"""Exact costs of a policy without building its network: counts scale with the widths on either side of a layer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from torch import nn

from moco.compression.channels.groups import ChannelGraph
from moco.compression.channels.surgery import module_or_tensor, within
from moco.compression.counting import Counts, LayerCount


class LayerCost(NamedTuple):
    """What one use of a layer costs; a method gives another one for what it makes of the layer.

    A tuple, because thousands of policies are priced and a frozen dataclass takes five times as long to make.
    """

    # outputs, inputs: channels on either side
    outputs: int
    inputs: int
    kernel: int
    positions: int  # height x width of the output; of the input where the convolution is transposed
    input_positions: int
    # (positions, outputs, weights of an output) of the layer, or of those that take its place
    products: tuple[tuple[int, int, int], ...]
    weight_bits: int = 32
    activation_bits: int = 32
    packed_bits: int | None = None  # what the weights take without scales; None for `weight_bits` each

    @property
    def weights(self) -> int:
        """Number of weights; the bias is not counted."""
        return sum(outputs * per_output for _, outputs, per_output in self.products)

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image."""
        return sum(positions * outputs * per_output for positions, outputs, per_output in self.products)

    @property
    def scale_bits(self) -> int:
        """What the scales of integer codes take: one of 32 bits for each output, as the file has them."""
        return 32 * sum(outputs for _, outputs, _ in self.products) if self.weight_bits < 32 else 0


Change = Callable[[LayerCost], LayerCost]


@dataclass(frozen=True)
class AnalyticCost:
    """Counts of a network whose channel groups have any widths."""

    layers: tuple[LayerCount, ...]
    biased: frozenset[str]  # layers that have a bias of their own
    # by (module, "out" or "in"): channels without an owner, and by group the channels that one of its own stands for
    # here
    channels: Mapping[tuple[str, str], tuple[int, Mapping[str, float]]]
    full_widths: Mapping[str, int]
    vectors: Mapping[str, int]  # by module or parameter, how many parameters each of its channels has
    other_parameters: int  # parameters that no policy changes where all modules stay
    tied: frozenset[str] = frozenset()  # layers whose weight is stored for an earlier layer
    others: Mapping[str, int] = field(default_factory=dict)  # those parameters by name, as modules may go

    def of(
        self,
        widths: Mapping[str, int],
        changes: Mapping[str, Sequence[Change]] | None = None,
        gone: Collection[str] = (),
    ) -> dict[str, float]:
        """macs, flops, bops, parameters, packed_size_mb of a policy; weights that are zero count as any other (W33).

        `changes` are what methods make of each layer, in their order; `gone` are modules that are not there any more,
        with all that is in them.
        """
        macs = bops = bits_stored = parameters = 0
        counted: set[str] = set()
        for layer in self.layers:
            if gone and within(layer.name, gone):
                continue
            cost = self._whole(layer, widths)
            for change in changes.get(layer.name, ()) if changes else ():
                cost = change(cost)
            macs += cost.macs
            bops += cost.macs * cost.weight_bits * cost.activation_bits
            if layer.name not in counted:  # a layer that is used twice is stored once
                counted.add(layer.name)
                bias = cost.outputs * (layer.name in self.biased)
                parameters += bias
                bits_stored += bias * 32
                if layer.name not in self.tied:
                    parameters += cost.weights
                    packed = cost.weights * cost.weight_bits if cost.packed_bits is None else cost.packed_bits
                    bits_stored += packed + cost.scale_bits
        vectors = {n: each for n, each in self.vectors.items() if not within(n, gone)} if gone else self.vectors
        affine = sum(each * self.width(name, "out", widths) for name, each in vectors.items()) + self.other_parameters
        affine -= sum(n for name, n in self.others.items() if within(name, gone)) if gone else 0
        packed_bytes = bits_stored / 8 + affine * 4
        return {
            "macs": macs, "flops": 2 * macs, "bops": bops, "parameters": parameters + affine,
            "packed_size_mb": packed_bytes / 1e6,
        }  # fmt: skip

    def weights(self, layer: str, widths: Mapping[str, int]) -> int:
        """Number of weights of the layer, not factorised, under these widths; its bias is not counted."""
        return self._whole(next(known for known in self.layers if known.name == layer), widths).weights

    def _whole(self, layer: LayerCount, widths: Mapping[str, int]) -> LayerCost:
        out, inner = self.width(layer.name, "out", widths), self.width(layer.name, "in", widths)
        kernel = layer.kernel[0] * layer.kernel[1]
        read = inner if layer.groups == 1 else layer.in_channels // layer.groups
        product, (height, width) = (layer.positions, out, kernel * read), layer.input_hw
        return LayerCost(out, inner, kernel, layer.positions, height * width, (product,))

    def width(self, module: str, axis: str, widths: Mapping[str, int]) -> int:
        """Channels on that side ("out" or "in") of a module under these widths by group."""
        fixed, owned = self.channels[module, axis]
        if not owned:
            return fixed
        return fixed + round(
            sum([share * widths.get(group, self.full_widths[group]) for group, share in owned.items()])
        )


OF_ANY_PRECISION = ("macs", "flops", "parameters")
"""The costs that do not depend on which layers are in how many bits."""
INT8_PRODUCT = 64.0
"""Bit operations of a multiplication in int8, which loses nothing to speak of."""
LEAST_SHARE = 1e-3
CAPACITY_EXPONENTS = (0.17, 0.28, 0.15)
"""Powers of the `capacity_ratios` that a trained network's error grows by; moco.finalists.promise has their sources."""


def macs_share(whole: Mapping[str, float], compressed: Mapping[str, float]) -> float:
    """Share of the multiply-accumulates that a compressed network has left, by the exact costs of both."""
    return max(compressed["macs"] / whole["macs"], LEAST_SHARE)


def capacity_ratios(whole: Mapping[str, float], compressed: Mapping[str, float]) -> tuple[float, float, float]:
    """How many times more the whole network has of multiply-accumulates, parameters, and bits in a product.

    By the exact costs of both; each at least 1. Of the bits those beyond int8 count for nothing.
    """
    macs = macs_share(whole, compressed)
    parameters = max(compressed["parameters"] / whole["parameters"], LEAST_SHARE)
    product = compressed["bops"] / compressed["macs"] if compressed["macs"] else INT8_PRODUCT
    return max(1 / macs, 1.0), max(1 / parameters, 1.0), max(INT8_PRODUCT / product, 1.0)


def analytic_cost(network: nn.Module, graph: ChannelGraph, counts: Counts) -> AnalyticCost:
    """The cost function of a network with these channel groups."""
    layers = {layer.name: network.get_submodule(layer.name) for layer in counts.layers}
    first = {id(parameter): name for name in reversed(layers) for parameter in layers[name].parameters()}
    biased = frozenset(name for name, layer in layers.items() if first.get(id(layer.bias)) == name)
    tied = frozenset(name for name, layer in layers.items() if first.get(id(layer.weight), name) != name)
    vectors = _vectors(network, graph, layers)
    sides = {(name, "out"): len(graph.axes[name, "out"].owner) for name in vectors}
    for layer in counts.layers:
        sides |= {(layer.name, "out"): layer.out_channels, (layer.name, "in"): layer.in_channels}
    channels = {side: _shares(graph, side, width) for side, width in sides.items()}
    full = {name: group.channels for name, group in graph.groups.items()}
    costs = AnalyticCost(counts.layers, biased, channels, full, vectors, 0, tied)
    others = _others(network, layers, vectors)
    return replace(costs, other_parameters=counts.parameters - int(costs.of({})["parameters"]), others=others)


def _others(network: nn.Module, layers: Collection[str], vectors: Collection[str]) -> dict[str, int]:
    """Parameters that are neither weights nor biases of these layers, nor counted by channels, by name.

    A layer may have some of its own, such as the gain of a convolution that standardises its weight.
    """

    def is_counted(name: str) -> bool:
        module, _, own = name.rpartition(".")
        return name in vectors or module in vectors or (module in layers and own in {"weight", "bias"})

    return {name: parameter.numel() for name, parameter in network.named_parameters() if not is_counted(name)}


def _vectors(network: nn.Module, graph: ChannelGraph, layers: Collection[str]) -> dict[str, int]:
    """By module that is no layer, or by parameter, whose channels a group owns: its parameters for each of them.

    A parameter that has several names counts once.
    """
    counted: set[int] = set()
    found: dict[str, int] = {}
    for name in (name for name, side in graph.axes if side == "out" and name not in layers):
        module = module_or_tensor(network, name)
        own = [module] if isinstance(module, nn.Parameter) else []
        own = list(module.parameters(recurse=False)) if isinstance(module, nn.Module) else own
        new = [parameter for parameter in own if id(parameter) not in counted]
        counted.update(map(id, new))
        if new:
            found[name] = len(new)
    return found


def _shares(graph: ChannelGraph, side: tuple[str, str], width: int) -> tuple[int, Mapping[str, float]]:
    owner = graph.axes.get(side)
    if owner is None:
        return width, {}
    shares = {
        group: float(np.sum(owner.owner == index)) / graph.groups[group].channels
        for index, group in enumerate(owner.groups)
    }
    return int(np.sum(owner.owner < 0)), shares
