"""Unstructured magnitude pruning (S4.02; Han et al. 2015): a layer keeps its largest weights, the others become zero.

It is for size and for comparison. The tensors stay dense, so no runtime here gets faster by it, and none is credited
with speed; a file gets smaller only where a sparse or compressed format stores it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from moco.compression.methods.filter_pruning import rounded_width
from moco.errors import CompressionError
from moco.suggest import nearest


def kept_weights(n: int, keep_ratio: float) -> int:
    """Weights of `n` that a ratio to keep, in (0, 1], leaves: n - floor(n (1 - keep_ratio)), at least one.

    Raises:
        CompressionError: the ratio is not in (0, 1].
    """
    if not 0 < keep_ratio <= 1:
        raise CompressionError(f"sparsity: expected a ratio of weights to keep in (0, 1], got {keep_ratio}")
    return rounded_width(n, keep_ratio)


def largest(weight: torch.Tensor, k: int) -> torch.Tensor:
    """Which `k` weights have the largest magnitude (bool, as the weight); of equals the lower index stays."""
    order = torch.sort(weight.detach().abs().flatten(), descending=True, stable=True).indices
    mask = torch.zeros(weight.numel(), dtype=torch.bool, device=weight.device)
    mask[order[:k]] = True
    return mask.reshape(weight.shape)


def sparsify_(network: nn.Module, kept: Mapping[str, int]) -> dict[str, torch.Tensor]:
    """Zero all but the largest weights of these layers, in place; returns which stay, to hold the zeros in a tuning.

    Args:
        network: a copy that the caller made.
        kept: by layer (convolution or linear), how many of its weights stay.

    Returns:
        By layer, True where a weight stays (bool, as the weight).

    Raises:
        CompressionError: an unknown layer, a number out of range or weights that are NaN; nothing was changed then.
    """
    weights = {name: _weight(network, name, k) for name, k in kept.items()}
    masks = {name: largest(weight, kept[name]) for name, weight in weights.items()}
    with torch.no_grad():
        for name, weight in weights.items():
            weight[~masks[name]] = 0
    return masks


def _weight(network: nn.Module, name: str, k: int) -> torch.Tensor:
    layers = {n: m for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    if name not in layers:
        raise CompressionError(
            f"sparsity: the network has no convolution or linear layer '{name}'{nearest(name, layers)}"
        )
    weight = layers[name].weight
    if not 1 <= k <= weight.numel():
        raise CompressionError(f"sparsity: '{name}' has {weight.numel()} weights, of which 1 to all stay; got {k}")
    if weight.isnan().any():
        raise CompressionError(f"sparsity: '{name}' has weights that are NaN; they have no magnitude")
    return weight
