"""Rankings by what layers read of calibration images."""

from __future__ import annotations

import torch
from torch import nn

from moco.compression.channels.groups import ChannelGraph
from moco.compression.collecting import image_batches, mean_reads
from moco.compression.rankings.coupled import coupled
from moco.compression.rankings.ranking import IMAGES, Data, Importances, Ranking, Rng


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
