"""What an exported file holds of a network's layers: only a weight of its own, by name, can be changed for a candidate.

It is found before a search, so that no candidate is offered that the file cannot take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
from torch import nn

from moco.compression.channels.groups import ChannelGroup
from moco.export.quantize import quantizable_layers

COMPUTED = "the exported file holds no weight of it: its forward pass computes the weight that it works with"


@dataclass(frozen=True)
class NotHeld:
    """What of a network stays as it is, as a file has no place for another."""

    layers: dict[str, str]  # layers whose weight is not changed alone: name and reason
    computed: frozenset[str]  # those of them whose weight is not in the file at all
    unnamed: frozenset[str]  # those that the file has no weight of under their name

    def keeps(self, channels: ChannelGroup) -> bool:
        """Whether these channels stay: a layer gives or reads them whose weight would have to lose some."""
        around = {*channels.producers, *channels.consumers}
        return channels.name in self.unnamed or not self.computed.isdisjoint(around)


def not_held(proto: onnx.ModelProto, network: nn.Module, layers: Sequence[str]) -> NotHeld:
    """What the graph, exported from `network`, has no weight of its own for, among these layers."""
    held = {*quantizable_layers(proto)}
    held |= {node.input[1].rpartition(".")[0] for node in proto.graph.node if node.op_type == "ConvTranspose"}
    sharing: dict[int, list[str]] = {}
    for name in layers:
        sharing.setdefault(id(network.get_submodule(name).weight), []).append(name)
    tied = {
        name: f"it has its weight in common with '{next(other for other in names if other != name)}'"
        for names in sharing.values()
        if len(names) > 1
        for name in names
    }
    unnamed = frozenset(name for name in layers if name not in held)
    computed = unnamed.difference(tied)
    return NotHeld({**dict.fromkeys(sorted(computed), COMPUTED), **tied}, computed, unnamed)
