"""How important each channel is, by many rankings (S1.41, S2.03, S4.03, S4.04).

Channels of coupled layers go together, so what their layers say is added, each layer's scores divided by their own
mean: otherwise the layer with the largest numbers would decide alone. Two exceptions: Fisher information adds before
it squares, in units of the loss; a random importance belongs to the channel, not to a layer.

The formulas are written on moco's own map of the channels. Torch-Pruning's classes are their cross-check in the tests;
they also count the layers that read a channel, and its geometric median squares the weights first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from moco.compression.channels.groups import ChannelGraph
from moco.compression.collecting import CalibrationData, image_batches, labelled_batches, mean_reads, weight_gradients
from moco.compression.rankings.fisher import fisher_order, fisher_scores
from moco.errors import CompressionError
from moco.suggest import nearest

TINY = torch.finfo(torch.float64).tiny


@dataclass(frozen=True)
class Given:
    """What an importance is found from; `data` and `rng` are None where the caller gave none."""

    network: nn.Module
    graph: ChannelGraph
    data: CalibrationData | None
    rng: np.random.Generator | None


Importances = dict[str, np.ndarray]
"""By channel group, the importance (channels,) of each of its channels, float64; larger stays longer."""


def importances(
    network: nn.Module,
    graph: ChannelGraph,
    name: str,
    data: CalibrationData | None = None,
    rng: np.random.Generator | None = None,
) -> Importances:
    """By channel group, the importance (channels,) of each of its channels; the network is left as it was.

    Args:
        name: one of IMPORTANCES.
        data: images for `activation`; with labels for `taylor`, `fisher` and `fisher_greedy`.
        rng: for `random`.

    Raises:
        CompressionError: no such ranking, what it needs is missing, or its numbers are not finite.
    """
    if name not in IMPORTANCES:
        raise CompressionError(f"unknown ranking '{name}'{nearest(name, IMPORTANCES)}")
    found = IMPORTANCES[name](Given(network, graph, data, rng))
    for group, importance in found.items():
        if not np.isfinite(importance).all():
            raise CompressionError(
                f"ranking '{name}': the importance of '{group}' is not finite; are there NaN in its weights?"
            )
    return found


def l1(given: Given) -> Importances:
    """Sum of the absolute weights of each filter (S2.03; Li et al. 2017)."""
    return _of_filters(given, lambda filters: filters.abs().sum(dim=1))


def l2(given: Given) -> Importances:
    """Euclidean norm of each filter."""
    return _of_filters(given, lambda filters: filters.norm(dim=1))


def geometric_median(given: Given) -> Importances:
    """Sum of each filter's Euclidean distances to the others (He et al. 2019, equation 4).

    The filter nearest to the geometric median of all is the one that the others replace best.
    """
    exact = "donot_use_mm_for_euclid_dist"  # equal filters get equal sums
    return _of_filters(given, lambda filters: torch.cdist(filters, filters, compute_mode=exact).sum(dim=1))


def batch_norm_scale(given: Given) -> Importances:
    """|gamma| of the batch-norms that scale each channel (Liu et al. 2017)."""
    norms = {name: module for name, module in given.network.named_modules() if (name, "out") in given.graph.axes}
    scales = {
        name: module.weight.detach().double().abs().cpu()
        for name, module in norms.items()
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.weight is not None
    }
    return _coupled(given.graph, "out", scales, "ranking 'batch_norm_scale': no batch-norm scales")


def taylor(given: Given) -> Importances:
    """|sum of weight times gradient| of each filter, of the mean loss over the data (Molchanov et al. 2019).

    To first order, by how much the loss changes when the filter is set to zero.
    """
    layers = _producers(given.graph)
    gradients = weight_gradients(given.network, layers, labelled_batches("taylor", given.data))
    filters = {name: _by_filter(given, name, gradient.cpu()) for name, gradient in gradients.items()}
    scores = {name: (_filters(given, name) * filters[name]).sum(dim=1).abs() for name in layers}
    return _coupled(given.graph, "out", scores, "ranking 'taylor': no layer gives")


def activation(given: Given) -> Importances:
    """L1 norm, over its positions, of the mean over the images of the map that the next layer reads (S1.41)."""
    readers = list(dict.fromkeys(name for group in given.graph.groups.values() for name in group.consumers))
    means = mean_reads(given.network, readers, image_batches("activation", given.data))
    scores = {
        name: torch.stack([_by_channel(given, name, mean.abs()) for mean in calls]).sum(dim=0)
        for name, calls in means.items()
        if calls
    }
    return _coupled(given.graph, "in", scores, "ranking 'activation': no layer reads")


def fisher(given: Given) -> Importances:
    """Fisher information of each channel, all others in place (S4.04; Theis et al. 2018)."""
    return fisher_scores(given.network, given.graph, labelled_batches("fisher", given.data))


def fisher_greedy(given: Given) -> Importances:
    """When Fisher's greedy removal over the whole network takes each channel: 0 first, the one that stays last.

    Each removal looks at the next batch of the data: a pass over all of it for each of hundreds of channels takes long.
    """
    batches = labelled_batches("fisher_greedy", given.data)
    order = fisher_order(given.network, given.graph, batches, per_removal=1)
    found = {name: np.full(group.channels, group.channels - 1.0) for name, group in given.graph.groups.items()}
    for name, turns in found.items():
        removed = [channel for group, channel in order if group == name]
        turns[removed] = range(len(removed))
    return found


def random(given: Given) -> Importances:
    """Uniform numbers from the generator, a baseline."""
    rng = given.rng
    if rng is None:
        raise CompressionError("ranking 'random': expected a random generator, got none")
    return {name: rng.random(group.channels) for name, group in given.graph.groups.items()}


IMPORTANCES: dict[str, Callable[[Given], Importances]] = {
    "l1": l1,
    "l2": l2,
    "geometric_median": geometric_median,
    "batch_norm_scale": batch_norm_scale,
    "taylor": taylor,
    "activation": activation,
    "fisher": fisher,
    "fisher_greedy": fisher_greedy,
    "random": random,
}
"""Importance by the name of its ranking."""


def _of_filters(given: Given, score: Callable[[torch.Tensor], torch.Tensor]) -> Importances:
    """Importances from a score (filters,) of each layer's filters (filters, weights of one)."""
    scores = {name: score(_filters(given, name)) for name in _producers(given.graph)}
    return _coupled(given.graph, "out", scores, "no layer gives")


def _producers(graph: ChannelGraph) -> list[str]:
    return list(dict.fromkeys(name for group in graph.groups.values() for name in group.producers))


def _filters(given: Given, layer: str) -> torch.Tensor:
    """The layer's weights (filters, weights of one), float64."""
    weight = given.network.get_submodule(layer).get_parameter("weight").detach().double().cpu()
    return _by_filter(given, layer, weight)


def _by_filter(given: Given, layer: str, weights: torch.Tensor) -> torch.Tensor:
    """Numbers of the form of a layer's weight as (filters, weights of one); a transposed one's has its inputs first."""
    transposed = isinstance(given.network.get_submodule(layer), nn.ConvTranspose2d)
    return (weights.transpose(0, 1) if transposed else weights).flatten(1)


def _by_channel(given: Given, layer: str, mean: torch.Tensor) -> torch.Tensor:
    """Sum over the positions of what a layer reads: (channels,)."""
    if isinstance(given.network.get_submodule(layer), nn.Linear):
        return mean.cpu().reshape(-1, mean.shape[-1]).sum(dim=0)
    return mean.cpu().flatten(1).sum(dim=1)


def _coupled(graph: ChannelGraph, side: str, scores: Mapping[str, torch.Tensor], lacking: str) -> Importances:
    """Importances from scores of single layers: added over the coupled ones, each layer's divided by its own mean.

    Args:
        scores: by layer, (places on that side of it,).
        lacking: beginning of the error where a channel has no score at all.
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
