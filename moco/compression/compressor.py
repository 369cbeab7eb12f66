"""A policy applied to a network: rankings once, then real surgery for each policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from moco.compression.channels.groups import ChannelGraph, channel_graph
from moco.compression.channels.surgery import within
from moco.compression.collecting import CalibrationData
from moco.compression.costs import AnalyticCost, analytic_cost
from moco.compression.counting import Counts, count
from moco.compression.methods.filter_pruning import kept_channels, rankings
from moco.compression.methods.method import Method, Setting
from moco.compression.policy_file import checked_policy, policy_in
from moco.compression.policy_settings import by_method, each_setting, gone_of, widths_of
from moco.compression.rankings.ranking import USUAL_RANKING
from moco.errors import SpaceError
from moco.models.finite import check_tensors
from moco.models.plain import plain
from moco.policy import Policy


@dataclass(frozen=True)
class Compressor:
    """Compresses one network by any policy."""

    network: nn.Module  # the trained network, in evaluation mode; never changed
    graph: ChannelGraph
    counts: Counts
    costs: AnalyticCost
    # calibration images for the methods that look at some; None where none were given
    data: CalibrationData | None = None
    # by method, what it has found out about the network; the others do when they are first needed
    prepared: dict[str, Any] = field(default_factory=dict, compare=False)

    @staticmethod
    def of(network: nn.Module, example: torch.Tensor) -> Compressor:
        """The compressor of a network that takes `example` (n, channels, height, width), or a CompressionError."""
        counts = count(network, tuple(example.shape[1:]))
        graph = channel_graph(network, example, counts)
        return Compressor(network, graph, counts, analytic_cost(network, graph, counts))

    def prepared_for(
        self, methods: tuple[Method, ...], data: CalibrationData | None = None, rng: np.random.Generator | None = None
    ) -> Compressor:
        """The same with these methods prepared on the data; a CompressionError says what one of them lacks."""
        found = {method.name: method.prepare(self.network, self.graph, data, rng) for method in methods}
        return replace(self, data=data, prepared=found)

    @cached_property
    def ranking(self) -> Mapping[str, np.ndarray]:
        """By channel group, its channels from the most to the least important by the usual ranking of filters."""
        return rankings(self.network, self.graph)

    def kept(self, policy: Policy) -> dict[str, np.ndarray]:
        """By channel group, the indices of the channels that the policy keeps; a SpaceError where it does not fit."""
        self.check(policy)
        kept: dict[str, np.ndarray] = {}
        for method, settings in by_method(policy):
            if method.removes_channels:
                kept |= method.kept(settings, self._prepared(method))
        return kept

    def compress(self, policy: Policy) -> nn.Module:
        """A physically smaller copy of the network; nothing is recovered, and quantization is done to the file."""
        thin = self.graph.thin(self.network, self.kept(policy))
        self.remove_branches_(thin, policy)
        self.apply_(thin, policy)
        return thin

    def structure(self, policy: Policy, *, branches: bool = False) -> nn.Module:
        """A copy with the policy's shapes, into which the weights of its finished network can be loaded.

        With `branches` it has those, too, that the policy removes.
        """
        self.check(policy)
        thin = self.graph.thin(self.network, kept_channels(self.ranking, widths_of(policy)))
        for method, settings in by_method(policy):
            if method.changes_structure and not method.removes_channels and not (branches and method.removes_branches):
                method.apply_(thin, settings, self._prepared(method))
        return thin

    def remove_branches_(self, thin: nn.Module, policy: Policy) -> None:
        """Leave out of a pruned copy, in place, the branches that the policy removes, and check it; as `apply_`."""
        self._apply_(thin, [pair for pair in by_method(policy) if pair[0].removes_branches])

    def apply_(self, thin: nn.Module, policy: Policy) -> None:
        """Do to a pruned copy without those branches, in place, what else the policy asks for, and check it.

        A CompressionError names a layer of which it cannot be done.
        """
        self._apply_(thin, [pair for pair in by_method(policy) if not pair[0].removes_branches])

    def _apply_(self, thin: nn.Module, found: Sequence[tuple[Method, Mapping[str, Setting]]]) -> None:
        for method, settings in found:
            if method.changes_weights:
                method.apply_(thin, settings, self._prepared(method))
                method.verify_network(thin, settings)

    def check(self, policy: Policy) -> None:
        """Pass a policy of this network; a SpaceError says which of its layers or widths the network does not have."""
        for method, settings in sorted(by_method(policy), key=lambda pair: not pair[0].removes_channels):
            for name, setting in settings.items():
                method.check(name, setting, self.graph, self.counts)
        self._check_removed(policy)

    def _check_removed(self, policy: Policy) -> None:
        """Pass a policy that sets nothing of what it removes."""
        gone = gone_of(policy)
        for method, name, setting in each_setting(policy) if gone else ():
            layers = self.graph.groups[name].producers if method.removes_channels else (name,)
            if not method.removed_modules(name, setting) and all(within(layer, gone) for layer in layers):
                raise SpaceError(f"policy: '{name}' is removed, so that it takes no '{next(iter(setting))}'")

    def _prepared(self, method: Method) -> Any:
        """What the method has found out about the network; by its usual options where it was not prepared."""
        if method.name not in self.prepared:
            self.prepared[method.name] = method.prepare(self.network, self.graph, self.data, None)
        return self.prepared[method.name]

    def kept_of_batch_norms(self, kept: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
        """By batch-norm, the channels of the original that stay under `kept`; whole ones are left out."""
        return {
            name: torch.from_numpy(places)
            for name, module in self.network.named_modules()
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))
            and (axis := self.graph.axes.get((name, "out"))) is not None
            and (places := axis.kept(kept)) is not None
        }


def rebuilt(network: nn.Module, policy: Policy, example: torch.Tensor) -> nn.Module:
    """A copy of `network` with the policy's shapes, whose weights are of no use yet; fails as `compress` does."""
    return Compressor.of(plain(network, example.shape[1:]), example.float()).structure(policy)


def compress(network: nn.Module, policy: Policy | Mapping[str, object], example: torch.Tensor) -> nn.Module:
    """A physically smaller copy of `network`, in evaluation mode; `example` is a batch (n, channels, height, width).

    A policy is also taken as the content of a policy.json, or its `groups` alone; that it is of this network is seen by
    its layers and widths, not by the name there. One that does not fit the network is a SpaceError, a network that
    cannot be traced a CompressionError, one that holds NaN a ConfigError. The work is done in float32, whatever the
    precision of the network and the example; the copy has the network's.
    """
    dtype = next((parameter.dtype for parameter in network.parameters()), torch.float32)
    if not isinstance(policy, Policy):
        policy = _policy_of(policy)
    check_tensors(network := plain(network, example.shape[1:]))
    return Compressor.of(network, example.float()).compress(policy).to(dtype)


def _policy_of(given: object) -> Policy:
    """The policy in the content of a policy.json, or in its groups alone."""
    if not isinstance(given, Mapping):
        raise SpaceError(
            f"policy: expected a Policy or the content of a policy.json, got {type(given).__name__}; "
            "moco.compression.policy_file.read_policy reads a file"
        )
    if "format" not in given:
        return checked_policy(given)
    policy = policy_in(given, "policy")
    if (ranking := given.get("ranking", USUAL_RANKING)) != USUAL_RANKING:
        raise SpaceError(
            f"policy: its filters were ranked by '{ranking}', which looks at more than the weights or was drawn; "
            "load the finished network from its run folder with moco.load_network"
        )
    return policy
