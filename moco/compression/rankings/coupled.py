"""From scores of single layers to importances of channels.

Channels of coupled layers go together, so what their layers say is added, each layer's scores divided by their own
mean: otherwise the layer with the largest numbers would decide alone. Two exceptions: Fisher information adds before
it squares, in units of the loss; a random importance belongs to the channel, not to a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn

from moco.compression.channels.groups import ChannelGraph
from moco.compression.rankings.ranking import Importances
from moco.errors import CompressionError

TINY = torch.finfo(torch.float64).tiny


def of_filters(network: nn.Module, graph: ChannelGraph, score: Callable[[torch.Tensor], torch.Tensor]) -> Importances:
    """Importances from a score (filters,) of each layer's filters (filters, weights of one)."""
    scores = {name: score(filters(network, name)) for name in producers(graph)}
    return coupled(graph, "out", scores, "no layer gives")


def producers(graph: ChannelGraph) -> list[str]:
    """The layers that give the channels of some group."""
    return list(dict.fromkeys(name for group in graph.groups.values() for name in group.producers))


def filters(network: nn.Module, layer: str) -> torch.Tensor:
    """The layer's weights (filters, weights of one), float64."""
    weight = network.get_submodule(layer).get_parameter("weight").detach().double().cpu()
    return by_filter(network, layer, weight)


def input_slices(network: nn.Module, layer: str) -> torch.Tensor:
    """The layer's weights by the channel that they read (input channels, weights of one), float64.

    A layer of g groups of channels reads its input in g parts, each with filters of its own.
    """
    module = network.get_submodule(layer)
    weight = module.get_parameter("weight").detach().double().cpu()
    parts = int(getattr(module, "groups", 1))
    if isinstance(module, nn.ConvTranspose2d):
        return weight.flatten(1)
    own = weight.reshape(parts, -1, *weight.shape[1:]).transpose(1, 2)  # (groups, inputs of one, filters of one, …)
    return own.flatten(0, 1).flatten(1)


def by_filter(network: nn.Module, layer: str, weights: torch.Tensor) -> torch.Tensor:
    """Numbers of the form of a layer's weight as (filters, weights of one); a transposed one's has its inputs first."""
    transposed = isinstance(network.get_submodule(layer), nn.ConvTranspose2d)
    return (weights.transpose(0, 1) if transposed else weights).flatten(1)


def coupled(graph: ChannelGraph, side: str, scores: Mapping[str, torch.Tensor], lacking: str) -> Importances:
    """Importances from scores of single layers: added over the coupled ones, each layer's divided by its own mean.

    The scores (places,) by layer are of what it gives (`side` "out") or reads ("in"). A channel without any score is a
    CompressionError, whose text begins with `lacking`.
    """
    total = {name: torch.zeros(group.channels, dtype=torch.float64) for name, group in graph.groups.items()}
    covered = {name: torch.zeros(group.channels, dtype=torch.bool) for name, group in graph.groups.items()}
    for layer, score in scores.items():
        axis = graph.axes[layer, side]
        for index, name in enumerate(axis.groups):
            if name not in total:
                continue
            places = np.flatnonzero(axis.owner == index)
            channels = torch.from_numpy(axis.channel[places])
            own = torch.zeros_like(total[name]).index_add_(0, channels, score[torch.from_numpy(places)])
            total[name] += own / own[torch.from_numpy(np.unique(axis.channel[places]))].mean().clamp_min(TINY)
            covered[name][channels] = True
    for name, having in covered.items():
        if not having.all():
            raise CompressionError(
                f"{lacking} {int((~having).sum())} of the {len(having)} channels of '{name}'; use another ranking"
            )
    return {name: values.numpy() for name, values in total.items()}
