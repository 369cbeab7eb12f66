"""Coupled channels: which layers must lose the same channels, found once by following them through a forward pass.

What the pass shows (channel_flow) is kept as a plain map from every channel of every layer to the group and the channel
of the group that owns it. Removing channels is then one gather a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
import torch
from torch import nn

from moco.compression.channels.algebra import components
from moco.compression.channels.branches import Branches, residual_branches
from moco.compression.channels.flow import Flow, channel_flow
from moco.compression.channels.surgery import UNOWNED, Axis, masked, thinned, within
from moco.compression.counting import Counts
from moco.errors import CompressionError, in_one_line

LOGITS = "they are the logits"
MOST_DIFFERENCE, ROUNDING = 1e-3, 1e-4
"""Most that the logits of a thin network may differ from those of the masked one: of their spread over two images, and
of their size, below which a difference is that of other sums."""


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that are removed together."""

    name: str  # the first layer, in the order of the forward pass, that gives these channels
    # how many there are; one may stand for several filters of a layer that only go together, those of a group of a
    # grouped convolution for example
    channels: int
    producers: tuple[str, ...]  # layers that give them, in the order of the forward pass
    consumers: tuple[str, ...]  # layers that read them, in that order


@dataclass(frozen=True)
class ChannelGraph:
    """All channel groups of a network and how they lie in its tensors."""

    groups: Mapping[str, ChannelGroup]  # by name, in the order of the forward pass
    axes: Mapping[tuple[str, str], Axis]  # by (module, "out" or "in"), who owns each channel
    left_out: Mapping[str, str] = field(default_factory=dict)  # groups that cannot be pruned here: name and reason
    finding: Callable[[], Branches] = field(default=Branches, compare=False, repr=False)

    @cached_property
    def branches(self) -> Branches:
        """The network's residual branches, found when they are first asked for."""
        return self.finding()

    def thin(self, network: nn.Module, kept: Mapping[str, np.ndarray]) -> nn.Module:
        """A physically smaller copy of `network`, the one that this graph was made of; it is left as it is.

        `kept` holds, by group name, the ascending indices of the channels that stay; groups not named stay whole. A
        CompressionError names an unknown group, one without a channel left, or an index out of range.
        """
        for name, channels in kept.items():
            group = self.groups.get(name)
            if group is None:
                why = f": {self.left_out[name]}" if name in self.left_out else f"; there are {', '.join(self.groups)}"
                raise CompressionError(f"pruning: '{name}' is no prunable group{why}")
            if not len(channels) or min(channels) < 0 or max(channels) >= group.channels:
                raise CompressionError(
                    f"pruning: '{name}' has {group.channels} channels, of which at least one must stay; "
                    f"got {len(channels)} indices"
                )
        return thinned(network, self.axes, kept)

    def filters(self, gone: Collection[str] = ()) -> dict[str, tuple[str, int] | None]:
        """By group, its first layer that has filters for each channel, and how many for one; None without such a layer.

        Layers that are concatenated before they meet the others of their group have filters for a part of the channels.
        Those in modules that are `gone` are not looked at.
        """
        return {name: self._whole_layer(group, gone) for name, group in self.groups.items()}

    def _whole_layer(self, group: ChannelGroup, gone: Collection[str]) -> tuple[str, int] | None:
        for layer in (layer for layer in group.producers if not within(layer, gone)):
            axis = self.axes[layer, "out"]
            filters, rest = divmod(int(np.sum(axis.owner == axis.groups.index(group.name))), group.channels)
            if filters and not rest:
                return layer, filters
        return None


def channel_graph(network: nn.Module, example: torch.Tensor, counts: Counts) -> ChannelGraph:
    """The channel groups of `network`, found with `example` (n, channels, height, width).

    The layers that give the logits keep their width. A group that touches a module moco cannot thin exactly, or without
    whose channels the network does not run or is another than the one with zeros in their place, is left out, with the
    reason. A network that does not run, or gives no logits, is a CompressionError.
    """
    image = torch.randn(example[:2].shape, generator=torch.Generator().manual_seed(0), dtype=example.dtype)
    try:
        flow = channel_flow(network, image)
    except Exception as error:  # a forward pass fails in many ways; each means that the coupling is unknown
        reason = in_one_line(error)
        raise CompressionError(f"the coupling of the network's channels cannot be traced: {reason}") from error
    _check_logits(flow.output, counts)
    flow.atoms.fix(flow.logits[1], LOGITS)
    found = _Found.of(flow, counts)
    graph = found.graph({})
    refused = _refused(network, image, graph, list(graph.groups))
    graph = found.graph(refused)
    together = _fault(network, image, graph, graph.groups) if refused else None
    graph = graph if together is None else found.graph({**dict.fromkeys(graph.groups, together), **refused})
    return replace(graph, finding=partial(residual_branches, network, image, counts))


@dataclass(frozen=True)
class _Found:
    """The channels of every layer as classes that go together, and the sets of classes that make one group."""

    sides: Mapping[tuple[str, str], np.ndarray]  # class of each channel by (module, "out" or "in")
    group_of: np.ndarray
    stays: Mapping[int, str]  # why a group must stay whole, by group
    order: tuple[str, ...]

    @staticmethod
    def of(flow: Flow, counts: Counts) -> _Found:
        """Classes that one layer gives belong to one group."""
        classes, reasons = flow.atoms.classes()
        sides = {place: classes[labels] for place, labels in flow.sides.items()}
        order = tuple(dict.fromkeys(layer.name for layer in counts.layers))
        given = [sides[name, "out"] for name in order if (name, "out") in sides]
        group_of = components(int(classes.max()) + 1, [(out[:-1], out[1:]) for out in given])
        stays: dict[int, str] = {}
        for found, reason in reasons.items():
            group = int(group_of[found])
            stays[group] = reason if reason == LOGITS else stays.get(group) or reason
        return _Found(sides, group_of, stays, order)

    def graph(self, refused: Mapping[str, str]) -> ChannelGraph:
        """The groups by name and their places in the tensors, without those that are refused."""
        groups: dict[str, ChannelGroup] = {}
        left_out: dict[str, str] = {}
        index: dict[int, tuple[str, Mapping[int, int]]] = {}
        for name, members in self._members().items():
            out = np.concatenate([self.sides[layer, "out"] for layer in members])
            group, classes = int(self.group_of[out[0]]), list(dict.fromkeys(out.tolist()))
            reason = refused.get(name) or self.stays.get(group)
            if reason is None and len(classes) == 1:
                reason = "it has one channel" if len(out) == len(members) else "all of its channels only go together"
            if reason == LOGITS:
                continue
            if reason is not None:
                left_out[name] = reason
                continue
            index[group] = name, {found: channel for channel, found in enumerate(classes)}
            groups[name] = ChannelGroup(name, len(classes), members, self._readers(group))
        return ChannelGraph(groups, self._axes(index), left_out)

    def _members(self) -> dict[str, tuple[str, ...]]:
        members: dict[int, list[str]] = {}
        for name in self.order:
            if (name, "out") in self.sides:
                members.setdefault(int(self.group_of[self.sides[name, "out"][0]]), []).append(name)
        return {names[0]: tuple(names) for names in members.values()}

    def _readers(self, group: int) -> tuple[str, ...]:
        inputs = ((name, self.sides.get((name, "in"))) for name in self.order)
        return tuple(name for name, read in inputs if read is not None and group in self.group_of[read])

    def _axes(self, index: Mapping[int, tuple[str, Mapping[int, int]]]) -> dict[tuple[str, str], Axis]:
        """Who owns each channel of each tensor; axes that nobody owns are left out."""
        axes: dict[tuple[str, str], Axis] = {}
        for place, classes in self.sides.items():
            groups = self.group_of[classes]
            for group in dict.fromkeys(groups.tolist()):
                if group in index:
                    name, channels = index[group]
                    mine = np.flatnonzero(groups == group)
                    whole = Axis([], np.full(len(classes), UNOWNED), np.zeros(len(classes), np.int64))
                    axis = axes.setdefault(place, whole)
                    axis.claim(name, mine.tolist(), [channels[found] for found in classes[mine].tolist()])
        return axes


def _refused(network: nn.Module, image: torch.Tensor, graph: ChannelGraph, names: Sequence[str]) -> dict[str, str]:
    """The groups without whose channels the network is another, found by halving, with the reason of each."""
    reason = _fault(network, image, graph, names) if names else None
    if reason is None:
        return {}
    if len(names) == 1:
        return {names[0]: reason}
    half = len(names) // 2
    return {**_refused(network, image, graph, names[:half]), **_refused(network, image, graph, names[half:])}


def _fault(network: nn.Module, image: torch.Tensor, graph: ChannelGraph, names: Collection[str]) -> str | None:
    """Why every other channel of these groups cannot be removed; None where that equals zeroing them (W26).

    A network that runs may still be a wrong one: a channel shuffle of a smaller width moves other channels.
    """
    kept = {name: np.arange(0, graph.groups[name].channels, 2) for name in names}
    with torch.no_grad():
        try:
            expected, got = masked(network, graph.axes, kept)(image), graph.thin(network, kept)(image)
            runs = bool(got.shape == expected.shape)
        except Exception:  # a forward pass may refuse another width in any way, by an assertion too
            runs = False
    if runs and not bool(torch.isfinite(expected).all()):
        return "the network gives NaN or infinite logits on random images, so that it cannot be compared"
    if not runs:
        return "the network does not run with fewer of these channels: its forward pass holds their number"
    spread = float((expected.amax(0) - expected.amin(0)).max())  # what all images share, a bias, hides no difference
    tolerance = max(MOST_DIFFERENCE * spread, ROUNDING * float(expected.abs().max()))
    if float((got - expected).abs().max()) <= tolerance:
        return None
    return (
        "without these channels the network gives other logits than with zeros in their place: its forward pass moves, "
        "mixes or counts channels"
    )


def _check_logits(output: object, counts: Counts) -> None:
    if not isinstance(output, torch.Tensor) or output.ndim != 2 or not counts.layers:
        shape = (1, *output.shape[1:]) if isinstance(output, torch.Tensor) and output.ndim else ()
        got = f"shape {shape}" if isinstance(output, torch.Tensor) else type(output).__name__
        raise CompressionError(
            f"expected a network of convolutions and linear layers that gives logits (n, classes), got {got} "
            f"from {len(counts.layers)} such layers"
        )
