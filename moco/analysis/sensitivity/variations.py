"""One layer of a network compressed and all others left: the modules to put in, made without copying the rest.

The numbers are those of the exported quantize/dequantize nodes (moco.export.quantize): weights symmetric, one scale an
output channel; activations asymmetric, one scale a tensor, from their extremes. Biases stay in float.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from moco.analysis.sensitivity.prefix_reuse import Edit, Edited, Variation
from moco.compression.channels.groups import ChannelGraph
from moco.compression.channels.surgery import module_or_tensor, thinned
from moco.export.bits import Scale
from moco.recovery.quantization_aware import fake_quantized_activation, fake_quantized_weight


@dataclass
class Range:
    """Lowest and highest value that was seen, zero included, since zero must have a code."""

    low: float = 0.0
    high: float = 0.0

    def see(self, x: Tensor) -> Tensor:
        """Widen the range by the values of `x`, which is given back."""
        low, high = torch.aminmax(x)
        self.low, self.high = min(self.low, float(low)), max(self.high, float(high))
        return x


@dataclass(frozen=True)
class Ranges:
    """Of one layer: what it reads, and what it gives behind the activation that alone reads it."""

    read: Range
    given: Range


def watching(network: nn.Module, layers: Iterable[str]) -> tuple[Variation, dict[str, Ranges]]:
    """The reference, which fills the ranges when it is run."""
    ranges = {name: Ranges(Range(), Range()) for name in layers}
    modules = {name: nn.Sequential(Edited(r.read.see), network.get_submodule(name)) for name, r in ranges.items()}
    return Variation(modules, {name: r.given.see for name, r in ranges.items()}), ranges


def touched(graph: ChannelGraph, group: str) -> tuple[str, ...]:
    """The modules, and tensors of others, that lose channels when the group does."""
    return tuple(dict.fromkeys(name for (name, _), axis in graph.axes.items() if group in axis.groups))


def pruned(network: nn.Module, graph: ChannelGraph, group: str, kept: np.ndarray) -> Variation:
    """The network with only these channels of the group, by real surgery of the modules that hold them.

    The network is what the graph was made of, or its folded copy; `kept` are ascending indices of the channels that
    stay.
    """
    names = touched(graph, group)
    axes = {key: axis for key, axis in graph.axes.items() if key[0] in names}
    thin = thinned(_bare(network, names), axes, {group: kept})
    parts = {name: module_or_tensor(thin, name) for name in names}
    modules = {name: module for name, module in parts.items() if isinstance(module, nn.Module)}
    return Variation(modules, tensors={name: t for name, t in parts.items() if isinstance(t, Tensor)})


def with_weight_bits(network: nn.Module, layer: str, bits: int) -> Variation:
    """The layer with weights of that many bits."""
    return Variation({layer: _rounded(network.get_submodule(layer), bits)})


def with_activation_bits(network: nn.Module, layer: str, bits: int, ranges: Ranges) -> Variation:
    """The layer reading activations of that many bits."""
    return Variation({layer: nn.Sequential(Edited(_coded(ranges.read, bits)), network.get_submodule(layer))})


def in_int8(network: nn.Module, layer: str, ranges: Ranges) -> Variation:
    """The layer as the exporter writes it: weights, what it reads and what it gives in 8 bits."""
    module = nn.Sequential(Edited(_coded(ranges.read, 8)), _rounded(network.get_submodule(layer), 8))
    return Variation({layer: module}, {layer: _coded(ranges.given, 8)})


def _coded(seen: Range, bits: int) -> Edit:
    """Values on 2^bits codes that span the range as it is then; zero is one of them."""
    return lambda x: fake_quantized_activation(x, Scale.of(seen.low, seen.high, bits))


def _rounded(layer: nn.Module, bits: int) -> nn.Module:
    rounded = copy.deepcopy(layer)
    assert isinstance(rounded.weight, Tensor)
    rounded.weight.data = fake_quantized_weight(rounded.weight.detach(), bits)
    return rounded


def _bare(network: nn.Module, names: Iterable[str]) -> nn.Module:
    """A module that holds these modules and tensors of the network by name, and nothing else: cheap to copy."""
    bare = nn.Module()
    for name in names:
        owner = bare
        *path, leaf = name.split(".")
        for part in path:
            if part not in dict(owner.named_children()):
                owner.add_module(part, nn.Module())
            owner = owner.get_submodule(part)
        setattr(owner, leaf, module_or_tensor(network, name))
    return bare
