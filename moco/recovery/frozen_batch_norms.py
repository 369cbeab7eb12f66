"""Training with batch-norms that keep their statistics: a layer computes with its batch-norm folded into its weight.

Such a batch-norm is a scale and a shift for each channel, so its layer may compute with the scaled weight (Jacob et al.
2018, section 3.2, where it is done for the quantizer's sake), and what is left of the batch-norm is nothing. Weight,
scale and shift stay parameters of their own and get the gradients that they would get; but no feature map is read
again, which in a ResNet takes a fifth to a quarter of a step on a processor.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from moco.export.folding import foldable_pairs


@contextmanager
def folded_into_layers(network: nn.Module, example: Tensor) -> Iterator[None]:
    """Let each batch-norm that alone reads a layer be computed by that layer; afterwards the network is as it was.

    It gives what it gives in evaluation mode, to rounding. `example` (n, channels, height, width) shows who reads what.
    """
    names = [(pair.layer, pair.batch_norm) for pair in foldable_pairs(network, example)]
    pairs = [(network.get_submodule(layer), network.get_submodule(batch_norm)) for layer, batch_norm in names]
    try:
        for layer, batch_norm in pairs:
            layer.forward = partial(_folded, layer, batch_norm)
            batch_norm.forward = _as_it_is
        yield
    finally:
        for module in (module for pair in pairs for module in pair):
            module.__dict__.pop("forward", None)


def _folded(layer: Any, batch_norm: Any, read: Tensor) -> Tensor:
    """What batch-norm gives of the layer's output, by one product."""
    scale = torch.rsqrt(batch_norm.running_var + batch_norm.eps)
    if batch_norm.weight is not None:
        scale = scale * batch_norm.weight
    shift = -batch_norm.running_mean if layer.bias is None else layer.bias - batch_norm.running_mean
    shift = shift * scale if batch_norm.bias is None else shift * scale + batch_norm.bias
    weight = layer.weight * scale.view(-1, *[1] * (layer.weight.ndim - 1))
    if isinstance(layer, nn.Linear):
        return F.linear(read, weight, shift)
    given: Tensor = layer._conv_forward(read, weight, shift)
    return given


def _as_it_is(read: Tensor) -> Tensor:
    return read
