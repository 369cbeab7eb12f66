"""Exact costs of a policy without building its network: counts scale with the widths on either side of a layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn

from moco.compression.channels.groups import ChannelGraph
from moco.compression.counting import Counts
from moco.compression.methods.factorisation import SvdRank, TuckerRanks
from moco.compression.policy_settings import FLOAT_BITS, Bits, Factors


@dataclass(frozen=True)
class _Layer:
    name: str
    positions: int  # height x width of the output; of the input where the convolution is transposed
    input_positions: int
    inner: int | None  # input channels that an output reads where no policy changes them: in a grouped convolution
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

    def of(
        self,
        widths: Mapping[str, int],
        bits: Mapping[str, Bits],
        factors: Mapping[str, Factors] | None = None,
        weights_kept: Mapping[str, int] | None = None,
    ) -> dict[str, float]:
        """macs, flops, bops, parameters, packed_size_mb of a policy.

        Weights that are zero are counted as any other (W33); packed, each costs the one bit that says so.

        Args:
            widths: by channel group.
            bits: by layer; 32 x 32 for the others.
            factors: by factorised layer, its ranks.
            weights_kept: by layer whose weights are pruned one by one, how many are not zero.
        """
        macs = bops = bits_stored = parameters = 0
        counted: set[str] = set()
        for layer in self.layers:
            out, used = self.width(layer.name, "out", widths), bits.get(layer.name, FLOAT_BITS)
            parts = list(self._parts(layer, widths, (factors or {}).get(layer.name)))
            layer_macs = sum(positions * outputs * per_output for positions, outputs, per_output in parts)
            macs += layer_macs
            bops += layer_macs * used.weights * used.activations
            if layer.name not in counted:  # a layer that is used twice is stored once
                counted.add(layer.name)
                stored = weights = sum(outputs * per_output for _, outputs, per_output in parts)
                if weights_kept is not None and layer.name in weights_kept:
                    stored = weights_kept[layer.name]
                    bits_stored += weights
                parameters += weights + out * layer.has_bias
                bits_stored += stored * used.weights + out * layer.has_bias * 32
        affine = sum(2 * self.width(name, "out", widths) for name in self.norms) + self.other_parameters
        packed = bits_stored / 8 + affine * 4
        return {
            "macs": macs, "flops": 2 * macs, "bops": bops, "parameters": parameters + affine,
            "packed_size_mb": packed / 1e6,
        }  # fmt: skip

    def weights(self, layer: str, widths: Mapping[str, int]) -> int:
        """Number of weights of the layer, not factorised, under these widths; its bias is not counted."""
        found = next(known for known in self.layers if known.name == layer)
        return sum(outputs * per_output for _, outputs, per_output in self._parts(found, widths, None))

    def _parts(
        self, layer: _Layer, widths: Mapping[str, int], factors: Factors | None
    ) -> Iterator[tuple[int, int, int]]:
        """(positions, outputs, weights of an output) of the layer, or of those that take its place."""
        out, inner = self.width(layer.name, "out", widths), self.width(layer.name, "in", widths)
        if isinstance(factors, TuckerRanks):
            yield layer.input_positions, factors.rank_in, inner
            yield layer.positions, factors.rank_out, layer.kernel * factors.rank_in
            yield layer.positions, out, factors.rank_out
        elif isinstance(factors, SvdRank):
            yield layer.positions, factors.rank, inner
            yield layer.positions, out, factors.rank
        else:
            yield layer.positions, out, layer.kernel * (inner if layer.inner is None else layer.inner)

    def width(self, module: str, axis: str, widths: Mapping[str, int]) -> int:
        """Channels on that side ("out" or "in") of a module under these widths by group."""
        fixed, owned = self.channels[module, axis]
        return fixed + round(sum(share * widths.get(group, self.full_widths[group]) for group, share in owned.items()))


def analytic_cost(network: nn.Module, graph: ChannelGraph, counts: Counts) -> AnalyticCost:
    """The cost function of a network with these channel groups."""
    layers = tuple(
        _Layer(
            layer.name,
            layer.positions,
            layer.input_hw[0] * layer.input_hw[1],
            None if layer.groups == 1 else layer.in_channels // layer.groups,
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
    modules = {layer.name: (layer.out_channels, layer.in_channels) for layer in counts.layers}
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
