"""Filter pruning (S1.40, S2.03; Li et al. 2017): the least important filters go, with all that they feed."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from torch import nn

from moco.compression.channels.groups import ChannelGraph
from moco.compression.collecting import CalibrationData
from moco.compression.rankings.importance import importances


def rankings(
    network: nn.Module,
    graph: ChannelGraph,
    name: str = "l1",
    data: CalibrationData | None = None,
    rng: np.random.Generator | None = None,
) -> dict[str, np.ndarray]:
    """By group, its channels from the most to the least important; of equals the lower index comes first.

    Args:
        name: one of `importance.IMPORTANCES`; `data` and `rng` are what it needs.

    Raises:
        CompressionError: no such ranking, what it needs is missing, or its numbers are not finite.
    """
    found = importances(network, graph, name, data, rng)
    return {group: np.argsort(-importance, kind="stable") for group, importance in found.items()}


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
