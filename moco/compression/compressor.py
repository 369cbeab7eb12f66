"""A policy applied to a network: rankings once, then real surgery for each policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import nn

from moco.compression.channels.groups import ChannelGraph, channel_graph
from moco.compression.collecting import CalibrationData, evaluating
from moco.compression.costs import AnalyticCost, analytic_cost
from moco.compression.counting import Counts, count
from moco.compression.methods.factorisation import FactorCache
from moco.compression.methods.factorised_layers import factorise_
from moco.compression.methods.filter_pruning import kept_channels, rankings
from moco.compression.methods.sparsity import sparsify_
from moco.compression.policy_settings import (
    bits_of,
    checked_policy,
    factors_of,
    pruned,
    refitted_of,
    weights_kept_of,
    widths_of,
)
from moco.errors import SpaceError
from moco.policy import Policy
from moco.suggest import nearest


@dataclass(frozen=True)
class Compressor:
    """Compresses one network by any policy.

    Attributes:
        network: the trained network, in evaluation mode; never changed.
        graph: its coupled channels.
        ranking: by group, its channels from the most to the least important, for filter pruning.
        activity: the same by activation, for channel pruning; None where no images were given.
        counts: its exact counts.
        costs: its exact costs under any policy.
    """

    network: nn.Module
    graph: ChannelGraph
    ranking: Mapping[str, np.ndarray]
    counts: Counts
    costs: AnalyticCost
    activity: Mapping[str, np.ndarray] | None = None
    factors: FactorCache = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Begin with no factors."""
        object.__setattr__(self, "factors", FactorCache(self.network))

    @staticmethod
    def of(network: nn.Module, example: torch.Tensor) -> Compressor:
        """The compressor of a network that takes `example` (n, channels, height, width), filters ranked by L1 norm.

        Raises:
            CompressionError: the network cannot be traced.
        """
        counts = count(network, tuple(example.shape[1:]))
        graph = channel_graph(network, example, counts)
        return Compressor(network, graph, rankings(network, graph), counts, analytic_cost(network, graph, counts))

    def ranked(
        self, ranking: str, data: CalibrationData | None = None, rng: np.random.Generator | None = None
    ) -> Compressor:
        """The same with another ranking of filters; with data also a ranking by activation, for channel pruning.

        Raises:
            CompressionError: what the ranking needs is missing.
        """
        found = self.ranking if ranking == "l1" else rankings(self.network, self.graph, ranking, data, rng)
        activity = rankings(self.network, self.graph, "activation", data) if data is not None else None
        return replace(self, ranking=found, activity=activity)

    def kept(self, policy: Policy) -> dict[str, np.ndarray]:
        """By channel group, the indices of the channels that the policy keeps.

        Raises:
            SpaceError: the policy does not fit the network; the layer is named.
        """
        self.check(policy)
        widths, by_activation = widths_of(policy), refitted_of(policy)
        if by_activation and self.activity is None:
            raise SpaceError(
                f"policy: '{min(by_activation)}' asks for channel pruning, which ranks channels on images: give some "
                "calibration images, or load the finished network from its run folder with moco.load_network"
            )
        activity = self.activity or {}
        ranking = {name: activity[name] if name in by_activation else self.ranking[name] for name in widths}
        return kept_channels(ranking, widths)

    def compress(self, policy: Policy) -> nn.Module:
        """A physically smaller copy of the network; nothing is recovered, and quantization is done to the file."""
        thin = self.graph.thin(self.network, self.kept(policy))
        self.factorise_(thin, policy)
        return thin

    def structure(self, policy: Policy) -> nn.Module:
        """A copy with the policy's widths and ranks, into which the weights of its finished network can be loaded."""
        self.check(policy)
        thin = self.graph.thin(self.network, kept_channels(self.ranking, widths_of(policy)))
        factorise_(thin, factors_of(policy), self.factors)
        return thin

    def factorise_(self, thin: nn.Module, policy: Policy) -> None:
        """Factorise layers of a pruned copy and zero single weights, in place.

        Raises:
            CompressionError: a layer that cannot be, or ranks that it does not have.
        """
        factorise_(thin, factors_of(policy), self.factors)
        sparsify_(thin, weights_kept_of(policy))

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

    def check(self, policy: Policy) -> None:
        """Pass a policy of this network.

        Raises:
            SpaceError: it names layers or widths that the network does not have.
        """
        layers = {layer.name for layer in self.counts.layers}
        for name, (width, of) in pruned(policy).items():
            group = self.graph.groups.get(name)
            if group is None:
                why = self.graph.left_out.get(name)
                raise SpaceError(
                    f"policy: '{name}' has no filters that can be pruned: {why}"
                    if why
                    else f"policy: the network has no channel group '{name}'{nearest(name, self.graph.groups)}"
                )
            if of != group.channels or not 1 <= width <= group.channels:
                raise SpaceError(
                    f"policy: '{name}' has {group.channels} filters, the policy keeps {width} of {of}; "
                    "was it made for another network?"
                )
        for name in (*bits_of(policy), *factors_of(policy), *weights_kept_of(policy)):
            if name not in layers:
                raise SpaceError(f"policy: the network has no layer '{name}'{nearest(name, layers)}")


def rebuilt(network: nn.Module, policy: Policy, example: torch.Tensor) -> nn.Module:
    """A copy of `network` with the policy's widths and ranks, in evaluation mode; its weights are of no use yet.

    Raises:
        CompressionError, SpaceError: the network cannot be traced, or the policy does not fit it.
    """
    with evaluating(network):
        return Compressor.of(network, example).structure(policy)


def compress(network: nn.Module, policy: Policy | Mapping[str, object], example: torch.Tensor) -> nn.Module:
    """A physically smaller copy of `network`, in evaluation mode.

    Args:
        policy: a Policy, the content of a policy.json, or its `groups` alone.
        example: one batch that the network takes, (n, channels, height, width).

    Raises:
        CompressionError, SpaceError: the network cannot be traced, or the policy does not fit it.
    """
    if not isinstance(policy, Policy):
        ranking = policy.get("ranking", "l1") if "format" in policy else "l1"
        if ranking != "l1":
            raise SpaceError(
                f"policy: its filters were ranked by '{ranking}', which looks at more than the weights or was drawn; "
                "load the finished network from its run folder with moco.load_network"
            )
        groups = policy.get("groups") if "format" in policy else policy
        policy = checked_policy(groups if isinstance(groups, Mapping) else policy)
    with evaluating(network):
        return Compressor.of(network, example).compress(policy)
