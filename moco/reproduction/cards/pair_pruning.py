"""Q05: how small pruning in pairs of convolutions can make the published networks, counted exactly."""

from __future__ import annotations

from typing import Any

import torch

from moco.compression.channels.groups import ChannelGraph, channel_graph
from moco.compression.costs import analytic_cost
from moco.compression.counting import LayerCount, count
from moco.compression.space.codec import cost_of
from moco.models.zoo import build_model
from moco.policy import Policy
from moco.reproduction.cards.actions import FP
from moco.reproduction.cards.tucker_counts import IMAGE
from moco.reproduction.setting import Setting

NETWORKS = ("resnet18", "resnet50", "mobilenet_v2")
LOWEST = {"accuracy-guaranteed": 0.3, "resource-constrained": 0.05}
"""The smallest share of filters that a layer keeps, by protocol; the thesis's constrained range goes down to 0."""


def pair_only_sizes(setting: Setting) -> list[dict[str, Any]]:
    """By network, its parameters against the reference's with every pair pruned as far as each protocol goes."""
    return [_smallest(name, setting) for name in NETWORKS]


def _smallest(name: str, setting: Setting) -> dict[str, Any]:
    setting.tell(f"{name}: pruning in pairs, counted")
    network = build_model(name).eval()
    counts = count(network, IMAGE)
    graph = channel_graph(network, torch.zeros(2, *IMAGE), counts)
    costs = analytic_cost(network, graph, counts)
    whole = cost_of(costs, Policy.of({}))["parameters"]
    layers = {layer.name: layer for layer in counts.layers}
    pairs = _pairs(graph, layers)
    ratios = {}
    for protocol, keep in LOWEST.items():
        kept = {group: {"keep": max(size - int(size * (1 - keep)), 1), "of": size} for group, size in pairs.items()}
        policy = Policy.of({group: {FP.method: setting} for group, setting in kept.items()})
        ratios[protocol] = cost_of(costs, policy)["parameters"] / whole
    return {"network": name, "pairs": len(pairs), "parameters_ratio": ratios}


def _pairs(graph: ChannelGraph, layers: dict[str, LayerCount]) -> dict[str, int]:
    """Channels by group, of those that one convolution gives, and convolutions alone read."""
    found = {}
    for name, group in graph.groups.items():
        givers = [layer for layer in group.producers if layers[layer].kind == "conv"]
        if len(givers) == 1 and all(layers[reader].kind != "linear" for reader in group.consumers):
            found[name] = group.channels
    return found
