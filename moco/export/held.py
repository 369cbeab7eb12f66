"""What an exported file holds of a network's layers: only a weight of its own, by name, can be changed for a candidate.

It is found before a search, so that nothing is offered that the file cannot take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx
from torch import nn

from moco.compression.channels.branches import Branches
from moco.compression.channels.groups import ChannelGraph
from moco.export.branches import missing_branches
from moco.export.quantize import quantizable_layers

COMPUTED = "the exported file holds no weight of it: its forward pass computes the weight that it works with"


def not_held(
    proto: onnx.ModelProto, network: nn.Module, graph: ChannelGraph, layers: Sequence[str]
) -> tuple[dict[str, str], frozenset[str]]:
    """What of `network` stays, as the graph exported from it has no weight of its own for it.

    That is, of these layers, the names and reasons, and the names of the channel groups that they give or read.
    """
    transposed = {node.input[1].rpartition(".")[0] for node in proto.graph.node if node.op_type == "ConvTranspose"}
    unnamed = frozenset(layers).difference(quantizable_layers(proto), transposed)
    sharing: dict[int, list[str]] = {}
    for name in dict.fromkeys(layers):
        sharing.setdefault(id(network.get_submodule(name).weight), []).append(name)
    pairs = [pair for names in sharing.values() for pair in zip(names, names[1:] + names[:1], strict=True)]
    tied = {name: f"it has its weight in common with '{other}'" for name, other in pairs if name != other}
    computed = unnamed.difference(tied)
    channels = {
        name
        for name, group in graph.groups.items()
        if name in unnamed or not computed.isdisjoint((*group.producers, *group.consumers))
    }
    return {**dict.fromkeys(sorted(computed), COMPUTED), **tied}, frozenset(channels)


def with_branches_of(proto: onnx.ModelProto, graph: ChannelGraph) -> ChannelGraph:
    """The channel graph with those residual branches alone that can be taken out of the exported graph, too."""

    def held() -> Branches:
        found = graph.branches
        return found.without(missing_branches(proto.graph, {branch.name: branch.removed for branch in found.all}))

    return replace(graph, finding=held)
