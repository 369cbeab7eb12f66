"""Rankings by what the gradients of the loss say of the weights."""

from __future__ import annotations

from torch import nn

from moco.compression.channels.groups import ChannelGraph
from moco.compression.collecting import labelled_batches, weight_gradients
from moco.compression.rankings.coupled import by_filter, coupled, filters, producers
from moco.compression.rankings.ranking import IMAGES, LABELS, Data, Importances, Ranking, Rng


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
