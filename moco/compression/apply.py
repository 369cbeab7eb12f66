"""A policy applied to a network: rankings once, then real surgery for each policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from moco.compression.analytic import AnalyticCost, analytic_cost
from moco.compression.filter_pruning import kept_channels, rankings
from moco.compression.groups import ChannelGraph, channel_graph
from moco.compression.settings import checked_policy, precisions_of, widths_of
from moco.counting import Counts, count
from moco.errors import SpaceError
from moco.policy import Policy
from moco.suggest import nearest


@dataclass(frozen=True)
class Compressor:
    """Compresses one network by any policy.

    Attributes:
        network: the trained network, in evaluation mode; never changed.
        graph: its coupled channels.
        ranking: by group, its channels from the most to the least important.
        counts: its exact counts.
        costs: its exact costs under any policy.
    """

    network: nn.Module
    graph: ChannelGraph
    ranking: Mapping[str, np.ndarray]
    counts: Counts
    costs: AnalyticCost

    @staticmethod
    def of(network: nn.Module, example: torch.Tensor) -> Compressor:
        """The compressor of a network that takes `example` (n, channels, height, width).

        Raises:
            CompressionError: the network cannot be traced.
        """
        counts = count(network, tuple(example.shape[1:]))
        graph = channel_graph(network, example, counts)
        return Compressor(network, graph, rankings(network, graph), counts, analytic_cost(network, graph, counts))

    def kept(self, policy: Policy) -> dict[str, np.ndarray]:
        """By channel group, the indices of the channels that the policy keeps.

        Raises:
            SpaceError: the policy does not fit the network; the layer is named.
        """
        self._check(policy)
        return kept_channels(self.ranking, widths_of(policy))

    def compress(self, policy: Policy) -> nn.Module:
        """A physically smaller copy of the network; quantization is done to the exported file."""
        return self.graph.thin(self.network, self.kept(policy))

    def kept_of_batch_norms(self, kept: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
        """By batch-norm, the channels of the original that stay under `kept`; whole ones are left out."""
        found = {}
        for name, module in self.network.named_modules():
            axis = self.graph.axes.get((name, "out"))
            if axis is None or not isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                continue
            places = axis.kept(kept)
            if places is not None:
                found[name] = torch.from_numpy(places)
        return found

    def _check(self, policy: Policy) -> None:
        layers = {layer.name for layer in self.counts.layers}
        for name, width in widths_of(policy).items():
            group = self.graph.groups.get(name)
            if group is None:
                why = self.graph.left_out.get(name)
                raise SpaceError(
                    f"policy: '{name}' has no filters that can be pruned: {why}"
                    if why
                    else f"policy: the network has no channel group '{name}'{nearest(name, self.graph.groups)}"
                )
            of = policy.settings[name]["filter_pruning"]["of"]
            if of != group.channels or not 1 <= width <= group.channels:
                raise SpaceError(
                    f"policy: '{name}' has {group.channels} filters, the policy keeps {width} of {of}; "
                    "was it made for another network?"
                )
        for name in precisions_of(policy):
            if name not in layers:
                raise SpaceError(f"policy: the network has no layer '{name}'{nearest(name, layers)}")


def compress(network: nn.Module, policy: Policy | Mapping[str, object], example: torch.Tensor) -> nn.Module:
    """A physically smaller copy of `network`, in evaluation mode.

    Args:
        policy: a Policy, the content of a policy.json, or its `groups` alone.
        example: one batch that the network takes, (n, channels, height, width).

    Raises:
        CompressionError, SpaceError: the network cannot be traced, or the policy does not fit it.
    """
    if not isinstance(policy, Policy):
        groups = policy.get("groups") if "format" in policy else policy
        policy = checked_policy(groups if isinstance(groups, Mapping) else policy)
    training = network.training
    network.eval()
    try:
        return Compressor.of(network, example).compress(policy)
    finally:
        network.train(training)
