"""Filter pruning (S1.40, S2.03; Li et al. 2017): the filters with the smallest L1 norm go, with all that they feed.

The filters of coupled layers go together, so their norms are added, each layer's divided by its own mean: otherwise
the layer with the largest weights would decide alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from moco.compression.groups import ChannelGraph, ChannelGroup


def filter_norms(network: nn.Module, group: ChannelGroup) -> np.ndarray:
    """Importance (channels,) of each channel of the group: the sum over its layers of L1 norms, mean 1 each."""
    total = torch.zeros(group.channels, dtype=torch.float64)
    for name in group.producers:
        weight = network.get_submodule(name).weight
        assert isinstance(weight, torch.Tensor)
        norms = weight.detach().double().abs().flatten(1).sum(dim=1)
        total += norms / norms.mean().clamp_min(torch.finfo(torch.float64).tiny)
    return total.numpy()


def rankings(network: nn.Module, graph: ChannelGraph) -> dict[str, np.ndarray]:
    """By group, its channels from the most to the least important; of equals the lower index comes first."""
    return {name: np.argsort(-filter_norms(network, group), kind="stable") for name, group in graph.groups.items()}


def kept_channels(ranking: Mapping[str, np.ndarray], widths: Mapping[str, int]) -> dict[str, np.ndarray]:
    """By group, the ascending indices of the `widths[group]` most important channels; whole groups are left out."""
    return {name: np.sort(ranking[name][:width]) for name, width in widths.items() if width < len(ranking[name])}


def rounded_width(channels: int, keep: float, multiple: int = 1) -> int:
    """Channels that a keep ratio leaves: `n - floor(n (1 - keep))`, then the nearest multiple, at least one, at most n.

    A tie between two multiples goes to the wider one.
    """
    # 1e-9 undoes the representation error of products like 10 * (1 - 0.9).
    width = channels - math.floor(channels * (1 - keep) + 1e-9)
    if width >= channels:  # nothing is asked, so nothing is rounded: 18 channels stay 18 where the multiple is 16
        return channels
    if multiple > 1:
        width = max(math.floor(width / multiple + 0.5), 1) * multiple
    return max(1, min(width, channels))
