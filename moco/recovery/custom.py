"""The user's own training function as a recovery: it may change every weight, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from moco.errors import CompressionError
from moco.models.training import seeded_torch
from moco.randomness import derived_seed

RecoveryFunction = Callable[[nn.Module, Tensor, Tensor], nn.Module | None]
"""Trains a network on images (n, channels, height, width) and labels (n,), in place or by returning a network."""


def custom_recovery(
    function: RecoveryFunction, network: nn.Module, images: Tensor, labels: Tensor, *, rng_seed: int
) -> nn.Module:
    """What the user's function makes of the network, in evaluation mode.

    Args:
        function: may train `network` in place and return nothing, or return a network of the same structure.
        network: a compressed copy.
        rng_seed: torch's global generator is set by it while the function runs, and put back afterwards.

    Raises:
        CompressionError: the function raised, or changed more than weights; it is named.
    """
    name = getattr(function, "__qualname__", type(function).__name__)
    before = _structure(network)
    try:
        with seeded_torch(derived_seed(rng_seed, "custom recovery")):
            returned = function(network, images, labels)
    except Exception as error:  # whatever the user's code raises is about that code
        raise CompressionError(f"recovery: the function '{name}' raised {type(error).__name__}: {error}") from error
    recovered: object = network if returned is None else returned
    if not isinstance(recovered, nn.Module):
        raise CompressionError(
            f"recovery: the function '{name}' returned a {type(recovered).__name__}; return None or the network"
        )
    _check(name, before, recovered)
    return recovered.eval()


def _structure(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shape by name of every tensor that a network holds."""
    return {tensor: tuple(values.shape) for tensor, values in network.state_dict().items()}


def _check(name: str, before: dict[str, tuple[int, ...]], network: nn.Module) -> None:
    after = _structure(network)
    for tensor in (*before, *after):
        if before.get(tensor) != after.get(tensor):
            raise CompressionError(
                f"recovery: the function '{name}' changed '{tensor}' from {_shown(before.get(tensor))} to "
                f"{_shown(after.get(tensor))}; it may change weights, not the structure"
            )
    for tensor, values in network.state_dict().items():
        if not torch.isfinite(values).all():
            raise CompressionError(
                f"recovery: the function '{name}' left values in '{tensor}' that are not finite; "
                "lower its learning rate"
            )


def _shown(shape: tuple[int, ...] | None) -> str:
    return "nothing" if shape is None else f"shape {shape}"
