"""Fisher pruning (S4.04; Theis et al. 2018, equations 8 to 12): which channels the loss would miss least.

The score of channel k is 1/(2N) sum_n (-sum_ij A_nkij g_nkij)^2: A its activation on image n, g the gradient of that
image's loss. Both are taken where the channel is read, after batch-norm and activation, because removing a channel
also removes what its batch-norm adds. Each read is multiplied by a gate, 1 for each image and channel of the group;
the gradient of the gate is then the inner sum, added over all layers that read the channel, before it is squared.
A closed gate, 0, is the channel removed.

Departures from the paper: no training between the removals, a ranking leaves the weights alone; costs do not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle

import numpy as np
import torch
from torch import nn

from moco.compression.channels.groups import ChannelGraph
from moco.compression.collecting import evaluating, labelled_batches, loss_of, reading
from moco.compression.rankings.gates import gated_reads
from moco.compression.rankings.ranking import IMAGES, LABELS, Data, Importances, Ranking, Rng

Batches = Sequence[tuple[torch.Tensor, torch.Tensor]]
"""Images (n, channels, height, width) and labels (n,) of each batch."""


class Fisher(Ranking):
    """Fisher information of each channel, all others in place (S4.04; Theis et al. 2018)."""

    name = "fisher"
    needs = frozenset({IMAGES, LABELS})

    def scores(self, network: nn.Module, graph: ChannelGraph, data: Data, rng: Rng) -> Importances:
        """See the class."""
        return fisher_scores(network, graph, labelled_batches(self.name, data))


class FisherGreedy(Ranking):
    """When Fisher's greedy removal over the whole network takes each channel: 0 first, the one that stays last.

    Each removal looks at the next batch of the data: a pass over all of it for each of hundreds of channels takes long.
    """

    name = "fisher_greedy"
    needs = frozenset({IMAGES, LABELS})

    def scores(self, network: nn.Module, graph: ChannelGraph, data: Data, rng: Rng) -> Importances:
        """See the class."""
        order = fisher_order(network, graph, labelled_batches(self.name, data))
        found = {name: np.full(group.channels, group.channels - 1.0) for name, group in graph.groups.items()}
        for name, turns in found.items():
            removed = [channel for group, channel in order if group == name]
            turns[removed] = range(len(removed))
        return found


def fisher_scores(
    network: nn.Module,
    graph: ChannelGraph,
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    present: Mapping[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """By channel group, the Fisher score (channels,) of each channel, in nats; the network is left as it was.

    A batch is images (n, channels, height, width) and labels (n,). `present` says, by channel group, which channels
    (channels,) have not been removed, None that all are there; removed ones score 0.
    """
    device = next(network.parameters()).device
    opened = {
        name: torch.ones(group.channels) if present is None else torch.from_numpy(present[name])
        for name, group in graph.groups.items()
    }
    total = {name: torch.zeros(len(channels), dtype=torch.float64) for name, channels in opened.items()}
    seen = 0
    for images, labels in batches:
        gates = {
            name: channels.to(device, images.dtype).repeat(len(images), 1).requires_grad_()
            for name, channels in opened.items()
        }
        with evaluating(network), reading(network, gated_reads(network, graph, gates)), torch.enable_grad():
            loss = loss_of(network, images, labels)
            gradients = torch.autograd.grad(loss, list(gates.values()), allow_unused=True)
        for (name, gate), gradient in zip(gates.items(), gradients, strict=True):
            if gradient is not None:
                total[name] += (gate.detach() * gradient).double().square().sum(dim=0).cpu()
        seen += len(images)
    return {name: (scores / (2 * seen)).numpy() for name, scores in total.items()}


def fisher_order(network: nn.Module, graph: ChannelGraph, batches: Batches) -> list[tuple[str, int]]:
    """The channels (group, index) in the order of their greedy removal over the whole network; one a group stays.

    Before each removal the scores are found anew on the next batch, the channels removed so far being zero. A group's
    own ranking is this order backwards: its k most important channels are those that the removal over the whole
    network left when it had k.
    """
    present = {name: np.ones(group.channels, dtype=bool) for name, group in graph.groups.items()}
    turns = cycle(batches)
    order: list[tuple[str, int]] = []
    while any(channels.sum() > 1 for channels in present.values()):
        scores = fisher_scores(network, graph, [next(turns)], present)
        # The sort is stable and begins with the highest index, so of equals the lower one stays.
        left = [(name, int(channel)) for name in present for channel in np.flatnonzero(present[name])[::-1]]
        left.sort(key=lambda channel: scores[channel[0]][channel[1]])
        name, channel = next(found for found in left if present[found[0]].sum() > 1)
        present[name][channel] = False
        order.append((name, channel))
    return order
