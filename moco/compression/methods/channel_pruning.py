"""Channel pruning (He et al. 2017; S1.41, S1.42): channels ranked by activation go, and what reads them is refitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import nn

from moco.compression.channels.groups import ChannelGraph
from moco.compression.methods.filter_pruning import FilterPruning, PruningOptions, rankings
from moco.compression.methods.method import Setting
from moco.compression.rankings.calibrated import Activation
from moco.compression.rankings.ranking import Data, Rng
from moco.errors import SpaceError
from moco.policy import in_words


class ChannelPruningOptions(PruningOptions):
    """Options of channel pruning."""

    method = "channel_pruning"


class ChannelPruning(FilterPruning):
    """Filter pruning by the mean feature maps on the calibration images, whose readers are refitted."""

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
        """Always the same, so nothing to know."""
        return None

    def describe(self, key: str, value: Any) -> str:
        """`channel pruning 12/16`."""
        return in_words(key, value)

    def prepare(self, network: nn.Module, graph: ChannelGraph, data: Data, rng: Rng) -> Any:
        """By channel group, its channels from the most to the least active; None without images."""
        return None if data is None else rankings(network, graph, Activation(), data)

    def kept(self, settings: Mapping[str, Setting], prepared: Any) -> dict[str, np.ndarray]:
        """The most active channels."""
        if prepared is None:
            raise SpaceError(
                f"policy: '{min(settings)}' asks for channel pruning, which ranks channels on images: give some "
                "calibration images, or load the finished network from its run folder with moco.load_network"
            )
        return super().kept(settings, prepared)
