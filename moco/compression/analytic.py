"""Exact costs of a policy without building its network: counts scale with the widths on either side of a layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn

from moco.compression.groups import ChannelGraph
from moco.compression.settings import BITS, FLOAT32
from moco.counting import Counts


@dataclass(frozen=True)
class _Layer:
    name: str
    positions: int  # output height x width
    depthwise: bool
    has_bias: bool
    kernel: int


@dataclass(frozen=True)
class AnalyticCost:
    """Counts of a network whose channel groups have any widths.

    Attributes:
        channels: by (module, "out" or "in"): channels without an owner, and by group the channels that one of its own
            stands for here.
        other_parameters: parameters that no policy changes.
    """

    layers: tuple[_Layer, ...]
    channels: Mapping[tuple[str, str], tuple[int, Mapping[str, float]]]
    full_widths: Mapping[str, int]
    norms: tuple[str, ...]
    other_parameters: int

    def of(self, widths: Mapping[str, int], precisions: Mapping[str, str]) -> dict[str, float]:
        """macs, flops, bops, parameters, packed_size_mb under these widths (by group) and precisions (by layer)."""
        macs = bops = bits_stored = parameters = 0
        counted: set[str] = set()
        for layer in self.layers:
            out, inner = self._width(layer.name, "out", widths), self._width(layer.name, "in", widths)
            per_output = layer.kernel * (1 if layer.depthwise else inner)
            bits = BITS[precisions.get(layer.name, FLOAT32)]
            layer_macs = layer.positions * out * per_output
            macs += layer_macs
            bops += layer_macs * bits * bits
            if layer.name not in counted:  # a layer that is used twice is stored once
                counted.add(layer.name)
                parameters += out * (per_output + layer.has_bias)
                bits_stored += out * (per_output * bits + layer.has_bias * 32)
        affine = sum(2 * self._width(name, "out", widths) for name in self.norms) + self.other_parameters
        packed = bits_stored / 8 + affine * 4
        return {
            "macs": macs, "flops": 2 * macs, "bops": bops, "parameters": parameters + affine,
            "packed_size_mb": packed / 1e6,
        }  # fmt: skip

    def _width(self, module: str, axis: str, widths: Mapping[str, int]) -> int:
        fixed, owned = self.channels[module, axis]
        return fixed + round(sum(share * widths.get(group, self.full_widths[group]) for group, share in owned.items()))


def analytic_cost(network: nn.Module, graph: ChannelGraph, counts: Counts) -> AnalyticCost:
    """The cost function of a network with these channel groups."""
    layers = tuple(
        _Layer(
            layer.name,
            layer.output_hw[0] * layer.output_hw[1],
            layer.kind == "depthwise",
            getattr(network.get_submodule(layer.name), "bias", None) is not None,
            layer.kernel[0] * layer.kernel[1],
        )
        for layer in counts.layers
    )
    norms = tuple(
        name
        for name, module in network.named_modules()
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and module.affine and (name, "out") in graph.axes
    )
    # A grouped convolution is never pruned; each of its outputs reads one group's share of the inputs.
    modules = {
        layer.name: (layer.out_channels, layer.in_channels // (layer.groups if layer.kind == "grouped" else 1))
        for layer in counts.layers
    }
    channels: dict[tuple[str, str], tuple[int, Mapping[str, float]]] = {}
    for name, (out, inner) in modules.items():
        channels[name, "out"] = _shares(graph, name, "out", out)
        channels[name, "in"] = _shares(graph, name, "in", inner)
    for name in norms:
        channels[name, "out"] = _shares(graph, name, "out", len(graph.axes[name, "out"].owner))
    full = {name: group.channels for name, group in graph.groups.items()}
    empty = AnalyticCost(layers, channels, full, norms, 0)
    accounted = int(empty.of({}, {})["parameters"])
    return AnalyticCost(layers, channels, full, norms, counts.parameters - accounted)


def _shares(graph: ChannelGraph, module: str, axis: str, width: int) -> tuple[int, Mapping[str, float]]:
    owner = graph.axes.get((module, axis))
    if owner is None:
        return width, {}
    shares = {
        group: float(np.sum(owner.owner == index)) / graph.groups[group].channels
        for index, group in enumerate(owner.groups)
    }
    return int(np.sum(owner.owner < 0)), shares
