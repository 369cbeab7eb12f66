"""Input pruning (S2.10): the channels go that the layers behind them read by the least weights.

The dissertation prunes a block's first convolution by `Filters` or by `Channels`. The channels of that convolution are
those of the residual stream, which it must not thin; what the second reading can mean there is the map between the
block's two convolutions, ranked by the input slices of the second one. So both remove the same kind of channels, each
by a ranking of its own, and with `space.choose` a layer group takes one of them.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from moco.compression.channels.groups import ChannelGraph
from moco.compression.methods.filter_pruning import FilterPruning, PruningOptions, rankings
from moco.compression.rankings.ranking import Data, Rng
from moco.compression.rankings.weights import L1Inputs
from moco.policy import in_words


class InputPruningOptions(PruningOptions):
    """Options of input pruning."""

    method = "input_pruning"


class InputPruning(FilterPruning):
    """Filter pruning by the sum of the absolute weights that read each channel."""

    name = "input_pruning"
    settings = ("input_pruning",)
    excludes = frozenset({"filter_pruning", "channel_pruning"})
    Options = InputPruningOptions

    @property
    def needs_images(self) -> bool:
        """Never."""
        return False

    @property
    def ranking(self) -> str | dict[str, Any] | None:
        """Always the same, so nothing to know."""
        return None

    def describe(self, key: str, value: Any) -> str:
        """`input pruning 12/16`."""
        return in_words(key, value)

    def prepare(self, network: nn.Module, graph: ChannelGraph, data: Data, rng: Rng) -> Any:
        """By channel group, its channels from the most to the least heavily read."""
        return rankings(network, graph, L1Inputs())
