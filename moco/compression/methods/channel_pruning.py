"""Channel pruning (He et al. 2017; S1.41, S1.42): the least important channels go, and what reads them is refitted.

Which these are the mean activation says, or the ranking that `rank` names: `lasso` is that of He et al. (S5.07).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from torch import nn

from moco.compression.channels.groups import ChannelGraph
from moco.compression.methods.filter_pruning import FilterPruning, PruningOptions, rankings
from moco.compression.methods.method import Setting
from moco.compression.rankings.calibrated import Activation
from moco.compression.rankings.ranking import Data, Ranking, Rng
from moco.errors import SpaceError
from moco.policy import in_words
from moco.registry import OptionOfKind


@dataclass(frozen=True)
class ChannelPruningOptions(PruningOptions):
    """Options of channel pruning."""

    method = "channel_pruning"
    # which channels stay; None is the usual ranking, by what the next layer reads
    rank: Annotated[Ranking | None, OptionOfKind("ranking")] = None


class ChannelPruning(FilterPruning):
    """Filter pruning by what is read on the calibration images; the readers are refitted."""

    name = "channel_pruning"
    settings = ("channel_pruning",)
    excludes = frozenset({"filter_pruning"})
    Options = ChannelPruningOptions
    refits_readers = True

    @property
    def needs_images(self) -> bool:
        """Always."""
        return True

    @property
    def ranking(self) -> str | dict[str, Any] | None:
        """The ranking of channels; nothing to know where it is the usual one."""
        return None if self.options.rank is None else self.options.rank.written

    def describe(self, key: str, value: Any) -> str:
        """`channel pruning 12/16`."""
        return in_words(key, value)

    def prepare(self, network: nn.Module, graph: ChannelGraph, data: Data, rng: Rng) -> Any:
        """By channel group, its channels from the most to the least important; None without images."""
        return None if data is None else rankings(network, graph, self.options.rank or Activation(), data, rng)

    def kept(self, settings: Mapping[str, Setting], prepared: Any) -> dict[str, np.ndarray]:
        """The most important channels."""
        if prepared is None:
            raise SpaceError(
                f"policy: '{min(settings)}' asks for channel pruning, which ranks channels on images: give some "
                "calibration images, or load the finished network from its run folder with moco.load_network"
            )
        return super().kept(settings, prepared)
