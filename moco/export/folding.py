"""Batch-norm folded into the convolution before it: what the runtime would do anyway, done once and by name."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils.fusion import (
    fuse_conv_bn_eval,
    fuse_conv_bn_weights,
    fuse_linear_bn_eval,
    fuse_linear_bn_weights,
)

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True)
class FoldablePair:
    """Names of a convolution or linear layer and of the batch-norm that alone reads its output."""

    layer: str
    batch_norm: str


def foldable_pairs(network: nn.Module, example: torch.Tensor) -> tuple[FoldablePair, ...]:
    """The pairs that a forward pass of `example` (n, channels, height, width) shows, each verified by its outputs.

    A pair is found where a batch-norm reads the very tensor that a layer gave. That nothing else reads it cannot be
    seen from the outside, so a network whose folded copy gives other outputs keeps all its batch-norms.
    """
    seen = _Readers()
    handles = [
        module.register_forward_hook(seen.hook(name))
        for name, module in network.named_modules()
        if isinstance(module, (nn.Conv2d, nn.Linear)) or _has_statistics(module)
    ]
    try:
        with torch.no_grad():
            expected = network(example)
    finally:
        for handle in handles:
            handle.remove()
    layers, norms = [p.layer for p in seen.pairs], [p.batch_norm for p in seen.pairs]
    shared = len(set(layers)) < len(layers) or len(set(norms)) < len(norms)
    if shared or not _same_outputs(fold(network, seen.pairs), example, expected):
        return ()
    return tuple(seen.pairs)


class _Readers:
    """Forward hooks that note which batch-norm reads which layer's output."""

    def __init__(self) -> None:
        self.pairs: list[FoldablePair] = []
        self._producers: dict[int, str] = {}
        self._alive: list[torch.Tensor] = []  # an id is unique only while its object lives

    def hook(self, name: str) -> Callable[[nn.Module, tuple[torch.Tensor, ...], torch.Tensor], None]:
        """The hook of the module of that name."""

        def note(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            if not isinstance(module, BATCH_NORMS):
                self._producers[id(output)] = name
                self._alive.append(output)
            elif id(inputs[0]) in self._producers:
                self.pairs.append(FoldablePair(self._producers.pop(id(inputs[0])), name))

        return note


def _has_statistics(module: nn.Module) -> bool:
    """Whether it is a batch-norm with running statistics: one without normalises by the batch and cannot be folded."""
    return isinstance(module, BATCH_NORMS) and module.running_mean is not None


def fold(network: nn.Module, pairs: Sequence[FoldablePair]) -> nn.Module:
    """A copy of the network in which each pair is one layer with a bias; the batch-norms become identities."""
    folded = copy.deepcopy(network).eval()
    for pair in pairs:
        layer, batch_norm = folded.get_submodule(pair.layer), folded.get_submodule(pair.batch_norm)
        assert isinstance(batch_norm, BATCH_NORMS)
        if isinstance(layer, nn.Linear):
            _replace(folded, pair.layer, fuse_linear_bn_eval(layer, batch_norm))
        else:
            assert isinstance(layer, nn.Conv2d)
            _replace(folded, pair.layer, fuse_conv_bn_eval(layer, batch_norm))
        _replace(folded, pair.batch_norm, nn.Identity())
    return folded


def folded_state(network: nn.Module, pairs: Sequence[FoldablePair]) -> dict[str, torch.Tensor]:
    """The tensors of `fold(network, pairs)` by name, without building that network."""
    state = dict(network.state_dict())
    for pair in pairs:
        layer, norm = network.get_submodule(pair.layer), network.get_submodule(pair.batch_norm)
        assert isinstance(norm, BATCH_NORMS)
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        fuse = fuse_linear_bn_weights if isinstance(layer, nn.Linear) else fuse_conv_bn_weights
        weight, bias = fuse(
            layer.weight, layer.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        state[f"{pair.layer}.weight"], state[f"{pair.layer}.bias"] = weight.detach(), bias.detach()
    return state


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(network.get_submodule(parent), leaf, module)


def _same_outputs(network: nn.Module, example: torch.Tensor, expected: torch.Tensor) -> bool:
    with torch.no_grad():
        got = network(example)
    return bool(torch.allclose(got, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max())))
