"""Proof that what was asked was done (W27): shapes of the network, and contents of the file that ships.

A masked network, or a schedule that did nothing, has the right zeros and the wrong shapes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto
from torch import nn

from moco.compression.groups import ChannelGraph
from moco.compression.settings import INT8, precisions_of, widths_of
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
    for (name, side), axis in graph.axes.items():
        places = axis.kept(kept)
        wanted = len(axis.owner) if places is None else len(places)
        got = _width(network.get_submodule(name), side)
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


def verify_file(proto: onnx.ModelProto, policy: Policy) -> None:
    """Check that the file's weights have the widths and precisions of the policy.

    Raises:
        CompressionError: a layer that is wider or narrower than asked, or not in its precision.
    """
    initializers = {initializer.name: initializer for initializer in proto.graph.initializer}
    precisions = precisions_of(policy)
    for name, precision in precisions.items():
        codes = initializers.get(f"{name}.weight_q")
        if precision == INT8 and (codes is None or codes.data_type not in INTEGER_CODES):
            raise CompressionError(
                f"verification: '{name}' was to be int8, the file holds no integer codes of its weight"
            )
    stray = [n for n in initializers if n.endswith(".weight_q") and n.removesuffix(".weight_q") not in precisions]
    if stray:
        raise CompressionError(f"verification: '{stray[0].removesuffix('.weight_q')}' is int8 without being asked")
    for name, width in widths_of(policy).items():
        weight = initializers.get(f"{name}.weight_q", initializers.get(f"{name}.weight"))
        if weight is None:
            raise CompressionError(f"verification: the file holds no weight of '{name}'")
        if weight.dims[0] != width:
            raise CompressionError(
                f"verification: '{name}' was to keep {width} filters, the file holds {weight.dims[0]}"
            )


def _width(module: nn.Module, side: str) -> int:
    """Channels on that side of a module, read off its tensors."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        grouped = isinstance(module, nn.Conv2d) and module.groups > 1
        return int(module.weight.shape[0 if side == "out" or grouped else 1])
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        return int(module.running_mean.shape[0]) if module.running_mean is not None else module.num_features
    assert isinstance(module, PadShortcut)
    return int(module.source.shape[0]) if side == "out" else module.in_channels
