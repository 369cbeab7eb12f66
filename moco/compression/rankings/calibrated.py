"""Rankings by what the network shows on calibration images: gradients of its weights, and what its layers read."""

from __future__ import annotations

import torch
from torch import nn

from moco.compression.channels.groups import ChannelGraph
from moco.compression.collecting import image_batches, labelled_batches, mean_reads, weight_gradients
from moco.compression.rankings.coupled import by_filter, coupled, filters, producers
from moco.compression.rankings.ranking import IMAGES, LABELS, Data, Importances, Ranking, Rng


class Activation(Ranking):
    """L1 norm, over its positions, of the mean over the images of the map that the next layer reads (S1.41)."""

    name = "activation"
    needs = frozenset({IMAGES})

    def scores(self, network: nn.Module, graph: ChannelGraph, data: Data, rng: Rng) -> Importances:
        """See the class."""
        readers = list(dict.fromkeys(name for group in graph.groups.values() for name in group.consumers))
        means = mean_reads(network, readers, image_batches(self.name, data))
        scores = {
            name: torch.stack([_by_channel(network, name, mean.abs()) for mean in calls]).sum(dim=0)
            for name, calls in means.items()
            if calls
        }
        return coupled(graph, "in", scores, f"ranking '{self.name}': no layer reads")


def _by_channel(network: nn.Module, layer: str, mean: torch.Tensor) -> torch.Tensor:
    """Sum over the positions of what a layer reads: (channels,)."""
    if isinstance(network.get_submodule(layer), nn.Linear):
        return mean.cpu().reshape(-1, mean.shape[-1]).sum(dim=0)
    return mean.cpu().flatten(1).sum(dim=1)


class Taylor(Ranking):
    """|sum of weight times gradient| of each filter, of the mean loss over the data (Molchanov et al. 2019).

    To first order, by how much the loss changes when the filter is set to zero.
    """

    name = "taylor"
    needs = frozenset({IMAGES, LABELS})

    def scores(self, network: nn.Module, graph: ChannelGraph, data: Data, rng: Rng) -> Importances:
        """See the class."""
        layers = producers(graph)
        gradients = weight_gradients(network, layers, labelled_batches(self.name, data))
        by_layer = {name: by_filter(network, name, gradient.cpu()) for name, gradient in gradients.items()}
        scores = {name: (filters(network, name) * by_layer[name]).sum(dim=1).abs() for name in layers}
        return coupled(graph, "out", scores, f"ranking '{self.name}': no layer gives")
