"""Factors on channels where layers read them: after batch-norm and activation, since those go with a channel too."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from moco.compression.channels.groups import ChannelGraph
from moco.compression.channels.surgery import Axis
from moco.compression.collecting import Read


def gated_reads(network: nn.Module, graph: ChannelGraph, gates: Mapping[str, Tensor]) -> dict[str, Read]:
    """By layer, what makes it read each channel times its gate; gates are (images, channels), by channel group.

    Channels of groups without gates are read as they are.
    """
    return {
        name: partial(_gated, network.get_submodule(name), graph.axes[name, "in"], gates)
        for name, side in graph.axes
        if side == "in"
    }


def _gated(module: nn.Module, axis: Axis, gates: Mapping[str, Tensor], read: Tensor) -> Tensor:
    """What a layer reads, each owned channel times its image's gate."""
    factor = read.new_ones(len(read), len(axis.owner))
    for index, name in enumerate(axis.groups):
        if name in gates:
            places = np.flatnonzero(axis.owner == index)
            gate = gates[name][:, torch.from_numpy(axis.channel[places])]
            factor = factor.index_copy(1, torch.from_numpy(places).to(read.device), gate)
    if isinstance(module, nn.Linear):
        return read * factor.reshape(len(read), *[1] * (read.ndim - 2), -1)
    return read * factor.reshape(len(read), -1, *[1] * (read.ndim - 2))
