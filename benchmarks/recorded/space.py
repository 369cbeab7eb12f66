"""The space of the recorded benchmarks: filters kept and weight bits by block, activation bits of the whole network.

| parameter | values | what it sets |
|---|---|---|
| `<block>.keep` | k / 8 of the filters, k = 2 … 8, multiples of 4 | filters kept of the block's first convolution |
| `<block>.weight_bits` | 2 to 8 | bits of the weights of the block's convolutions |
| `network.activation_bits` | 2 to 8 | bits of what the convolutions of all blocks read |

Every parameter is an integer, and every point is a policy of its own: nothing is rounded. Widths are multiples of 4, as
moco's target for processors asks for integers: others are slower. The stem and the head stay at 8 bits, as is usual.
Neutral is the whole network in int8. No weights, images or files are needed: only the structure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from optuna.distributions import BaseDistribution, IntDistribution

from moco.compression.compressor import Compressor
from moco.compression.costs import AnalyticCost
from moco.compression.methods.filter_pruning import FilterPruning, FilterPruningOptions
from moco.compression.methods.quantization import Quantization, QuantizationOptions
from moco.compression.policy_settings import bits_of, widths_of
from moco.compression.precision import INT8_BITS, Bits
from moco.compression.space.codec import cost_of
from moco.compression.space.layer_groups import PER_BLOCK, grouped
from moco.compression.space.network_space import SpaceOptions, network_space
from moco.interfaces import Capabilities
from moco.models import build_model
from moco.policy import Policy
from moco.space import LayerGroup, SearchSpace
from moco.trial import Point
from tests.policies import policy_of

BITS = (2, 8)
EIGHTHS, MULTIPLE = 8, 4
"""Widths of a block go in eighths of its filters, of no fewer than four channels, from a quarter up."""
ACTIVATION_BITS = "network.activation_bits"
KINDS = frozenset({"conv", "depthwise", "linear"})


@dataclass(frozen=True)
class Block:
    """A block of the network.

    Attributes:
        pruned: the channel group that `keep` sets.
        channels: its filters.
        layers: the convolutions whose bits are set.
    """

    name: str
    pruned: str
    channels: int
    layers: tuple[str, ...]

    @property
    def keep(self) -> str:
        """Name of the parameter: filters kept."""
        return f"{self.name}.keep"

    @property
    def weight_bits(self) -> str:
        """Name of the parameter: bits of its weights."""
        return f"{self.name}.weight_bits"


@dataclass(frozen=True)
class PruneBitsCodec:
    """Implements moco.space.Codec; `ends` are the layers that stay at 8 bits."""

    blocks: tuple[Block, ...]
    ends: tuple[str, ...]
    costs: AnalyticCost

    def policy(self, point: Point) -> Policy:
        """The policy that says the same."""
        widths = {block.pruned: (int(point[block.keep]), block.channels) for block in self.blocks}
        activations = int(point[ACTIVATION_BITS])
        bits = dict.fromkeys(self.ends, INT8_BITS)
        for block in self.blocks:
            bits |= dict.fromkeys(block.layers, Bits(int(point[block.weight_bits]), activations))
        return policy_of(widths, bits)

    def point(self, policy: Policy) -> Point:
        """The point that the policy came from."""
        widths, bits = widths_of(policy), bits_of(policy)
        point = {}
        for block in self.blocks:
            point[block.keep] = widths.get(block.pruned, block.channels)
            point[block.weight_bits] = bits[block.layers[0]].weights
        return {**point, ACTIVATION_BITS: bits[self.blocks[0].layers[0]].activations}

    def cost(self, policy: Policy) -> Mapping[str, float]:
        """Exact macs, flops, parameters, bops and packed_size_mb, this one as it was recorded: codes without scales.

        moco counts the scales today. The recording, its front and every run kept of it are of the size without them.
        """
        widths = widths_of(policy)
        scales = sum(self.costs.width(layer, "out", widths) for layer in bits_of(policy))
        costs = cost_of(self.costs, policy)
        return {**costs, "packed_size_mb": costs["packed_size_mb"] - scales * 4 / 1e6}

    def n_policies(self) -> int | None:
        """Every point is a policy."""
        return math.prod(len(values(distribution)) for distribution in distributions(self.blocks).values())


@dataclass(frozen=True)
class PruneBits:
    """The space of one network.

    Attributes:
        model: its name in moco's zoo.
        shape: of an image, (channels, height, width).
        layer_features: by layer, further numbers for the layer groups, such as its sensitivity.
    """

    model: str
    shape: tuple[int, int, int]
    layer_features: Mapping[str, Mapping[str, float]]

    @cached_property
    def space(self) -> SearchSpace:
        """The search space: a group for the activations first, then one a block in the order of the forward pass."""
        network = build_model(self.model)
        compressor = Compressor.of(network, torch.zeros(2, *self.shape))
        found = grouped(network, compressor.counts, compressor.graph, PER_BLOCK)
        inner = {
            group.name: next(c for c in group.channel_groups if len(c.producers) == 1)
            for group in found
            if len(group.layers) > 1
        }
        blocks = tuple(
            Block(group.name, inner[group.name].name, inner[group.name].channels, group.layers)
            for group in found
            if group.name in inner
        )
        quantized = {layer for block in blocks for layer in block.layers}
        ends = tuple(dict.fromkeys(c.name for c in compressor.counts.layers if c.name not in quantized))
        codec = PruneBitsCodec(blocks, ends, compressor.costs)
        described = network_space(
            found, compressor.counts, compressor.costs, self._options(), _ANY_INTEGER_TARGET
        ).groups  # for the features of S1.31 alone
        groups = {group.name: group for group in described}
        first = groups[ends[0]]
        layers = tuple(layer for block in blocks for layer in block.layers)
        return SearchSpace(
            distributions(blocks),
            (
                LayerGroup("network", (ACTIVATION_BITS,), layers, first.features),
                *(LayerGroup(b.name, (b.keep, b.weight_bits), b.layers, groups[b.name].features) for b in blocks),
            ),
            {name: d.high for name, d in distributions(blocks).items()},
            codec,
        )

    def _options(self) -> SpaceOptions:
        return SpaceOptions(
            (FilterPruning(FilterPruningOptions((0.25, 1.0))), Quantization(QuantizationOptions(("mixed",)))),
            layer_features=self.layer_features,
        )


def distributions(blocks: tuple[Block, ...]) -> dict[str, IntDistribution]:
    """The parameters: activation bits first, then filters and weight bits of each block."""
    found = {ACTIVATION_BITS: IntDistribution(*BITS)}
    for block in blocks:
        step = max(block.channels // EIGHTHS, MULTIPLE)
        found[block.keep] = IntDistribution(block.channels // 4, block.channels, step=step)
        found[block.weight_bits] = IntDistribution(*BITS)
    return found


_ANY_INTEGER_TARGET = Capabilities(
    ("float32", "int8", "mixed"), {}, dict.fromkeys(("float32", "int8", "mixed"), KINDS), frozenset()
)


def values(distribution: BaseDistribution) -> np.ndarray:
    """All values of an integer parameter, ascending."""
    assert isinstance(distribution, IntDistribution)
    return np.arange(distribution.low, distribution.high + 1, distribution.step)
