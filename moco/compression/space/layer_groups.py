"""Layer groups by block, by stage, by layer, or by patterns of names: which layers share their parameters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from moco.compression.channels.groups import ChannelGraph, ChannelGroup
from moco.compression.counting import Counts
from moco.errors import ConfigError, nearest

PER_LAYER, PER_BLOCK, PER_STAGE = "per-layer", "per-block", "per-stage"


@dataclass(frozen=True)
class Grouped:
    """The members of one layer group."""

    name: str
    layers: tuple[str, ...]  # names of its layers, in the order of the forward pass
    channel_groups: tuple[ChannelGroup, ...]  # the coupled channels that its keep ratio sets

    def without(self, layers: Collection[str], channels: Collection[str]) -> Grouped:
        """The group without these layers and these coupled channels."""
        members = tuple(name for name in self.layers if name not in layers)
        return Grouped(self.name, members, tuple(c for c in self.channel_groups if c.name not in channels))


def grouped(
    network: nn.Module,
    counts: Counts,
    graph: ChannelGraph,
    groups: str | Mapping[str, Sequence[str]] = PER_BLOCK,
    ignore: Sequence[str] = (),
) -> tuple[Grouped, ...]:
    """The layer groups in the order of the forward pass.

    Coupled channels whose layers lie in several groups (a residual stream) become a group of their own, named by their
    first layer. A layer that a pattern of `ignore` names, or that no explicit pattern names, is left alone, and so are
    the channels that it gives.

    The `groups` are `per-layer`, `per-block`, `per-stage` or name patterns (as in a shell) by group name. An unknown
    way of grouping, or a pattern that matches no layer, is a ConfigError.
    """
    names = list(dict.fromkeys(layer.name for layer in counts.layers))
    _check_patterns("space.ignore", ignore, names)
    key_of = _keys(network, groups, names)
    kept = [name for name in names if not _matches(name, ignore) and key_of(name) is not None]
    members: dict[str, list[str]] = {}
    for name in kept:
        members.setdefault(str(key_of(name)), []).append(name)
    channels: dict[str, list[ChannelGroup]] = {}
    for group in graph.groups.values():
        if any(name not in kept for name in group.producers):
            continue
        keys = {key_of(name) for name in group.producers}
        key = str(keys.pop()) if len(keys) == 1 else group.name
        channels.setdefault(key, []).append(group)
        members.setdefault(key, [])
    found = [Grouped(key, tuple(layers), tuple(channels.get(key, ()))) for key, layers in members.items()]
    place = {name: index for index, name in enumerate(names)}
    return tuple(sorted(found, key=lambda g: place[(g.layers or g.channel_groups[0].producers)[0]]))


def block_of(network: nn.Module, layer: str) -> str:
    """The block a layer lies in: its innermost ancestor that is no mere container; the layer itself at the top."""
    path = layer.split(".")
    for depth in range(len(path) - 1, 0, -1):
        name = ".".join(path[:depth])
        if not isinstance(network.get_submodule(name), (nn.Sequential, nn.ModuleList)):
            return name
    return layer


def stage_of(network: nn.Module, layer: str) -> str:
    """The stage a layer lies in: the container that holds its block; the block itself where none does."""
    block = block_of(network, layer)
    parent = block.rpartition(".")[0]
    if parent and isinstance(network.get_submodule(parent), (nn.Sequential, nn.ModuleList)):
        return parent
    return block


def _keys(
    network: nn.Module, groups: str | Mapping[str, Sequence[str]], names: Sequence[str]
) -> Callable[[str], str | None]:
    if not isinstance(groups, str):
        for group, patterns in groups.items():
            _check_patterns(f"space.groups.{group}", patterns, names)
        return lambda name: next((key for key, patterns in groups.items() if _matches(name, patterns)), None)
    ways: dict[str, Callable[[str], str | None]] = {
        PER_LAYER: lambda name: name,
        PER_BLOCK: lambda name: block_of(network, name),
        PER_STAGE: lambda name: stage_of(network, name),
    }
    if groups not in ways:
        raise ConfigError(f"space.groups: unknown way of grouping '{groups}'{nearest(groups, ways)}")
    return ways[groups]


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _check_patterns(where: str, patterns: Sequence[str], names: Sequence[str]) -> None:
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigError(f"{where}: '{pattern}' matches no layer{nearest(pattern, names)}")
