"""The user's own training function as a recovery: it may change every weight, and nothing else."""

from __future__ import annotations

import functools
import hashlib
import inspect
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
    name = _name(function)
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


def identity(function: RecoveryFunction) -> str:
    """What a stored evaluation depends on of a function: its name, and the hash of its source where it can be read."""
    named = f"{getattr(function, '__module__', type(function).__module__)}:{_name(function)}"
    target = function.func if isinstance(function, functools.partial) else function
    given = f"{function.args} {sorted(function.keywords.items())}" if isinstance(function, functools.partial) else ""
    try:
        source = inspect.getsource(target if inspect.isroutine(target) else type(target))
    except (OSError, TypeError):  # it has no source: the name must do
        source = ""
    return f"{named} {hashlib.sha256(f'{source}{given}'.encode()).hexdigest()[:16]}"


def _name(function: RecoveryFunction) -> str:
    return str(getattr(function, "__qualname__", type(function).__name__))


def _structure(network: nn.Module) -> dict[str, str]:
    """Shape, type and device by name of every tensor that a network holds."""
    tensors = network.state_dict().items()
    return {name: f"{tuple(t.shape)} of {str(t.dtype).removeprefix('torch.')} on {t.device}" for name, t in tensors}


def _check(name: str, before: dict[str, str], network: nn.Module) -> None:
    after = _structure(network)
    for tensor in (*before, *after):
        if before.get(tensor) != after.get(tensor):
            raise CompressionError(
                f"recovery: the function '{name}' changed '{tensor}' from {before.get(tensor, 'nothing')} to "
                f"{after.get(tensor, 'nothing')}; it may change weights, not the structure, and must bring the network "
                "back to its device and type"
            )
    for tensor, values in network.state_dict().items():
        if not torch.isfinite(values).all():
            raise CompressionError(
                f"recovery: the function '{name}' left values in '{tensor}' that are not finite; "
                "lower its learning rate"
            )
