"""The layers that read pruned channels: which they are, what they have left, and which a refit can take."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from moco.compression.channels.groups import ChannelGraph

MOST_COLUMNS = 8192
"""Weights an output of the largest layer that is refitted: its Gram matrix takes half a gigabyte."""


def weighted_layers(network: nn.Module) -> dict[str, nn.Module]:
    """Every convolution, transposed ones too, and linear layer, by name."""
    kinds = nn.Conv2d | nn.ConvTranspose2d | nn.Linear
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, kinds)}


def consumers(network: nn.Module, graph: ChannelGraph) -> dict[str, nn.Module]:
    """The layers that may lose input channels, by name."""
    return {
        name: layer for name, layer in weighted_layers(network).items() if (name, reading_side(layer)) in graph.axes
    }


def reading_side(layer: nn.Module) -> str:
    """The side that says which inputs a layer has: where each output reads its own input, both sides are one."""
    return "out" if isinstance(layer, nn.Conv2d) and layer.groups > 1 else "in"


def refusal(layer: nn.Module) -> str | None:
    """Why a layer of this kind and size cannot be refitted."""
    if isinstance(layer, nn.Conv2d) and layer.groups > 1:
        kind = "depthwise" if layer.groups == layer.in_channels else "grouped"
        return f"is a {kind} convolution, each of whose outputs reads only some inputs"
    if isinstance(layer, nn.ConvTranspose2d):
        return "is a transposed convolution, whose outputs are sums over several places"
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    columns = layer.weight[0].numel()
    if columns > MOST_COLUMNS:
        return f"has {columns:,} weights an output; a refit takes at most {MOST_COLUMNS:,}"
    return None


def channels_left(graph: ChannelGraph, side: tuple[str, str], kept: Mapping[str, np.ndarray]) -> Tensor | None:
    """Ascending channels that stay on that side, (layer, "in" or "out"); None where all do."""
    axis = graph.axes.get(side)
    places = None if axis is None else axis.kept(kept)
    return None if axis is None or places is None or len(places) == len(axis.owner) else torch.from_numpy(places)
