"""Batch-norm folded into the convolution before it: what the runtime would do anyway, done once and by name."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from torch.utils._python_dispatch import TorchDispatchMode

from moco.models.batch_norms import BATCH_NORMS


@dataclass(frozen=True)
class FoldablePair:
    """Names of a convolution or linear layer and of the batch-norm that alone reads its output."""

    layer: str
    batch_norm: str


def foldable_pairs(network: nn.Module, example: torch.Tensor) -> tuple[FoldablePair, ...]:
    """The pairs that a forward pass of `example` (n, channels, height, width) shows.

    A pair is a layer and a batch-norm, each used once and each torch's own, of which the second alone reads the very
    tensor that the first gave.
    """
    seen = _Readers()
    with ExitStack() as hooks, torch.no_grad():
        for name, module in network.named_modules():
            if _is_own(module):
                seen.weights[name] = id(module.weight)
                hooks.enter_context(module.register_forward_hook(partial(seen.note, name)))
        with seen:
            network(example)
    return seen.pairs()


class _Readers(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Forward hooks that note which batch-norm reads which layer's output, among all operators that do."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.weights: dict[str, int] = {}
        self._found: list[tuple[FoldablePair, int]] = []
        self._producers: dict[int, str] = {}
        self._alive: list[torch.Tensor] = []  # an id is unique only while its object lives
        self._uses: Counter[str] = Counter()
        self._reads: Counter[int] = Counter()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and being kept from it would import the whole compiler: seconds

    def pairs(self) -> tuple[FoldablePair, ...]:
        return tuple(
            pair
            for pair, tensor in self._found
            if self._uses[pair.layer] == self._uses[pair.batch_norm] == self._reads[tensor] == 1
            and self._reads[self.weights[pair.layer]] == 1  # nothing else computes with the weight
        )

    def note(self, name: str, module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        self._uses[name] += 1
        if not isinstance(module, BATCH_NORMS):
            self._producers[id(output)] = name
            self._alive.append(output)
        elif id(inputs[0]) in self._producers:
            self._found.append((FoldablePair(self._producers[id(inputs[0])], name), id(inputs[0])))

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        watched = {*self._producers, *self.weights.values()}
        for argument in args:
            read = argument if isinstance(argument, list | tuple) else (argument,)
            self._reads.update(id(tensor) for tensor in read if id(tensor) in watched)
        return func(*args, **(kwargs or {}))


def _is_own(module: nn.Module) -> bool:
    """Whether it is a layer, or a batch-norm with running statistics, and does nothing but what torch's own do.

    One without statistics normalises by the batch, and a class with a forward pass of its own may well activate.
    """
    if module._forward_hooks or getattr(module, "running_mean", module) is None:
        return False
    kinds: tuple[Any, ...] = (nn.Conv2d, nn.Linear, *BATCH_NORMS)
    kind = next((kind for kind in kinds if isinstance(module, kind)), None)
    names = ("forward", "_conv_forward") if kind is nn.Conv2d else ("forward",)
    return kind is not None and all(getattr(type(module), name) is getattr(kind, name) for name in names)


def fold(network: nn.Module, pairs: Sequence[FoldablePair]) -> nn.Module:
    """A copy of the network in which each pair is one layer with a bias; the batch-norms become identities."""
    folded = copy.deepcopy(network).eval()
    for pair in pairs:
        layer, batch_norm = folded.get_submodule(pair.layer), folded.get_submodule(pair.batch_norm)
        fuse: Any = fuse_linear_bn_eval if isinstance(layer, nn.Linear) else fuse_conv_bn_eval
        if batch_norm.weight is None:  # torch folds no linear layer into one without a scale
            batch_norm.weight = nn.Parameter(torch.ones_like(batch_norm.running_mean))
            batch_norm.bias = nn.Parameter(torch.zeros_like(batch_norm.running_mean))
        for name, module in ((pair.layer, fuse(layer, batch_norm)), (pair.batch_norm, nn.Identity())):
            parent, _, leaf = name.rpartition(".")
            setattr(folded.get_submodule(parent), leaf, module)
    return folded
