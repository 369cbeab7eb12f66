"""A plain copy of a user's network: no wrappers, no layouts of memory, every weight a parameter, known batch-norms."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from moco.errors import ConfigError
from moco.models.computed_weights import compute_once
from moco.registry import blaming

WRAPPERS = {"DataParallel", "DistributedDataParallel", "AveragedModel", "OptimizedModule"}  # importing some is slow
HOOKS: tuple[tuple[type, Callable[..., object], str], ...] = (
    (WeightNorm, remove_weight_norm, "name"),
    (SpectralNorm, remove_spectral_norm, "name"),
    (prune.BasePruningMethod, prune.remove, "_tensor_name"),
)
"""Hooks that compute a tensor before each forward pass, what makes it a parameter, and where its name is."""


class BatchNorm(nn.BatchNorm2d):
    """A batch-norm of maps or of vectors, as SyncBatchNorm is."""

    def _check_input_dim(self, input: torch.Tensor) -> None:  # noqa: A002, the name is torch's
        """Take any."""


def plain(network: nn.Module, shape: Sequence[int] | None = None) -> nn.Module:
    """A plain copy in evaluation mode that gives what `network` gives, in float32; that is left as it is.

    Convolutions whose forward pass computes their weight become plain where the images' shape (channels, height, width)
    is given.
    """
    network = unwrapped(network)
    if isinstance(network, torch.jit.ScriptModule):
        raise ConfigError(
            "the network: TorchScript cannot be compressed; give the torch.nn.Module that it was made from"
        )
    with blaming("the network cannot be copied"):  # a lock, an open file or a generator among its attributes
        copied = copy.deepcopy(network, _computed(network)).eval()
    for tensor in (*copied.float().parameters(), *copied.buffers()):
        tensor.data = tensor.data.contiguous()  # in memory of another layout operators are others: `as_strided`
    for module in list(copied.modules()):
        _make_constant(module)
        if isinstance(module, nn.SyncBatchNorm):
            module.__class__ = BatchNorm  # type: ignore[assignment]
        for name, child in module.named_children():
            setattr(module, name, unwrapped(child))
    if shape is not None:
        compute_once(copied, shape)
    return copied


def unwrapped(network: nn.Module) -> nn.Module:
    """The network inside its wrappers."""
    while type(network).__name__ in WRAPPERS:
        network = next(network.children())
    return network


def _computed(network: nn.Module) -> dict[int, Any]:
    """Copies of the tensors that hooks have computed, which `copy.deepcopy` refuses to make."""
    tensors = [value for module in network.modules() for value in vars(module).values()]
    return {id(t): t.detach().clone() for t in tensors if isinstance(t, torch.Tensor) and not t.is_leaf}


def _make_constant(module: nn.Module) -> None:
    """Make the tensors that are computed from others parameters of their own."""
    if parametrize.is_parametrized(module):  # torch's own function would change the class, which the original has too
        lists: Any = module.parametrizations
        computed = {
            name: nn.Parameter(getattr(module, name).detach(), any(p.requires_grad for p in given.parameters()))
            for name, given in lists.items()
        }
        module.__class__ = parametrize.type_before_parametrizations(module)
        del module.parametrizations
        for name, parameter in computed.items():
            setattr(module, name, parameter)
    for hook in list(module._forward_pre_hooks.values()):
        for kind, remove, where in HOOKS:
            if isinstance(hook, kind):
                remove(module, getattr(hook, where))
