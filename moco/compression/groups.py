"""Coupled channels: which layers must lose the same channels, found once by Torch-Pruning's dependency graph.

The dependency graph is asked once; what it says is kept as a plain map from every channel of every layer to the group
and the channel of the group that owns it. Removing channels is then one gather a tensor.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch_pruning
from torch import nn

from moco.compression.surgery import Axis, masked, thinned
from moco.counting import Counts
from moco.errors import CompressionError
from moco.models.cifar_resnet import PadShortcut

PRUNABLE_MODULES = (nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d, PadShortcut)
MOST_DIFFERENCE, ROUNDING = 1e-3, 1e-4
"""Most that the logits of a thin network may differ from those of the masked one: of their spread over two images, and
of their size, below which a difference is that of other sums."""


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that are removed together.

    Attributes:
        name: the first layer, in the order of the forward pass, that gives these channels.
        channels: how many there are.
        producers: layers that give them, in the order of the forward pass.
        consumers: layers that read them, in that order.
    """

    name: str
    channels: int
    producers: tuple[str, ...]
    consumers: tuple[str, ...]


@dataclass(frozen=True)
class ChannelGraph:
    """All channel groups of a network and how they lie in its tensors.

    Attributes:
        groups: by name, in the order of the forward pass.
        axes: by (module, "out" or "in"), who owns each channel.
        left_out: groups that cannot be pruned here: name and reason.
    """

    groups: Mapping[str, ChannelGroup]
    axes: Mapping[tuple[str, str], Axis]
    left_out: Mapping[str, str] = field(default_factory=dict)

    def thin(self, network: nn.Module, kept: Mapping[str, np.ndarray]) -> nn.Module:
        """A physically smaller copy of the network.

        Args:
            network: the network that this graph was made of; it is left as it is.
            kept: by group name, the ascending indices of the channels that stay; groups not named stay whole.

        Raises:
            CompressionError: an unknown group, no channel left, or an index out of range.
        """
        for name, channels in kept.items():
            group = self.groups.get(name)
            if group is None:
                raise CompressionError(f"pruning: '{name}' is no prunable group{self._why(name)}")
            if not len(channels) or min(channels) < 0 or max(channels) >= group.channels:
                raise CompressionError(
                    f"pruning: '{name}' has {group.channels} channels, of which at least one must stay; "
                    f"got {len(channels)} indices"
                )
        return thinned(network, self.axes, kept)

    def _why(self, name: str) -> str:
        return f": {self.left_out[name]}" if name in self.left_out else f"; there are {', '.join(self.groups)}"


def channel_graph(network: nn.Module, example: torch.Tensor, counts: Counts) -> ChannelGraph:
    """The channel groups of `network`, traced with `example` (1, channels, height, width).

    The layers that give the logits keep their width. A group that touches a module moco cannot thin exactly, or
    without whose channels the network does not run or is another than the one with zeros in their place, is left out,
    with the reason.

    Raises:
        CompressionError: Torch-Pruning cannot trace the network, or it gives no logits.
    """
    heads = _heads(network, example, counts)
    traced = _traced_groups(network, example, heads)
    graph = _assembled(network, traced, counts, {})
    image = torch.randn(example[:2].shape, generator=torch.Generator().manual_seed(0), dtype=example.dtype)
    if _fault(network, image, graph, graph.groups) is None:
        return graph
    found = {name: _fault(network, image, graph, [name]) for name in graph.groups}
    refused = {name: reason for name, reason in found.items() if reason is not None}
    graph = _assembled(network, traced, counts, refused)
    together = _fault(network, image, graph, graph.groups)
    if together is None:
        return graph
    return _assembled(network, traced, counts, {**dict.fromkeys(found, together), **refused})


def _assembled(
    network: nn.Module, traced: Sequence[torch_pruning.Group], counts: Counts, refused: Mapping[str, str]
) -> ChannelGraph:
    """The traced groups by name with their places in the tensors; those that are refused are left out."""
    order = {layer.name: index for index, layer in enumerate(counts.layers)}
    names = {module: name for name, module in network.named_modules()}
    groups: dict[str, ChannelGroup] = {}
    owners: dict[tuple[str, str], Axis] = {}
    left_out: dict[str, str] = {}
    for found in traced:
        items = [
            (names[item.dep.target.module], "out" if _is_out(item.dep) else "in", list(item.idxs), list(item.root_idxs))
            for item in found
            if item.dep.target.module in names
        ]
        producers = sorted({n for n, axis, _, _ in items if axis == "out" and n in order}, key=order.__getitem__)
        consumers = sorted({n for n, axis, _, _ in items if axis == "in" and n in order}, key=order.__getitem__)
        if not producers:
            continue
        reason = refused.get(producers[0]) or _unprunable(network, [name for name, _, _, _ in items], found, names)
        if reason is not None:
            left_out[producers[0]] = reason
            continue
        group = ChannelGroup(producers[0], len(set(found[0].idxs)), tuple(producers), tuple(consumers))
        groups[group.name] = group
        for name, axis, idxs, roots in items:
            side = owners.setdefault((name, axis), Axis.unowned(_width(network.get_submodule(name), axis)))
            side.claim(group.name, idxs, roots)
    return ChannelGraph(dict(sorted(groups.items(), key=lambda pair: order[pair[0]])), owners, left_out)


def _fault(network: nn.Module, image: torch.Tensor, graph: ChannelGraph, names: Iterable[str]) -> str | None:
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


class _PadShortcutPruner(torch_pruning.BasePruningFunc):  # type: ignore[misc]
    """Tells Torch-Pruning that the two sides of a zero-padding shortcut have widths of their own.

    Never used to prune: the two methods differ so that input and output are not taken for one set of channels.
    """

    def prune_out_channels(self, layer: nn.Module, idxs: Sequence[int]) -> nn.Module:
        raise NotImplementedError("surgery is done from the plan")

    def prune_in_channels(self, layer: nn.Module, idxs: Sequence[int]) -> nn.Module:
        raise NotImplementedError("surgery is done from the plan")

    def get_out_channels(self, layer: PadShortcut) -> int:
        return layer.out_channels

    def get_in_channels(self, layer: PadShortcut) -> int:
        return layer.in_channels


def _traced_groups(network: nn.Module, example: torch.Tensor, heads: Sequence[nn.Module]) -> list[torch_pruning.Group]:
    required = {parameter: parameter.requires_grad for parameter in network.parameters()}
    try:
        for parameter in required:
            parameter.requires_grad_(True)  # the dependency graph is read from the autograd graph
        with torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = torch_pruning.DependencyGraph().build_dependency(
                network, example[:1], customized_pruners={PadShortcut: _PadShortcutPruner()}, verbose=False
            )
            return list(graph.get_all_groups(ignored_layers=list(heads), root_module_types=[nn.Conv2d, nn.Linear]))
    except Exception as error:  # a tracer fails in many ways; each means that the coupling is unknown
        raise CompressionError(
            f"the coupling of the network's channels cannot be traced: {type(error).__name__}: {error}"
        ) from error
    finally:
        for parameter, flag in required.items():
            parameter.requires_grad_(flag)


def _heads(network: nn.Module, example: torch.Tensor, counts: Counts) -> list[nn.Module]:
    """The layers whose width is the number of classes: the last one of that width in the forward pass."""
    with torch.no_grad():
        logits = network(example[:1])
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or not counts.layers:
        got = f"shape {tuple(logits.shape)}" if isinstance(logits, torch.Tensor) else type(logits).__name__
        raise CompressionError(
            f"expected a network of convolutions and linear layers that gives logits (n, classes), got {got} "
            f"from {len(counts.layers)} such layers"
        )
    for layer in reversed(counts.layers):
        if layer.out_channels == logits.shape[1]:
            return [network.get_submodule(layer.name)]
    return [network.get_submodule(counts.layers[-1].name)]


def _is_out(dep: torch_pruning.Dependency) -> bool:
    return "prune_out" in dep.handler.__name__


def _width(module: nn.Module, axis: str) -> int:
    if isinstance(module, nn.Conv2d):
        return module.out_channels if axis == "out" else module.in_channels
    if isinstance(module, nn.Linear):
        return module.out_features if axis == "out" else module.in_features
    if isinstance(module, PadShortcut):
        return module.out_channels if axis == "out" else module.in_channels
    assert isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))
    return module.num_features


def _unprunable(
    network: nn.Module, names: Sequence[str], group: torch_pruning.Group, known: Mapping[nn.Module, str]
) -> str | None:
    for name in names:
        module = network.get_submodule(name)
        if not isinstance(module, PRUNABLE_MODULES):
            return f"'{name}' is a {type(module).__name__}, whose channels cannot be removed here"
        if (
            isinstance(module, nn.Conv2d)
            and module.groups > 1
            and not module.groups == module.in_channels == module.out_channels
        ):
            return f"'{name}' is a grouped convolution ({module.groups} groups)"
    for item in group:
        module = item.dep.target.module
        holds_parameters = isinstance(module, nn.Parameter) or any(True for _ in getattr(module, "parameters", list)())
        if module not in known and holds_parameters:
            return f"'{item.dep.target.name}' is a parameter outside the known layers"
    return None
