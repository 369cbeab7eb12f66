"""Proof that what was asked was done (W27): shapes of the network, and contents of the file that ships.

A masked network, or a schedule that did nothing, has the right zeros and the wrong shapes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from torch import nn

from moco.compression.channels.groups import ChannelGraph
from moco.compression.methods.factorisation import TuckerRanks
from moco.compression.policy_settings import bits_by_part, factors_of, parts_of, weights_kept_of, widths_of
from moco.errors import CompressionError
from moco.models.cifar_resnet import PadShortcut
from moco.policy import Policy

INTEGER_CODES = {TensorProto.INT8, TensorProto.UINT8}


def verify_network(network: nn.Module, graph: ChannelGraph, kept: Mapping[str, np.ndarray]) -> None:
    """Check the widths of every tensor against the channels that were to stay.

    Args:
        network: the compressed network.
        graph: the channels of the original.
        kept: by channel group, the channels that were to stay.

    Raises:
        CompressionError: a layer whose shape is not what was asked; it is named with both shapes.
    """
    modules = dict(network.named_modules())
    for (name, side), axis in graph.axes.items():
        places = axis.kept(kept)
        wanted = len(axis.owner) if places is None else len(places)
        got = _width(modules[name], side)
        if got != wanted:
            raise CompressionError(
                f"verification: '{name}' was to have {wanted} {side}put channels, its tensors have {got}; "
                "the policy was not applied by real surgery"
            )


def verify_parameters(network: nn.Module, stated: float) -> None:
    """Check that the network has as many parameters as the exact count of its policy states.

    Raises:
        CompressionError: it has more or fewer.
    """
    got = sum(parameter.numel() for parameter in network.parameters())
    if got != stated:
        raise CompressionError(
            f"verification: the policy leaves {stated:,.0f} parameters, the network has {got:,}; "
            "the policy was not applied by real surgery"
        )


def verify_file(proto: onnx.ModelProto, policy: Policy, filters: Mapping[str, int] | None = None) -> None:
    """Check that the file's weights have the widths, ranks, zeros and bits of the policy.

    Args:
        filters: by channel group, how many filters of its first layer one channel stands for; one where not named.

    Raises:
        CompressionError: a layer that is not what was asked.
    """
    weights = _Weights(proto)
    bits = bits_by_part(policy)
    for name, used in bits.items():
        weights.check_codes(name, used.weights)
    stray = [name for name in weights.coded if name not in bits]
    if stray:
        raise CompressionError(f"verification: '{stray[0]}' is int8 without being asked")
    for name, channels in widths_of(policy).items():
        width, got = channels * (filters or {}).get(name, 1), weights.of(parts_of(policy, name)[-1]).dims[0]
        if got != width:
            raise CompressionError(f"verification: '{name}' was to keep {width} filters, the file holds {got}")
    for name, factors in factors_of(policy).items():
        rank = factors.rank_in if isinstance(factors, TuckerRanks) else factors.rank
        got = weights.of(parts_of(policy, name)[0]).dims[0]
        if got != rank:
            raise CompressionError(f"verification: '{name}' was to have rank {rank}, the file holds {got}")
    for name, kept in weights_kept_of(policy).items():
        left = int(np.count_nonzero(numpy_helper.to_array(weights.of(name))))
        if left > kept:
            raise CompressionError(f"verification: '{name}' was to keep {kept} weights, the file holds {left}")


class _Weights:
    """The weights of a file by layer."""

    def __init__(self, proto: onnx.ModelProto) -> None:
        self._initializers = {initializer.name: initializer for initializer in proto.graph.initializer}
        self.coded = [name.removesuffix(".weight_q") for name in self._initializers if name.endswith(".weight_q")]

    def of(self, name: str) -> onnx.TensorProto:
        """The weight of a layer, in floats or in codes."""
        found: onnx.TensorProto | None = self._initializers.get(f"{name}.weight_q")
        found = found or self._initializers.get(f"{name}.weight")
        if found is None:
            raise CompressionError(f"verification: the file holds no weight of '{name}'")
        return found

    def check_codes(self, name: str, bits: int) -> None:
        """Pass a layer whose weight is integer codes of so many bits (W32)."""
        codes = self._initializers.get(f"{name}.weight_q")
        if codes is None or codes.data_type not in INTEGER_CODES:
            asked = "int8" if bits == 8 else f"{bits}-bit"
            raise CompressionError(
                f"verification: '{name}' was to be {asked}, the file holds no integer codes of its weight"
            )
        if bits < 8 and len(np.unique(numpy_helper.to_array(codes))) > 2**bits:
            raise CompressionError(f"verification: '{name}' was to have {bits}-bit weights, its codes take more values")


def _width(module: nn.Module, side: str) -> int:
    """Channels on that side of a module, read off its tensors."""
    if isinstance(module, nn.ConvTranspose2d):
        return int(module.weight.shape[1 if side == "out" else 0])
    if isinstance(module, nn.Conv2d) and side == "in":
        return int(module.weight.shape[1]) * module.groups
    if isinstance(module, nn.Conv2d | nn.Linear):
        return int(module.weight.shape[0 if side == "out" else 1])
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        return int(module.running_mean.shape[0]) if module.running_mean is not None else module.num_features
    assert isinstance(module, PadShortcut)
    return int(module.source.shape[0]) if side == "out" else module.in_channels
