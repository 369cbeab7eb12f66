"""What a method is told when it says what it may do to a layer group, and what it writes into a policy."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from moco.compression.channels.groups import ChannelGroup
from moco.compression.costs import AnalyticCost
from moco.compression.counting import LayerCount
from moco.compression.precision import FLOAT32, timed_as
from moco.compression.space.layer_groups import Grouped
from moco.interfaces import Capabilities


@dataclass(frozen=True)
class SpaceContext:
    """The network and the target that a space is made for."""

    layers: Mapping[str, LayerCount]
    groups: Sequence[Grouped]
    costs: AnalyticCost  # the network's, under any policy; also the widths of its layers
    capabilities: Capabilities
    multiples: Mapping[str, int]  # by precision that is declared, what widths are rounded to
    # by precision and channel group, the only widths that are offered, ascending and with the whole one; groups that
    # are not named are offered all multiples
    offered: Mapping[str, Mapping[str, Sequence[int]]] = field(default_factory=dict)
    # (channel group, precision, move) of what is not offered, as it gains no time
    losing: frozenset[tuple[str, str, str]] = frozenset()
    # by layer, the precisions that it may run in; layers that are not named run in float32
    runs_in: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    kept: tuple[str, ...] = ()  # what a base policy sets, in words, a method a text

    @cached_property
    def channels(self) -> dict[str, ChannelGroup]:
        """Channel groups by name."""
        return {channels.name: channels for group in self.groups for channels in group.channel_groups}

    def loses(self, group: str, precision: str, move: str) -> bool:
        """Whether a move is not offered for a channel group in a precision; fewer bits take the time of int8."""
        return (group, timed_as(precision), move) in self.losing


@dataclass
class Draft:
    """A policy that is being written, method by method, or read."""

    settings: dict[str, dict[str, Any]] = field(default_factory=dict)  # by layer or channel group, as in the policy
    # by layer, the name of its precision, where it is not float32
    precisions: dict[str, str] = field(default_factory=dict)
    # by channel group, how many channels are left, where some are gone
    widths: dict[str, int] = field(default_factory=dict)
    # modules that are not there any more; later methods leave the layers in them alone
    gone: set[str] = field(default_factory=set)

    def set(self, name: str, setting: Mapping[str, Any]) -> None:
        """Add a method's setting of a layer or a channel group; an empty one changes nothing."""
        if setting:
            self.settings.setdefault(name, {}).update(setting)

    def precision(self, layer: str) -> str:
        """The name of the layer's precision."""
        return self.precisions.get(layer, FLOAT32)

    def has(self, name: str, keys: Collection[str]) -> bool:
        """Whether a layer or channel group has one of these settings."""
        return not self.settings.get(name, {}).keys().isdisjoint(keys)
