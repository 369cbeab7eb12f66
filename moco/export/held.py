"""What an exported file holds of a network's layers: only a weight of its own, by name, can be changed for a candidate.

It is found before a search, so that nothing is offered that the file cannot take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
from torch import nn

from moco.compression.channels.groups import ChannelGroup
from moco.compression.space.layer_groups import Grouped
from moco.export.quantize import quantizable_layers

COMPUTED = "the exported file holds no weight of it: its forward pass computes the weight that it works with"


@dataclass(frozen=True)
class NotHeld:
    """Layers of a network that a file has no weight of its own for."""

    layers: dict[str, str]  # name and reason
    computed: frozenset[str]  # those of them whose weight is not in the file at all
    unnamed: frozenset[str]  # those that the file has no weight of under their name

    def without(self, groups: Sequence[Grouped]) -> tuple[Grouped, ...]:
        """The groups without these layers, and without channels that a computed weight gives or reads."""
        return tuple(
            Grouped(
                group.name,
                tuple(name for name in group.layers if name not in self.layers),
                tuple(channels for channels in group.channel_groups if not self._keep(channels)),
            )
            for group in groups
        )

    def _keep(self, channels: ChannelGroup) -> bool:
        around = (*channels.producers, *channels.consumers)
        return channels.name in self.unnamed or not self.computed.isdisjoint(around)


def not_held(proto: onnx.ModelProto, network: nn.Module, layers: Sequence[str]) -> NotHeld:
    """What the graph, exported from `network`, has no weight of its own for, among these layers."""
    transposed = {node.input[1].rpartition(".")[0] for node in proto.graph.node if node.op_type == "ConvTranspose"}
    unnamed = frozenset(layers).difference(quantizable_layers(proto), transposed)
    sharing: dict[int, list[str]] = {}
    for name in dict.fromkeys(layers):
        sharing.setdefault(id(network.get_submodule(name).weight), []).append(name)
    pairs = [
        (name, other) for names in sharing.values() for name, other in zip(names, [*names[1:], names[0]], strict=True)
    ]
    tied = {name: f"it has its weight in common with '{other}'" for name, other in pairs if name != other}
    computed = unnamed.difference(tied)
    return NotHeld({**dict.fromkeys(sorted(computed), COMPUTED), **tied}, computed, unnamed)
