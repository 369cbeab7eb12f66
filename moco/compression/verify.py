"""Proof that what was asked was done (W27): shapes of the network, and contents of the file that ships.

A masked network, or a schedule that did nothing, has the right zeros and the wrong shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import onnx
import torch
from torch import nn

from moco.compression.channels.groups import ChannelGraph
from moco.compression.channels.surgery import PER_CHANNEL, channel_axis, module_or_tensor, out_axis, width
from moco.compression.file_weights import FileWeights
from moco.compression.policy_settings import by_method, methods_of, parts_of
from moco.errors import CompressionError
from moco.models.cifar_resnet import PadShortcut
from moco.policy import Policy


def verify_network(network: nn.Module, graph: ChannelGraph, kept: Mapping[str, np.ndarray]) -> None:
    """Check that every tensor has just the channels that were to stay, by group; a CompressionError names the layer."""
    for (name, side), axis in graph.axes.items():
        places = axis.kept(kept)
        wanted = len(axis.owner) if places is None else len(places)
        got = _width(module_or_tensor(network, name), side)
        if got != wanted:
            raise CompressionError(
                f"verification: '{name}' was to have {wanted} {side}put channels, its tensors have {got}; "
                "the policy was not applied by real surgery"
            )


def verify_parameters(network: nn.Module, stated: float) -> None:
    """Check, or raise CompressionError, that the network has as many parameters as its policy's exact count states."""
    got = sum(parameter.numel() for parameter in network.parameters())
    if got != stated:
        raise CompressionError(
            f"verification: the policy leaves {stated:,.0f} parameters, the network has {got:,}; "
            "the policy was not applied by real surgery"
        )


def verify_file(proto: onnx.ModelProto, policy: Policy, filters: Mapping[str, int] | None = None) -> None:
    """Check that the file's weights have the widths, ranks, zeros and bits of the policy; else a CompressionError.

    `filters` tells, by channel group, how many filters of its first layer one channel stands for; one where not named.
    """
    weights = FileWeights(proto, partial(parts_of, policy), filters)
    settings = {method.name: found for method, found in by_method(policy)}
    for method in methods_of(policy):
        method.verify_file(weights, settings.get(method.name, {}))


def _width(module: nn.Module | torch.Tensor, side: str) -> int:
    if isinstance(module, torch.Tensor):
        return int(module.shape[channel_axis(module)])
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        axis = out_axis(module, module.weight) if side == "out" else 1 - out_axis(module, module.weight)
        return int(module.weight.shape[axis]) * (module.groups if isinstance(module, nn.Conv2d) and axis else 1)
    if isinstance(module, PER_CHANNEL):
        tensors = (*module.buffers(recurse=False), *module.parameters(recurse=False))
        return next((len(tensor) for tensor in tensors if tensor.ndim == 1), width(module))
    assert isinstance(module, PadShortcut)
    return int(module.source.shape[0]) if side == "out" else module.in_channels
