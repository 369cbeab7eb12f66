"""The user's own training function as a recovery: it may change every weight, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from moco.errors import CompressionError, in_one_line
from moco.models.training import seeded_torch
from moco.randomness import derived_seed
from moco.recovery.step import Candidate, Moment, RecoveryContext, RecoveryStep, source_hash

RecoveryFunction = Callable[[nn.Module, Tensor, Tensor], nn.Module | None]
"""Trains a network on images (n, channels, height, width) and labels (n,), in place or by returning a network."""


@dataclass(frozen=True)
class CustomOptions:
    """The function, called with (network, images, labels) of the training split."""

    function: RecoveryFunction


class CustomStep(RecoveryStep):
    """The user's own training function."""

    name, Options, moment = "custom", CustomOptions, Moment.TRAINING
    needs_training_images = takes_function = True
    key_place = 3

    def apply(self, candidate: Candidate, context: RecoveryContext, prepared: object) -> nn.Module:  # noqa: ARG002
        """Call the function, seeded; a CompressionError names one that raises or changes more than weights."""
        function, name, before = self.options.function, _name(self.options.function), _structure(candidate.network)
        copies = [tensor.clone() for tensor in context.training_set]  # it may normalise or shuffle them in place
        try:
            with seeded_torch(derived_seed(context.seed, "custom recovery")):
                returned = function(candidate.network, *copies)
        except (Exception, SystemExit) as error:  # whatever the user's code raises is about that code
            raise CompressionError(f"recovery: the function '{name}' raised {in_one_line(error)}") from error
        recovered: object = candidate.network if returned is None else returned
        if not isinstance(recovered, nn.Module):
            raise CompressionError(
                f"recovery: the function '{name}' returned a {type(recovered).__name__}; return None or the network"
            )
        _check(name, before, recovered)
        return recovered.eval()

    def written(self) -> str:
        """The function's name, and the hash of its source where it can be read."""
        function = self.options.function
        return f"{getattr(function, '__module__', type(function).__module__)}:{_name(function)} {source_hash(function)}"


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
