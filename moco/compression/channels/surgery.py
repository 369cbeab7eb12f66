"""Real surgery: tensors are gathered, modules told their new widths; nothing is masked."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from moco.models.cifar_resnet import PadShortcut

UNOWNED = -1
PLAIN_LAYERS = {
    nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d,
    nn.ReLU, nn.ReLU6, nn.Identity, nn.Dropout,
}  # fmt: skip
"""Layers whose attributes, their tensors apart, are values that a copy may share."""


PER_CHANNEL = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.PReLU)
"""Layers that work on each channel, or on groups of them, with numbers of their own."""
_WIDTHS = {nn.GroupNorm: "num_channels", nn.PReLU: "num_parameters"}
"""What those call their number of channels, where it is not `num_features`."""


@dataclass(frozen=True)
class Axis:
    """Who owns each channel along one axis of a module."""

    groups: list[str]  # names of the groups that own channels here
    owner: np.ndarray  # (channels,) index into `groups`, UNOWNED where a channel always stays
    channel: np.ndarray  # (channels,) the channel of that group

    def claim(self, group: str, places: Sequence[int], channels: Sequence[int]) -> None:
        """Give the `places` of this axis to `channels` of `group`."""
        if group not in self.groups:
            self.groups.append(group)
        self.owner[places] = self.groups.index(group)
        self.channel[places] = channels

    def kept(self, kept: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Ascending places that stay; None where all do."""
        if not any(group in kept for group in self.groups):
            return None
        stays = np.ones(len(self.owner), dtype=bool)
        for index, group in enumerate(self.groups):
            if group in kept:
                mine = np.flatnonzero(self.owner == index)
                staying = np.zeros(1 + self.channel[mine].max(initial=0), dtype=bool)
                staying[kept[group][kept[group] < len(staying)]] = True
                stays[mine] = staying[self.channel[mine]]
        return np.flatnonzero(stays)


def thinned(network: nn.Module, axes: Mapping[tuple[str, str], Axis], kept: Mapping[str, np.ndarray]) -> nn.Module:
    """A copy of the network whose tensors hold only the kept channels.

    The copy is made with the gathered tensors already in it, so that no large tensor is copied to be thrown away.
    """
    memo: dict[int, object] = {}
    plans: list[tuple[str, np.ndarray | None, np.ndarray | None]] = []
    for name in dict.fromkeys(name for name, _ in axes):
        out = axes[name, "out"].kept(kept) if (name, "out") in axes else None
        inner = axes[name, "in"].kept(kept) if (name, "in") in axes else None
        if out is not None or inner is not None:
            plans.append((name, out, inner))
            _gather(module_or_tensor(network, name), out, inner, memo)
    # `copy.deepcopy` takes ten times as long for the empty hook tables of plain layers.
    for module in network.modules():
        if type(module) in PLAIN_LAYERS:
            memo[id(module)] = _copied(module, memo)
    thin = copy.deepcopy(network, memo)
    for name, out, inner in plans:
        _resize(module_or_tensor(thin, name), out, inner)
    return thin


def masked(network: nn.Module, axes: Mapping[tuple[str, str], Axis], kept: Mapping[str, np.ndarray]) -> nn.Module:
    """A copy of full width in which the channels that do not stay are zero where they are made and where they are read.

    It gives what the thin network gives, unless the forward pass moves, counts or mixes channels between layers.
    """
    copied = copy.deepcopy(network)
    with torch.no_grad():
        for (name, side), axis in axes.items():
            places = axis.kept(kept)
            if places is not None:
                gone = np.setdiff1d(np.arange(len(axis.owner)), places)
                _zero(module_or_tensor(copied, name), side, torch.from_numpy(gone))
    return copied


def module_or_tensor(network: nn.Module, name: str) -> nn.Module | torch.Tensor:
    """The module, parameter or buffer of that name."""
    owner, _, leaf = name.rpartition(".")
    found: nn.Module | torch.Tensor = getattr(network.get_submodule(owner), leaf)
    return found


def within(module: str, gone: Collection[str]) -> bool:
    """Whether a module, or a tensor, is one of these, or is in one of them."""
    return any(module == other or module.startswith(f"{other}.") for other in gone)


def is_vector(tensor: torch.Tensor) -> bool:
    """Whether a tensor is long along one axis at most: it may hold a number for each channel."""
    return sum(size > 1 for size in tensor.shape) <= 1


def channel_axis(tensor: torch.Tensor) -> int:
    """The axis of a tensor that holds one number for each channel, as it is long along no other."""
    return max(range(tensor.ndim), key=lambda axis: tensor.shape[axis])


def width(module: nn.Module) -> int:
    """The number of channels of a layer that works on each."""
    return int(getattr(module, _width_name(module)))


def _width_name(module: nn.Module) -> str:
    return next((name for kind, name in _WIDTHS.items() if isinstance(module, kind)), "num_features")


def _zero(module: nn.Module | torch.Tensor, side: str, gone: torch.Tensor) -> None:
    if isinstance(module, torch.Tensor):
        module.movedim(channel_axis(module), 0)[gone] = 0
    elif isinstance(module, PadShortcut):
        module.source[gone if side == "out" else torch.isin(module.source, gone)] = module.in_channels
    elif side == "out":
        for parameter in module.parameters(recurse=False):
            parameter.movedim(out_axis(module, parameter), 0)[gone] = 0
        mean = getattr(module, "running_mean", None)
        if isinstance(mean, torch.Tensor):
            mean[gone] = 0
    elif not _per_channel(module):
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        weight.movedim(1 - out_axis(module, weight), 0)[gone] = 0


def _copied(module: nn.Module, memo: dict[int, object]) -> nn.Module:
    """A copy of a plain layer; tensors that the memo holds already are taken from it, others are put in."""
    copied = module.__new__(type(module))
    attributes = vars(copied)
    for name, value in vars(module).items():
        attributes[name] = value.copy() if isinstance(value, dict | set | list) else value
    for table in (attributes["_parameters"], attributes["_buffers"]):
        for name, tensor in table.items():
            if tensor is not None and id(tensor) not in memo:
                memo[id(tensor)] = _like(tensor, tensor.detach().clone())
            table[name] = memo.get(id(tensor))
    return copied


def _like(tensor: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """The values as what `tensor` is: a parameter or a buffer."""
    return nn.Parameter(values, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else values


def _gather(
    module: nn.Module | torch.Tensor, out: np.ndarray | None, inner: np.ndarray | None, memo: dict[int, object]
) -> None:
    """Put the gathered tensors of `module`, or that tensor itself, into the memo of the copy to come."""
    if isinstance(module, torch.Tensor):
        assert out is not None
        gathered = module.detach().index_select(channel_axis(module), torch.from_numpy(out))
        memo[id(module)] = _like(module, gathered)
        return
    if isinstance(module, PadShortcut):
        memo[id(module.source)] = _rewired(module, out, inner)
        return
    for name, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
        if tensor.ndim == 0:  # num_batches_tracked
            continue
        gathered, axis = tensor.detach(), out_axis(module, tensor)
        if out is not None:
            gathered = gathered.index_select(axis, torch.from_numpy(out))
        if inner is not None and name == "weight" and not _per_channel(module):
            gathered = gathered.index_select(1 - axis, torch.from_numpy(inner))
        memo[id(tensor)] = _like(tensor, gathered.clone() if gathered.data_ptr() == tensor.data_ptr() else gathered)


def out_axis(module: nn.Module, tensor: torch.Tensor) -> int:
    """The axis of a layer's tensor that holds its output channels."""
    return 1 if isinstance(module, nn.ConvTranspose2d) and tensor.ndim > 1 else 0


def _per_channel(module: nn.Module) -> bool:
    """Whether each output reads its own inputs only, so that the output side says it all."""
    return isinstance(module, PER_CHANNEL) or (isinstance(module, nn.Conv2d) and module.groups > 1)


def _rewired(module: PadShortcut, out: np.ndarray | None, inner: np.ndarray | None) -> torch.Tensor:
    """`source` after channels have left on either side; an output fed by a channel that left becomes zero."""
    source = module.source.numpy()
    zero = module.in_channels
    if out is not None:
        source = source[out]
    if inner is not None:
        places = np.full(zero + 1, len(inner))
        places[inner] = np.arange(len(inner))
        source = places[source]
    return torch.from_numpy(np.ascontiguousarray(source, dtype=np.int64))


def _resize(module: Any, out: np.ndarray | None, inner: np.ndarray | None) -> None:
    """Tell a module of the widths that its tensors now have."""
    if isinstance(module, nn.Conv2d) and module.groups > 1:  # it loses whole groups
        assert out is not None
        given, read = module.out_channels // module.groups, module.in_channels // module.groups
        module.groups = len(out) // given
        module.in_channels, module.out_channels = module.groups * read, len(out)
        return
    if isinstance(module, torch.Tensor):
        return
    if isinstance(module, PER_CHANNEL):
        assert out is not None
        if isinstance(module, nn.GroupNorm):  # it loses whole groups
            module.num_groups = module.num_groups * len(out) // module.num_channels
        names = (_width_name(module), "")
    else:
        names = ("out_features", "in_features") if isinstance(module, nn.Linear) else ("out_channels", "in_channels")
    for name, places in zip(names, (out, inner), strict=True):
        if places is not None:
            setattr(module, name, len(places))
