"""The one loop of gradient descent, under training on the spot and under every recovery that trains."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Batch:
    """The images of a step as the network sees them (n, channels, height, width), and their places in the set (n,)."""

    images: Tensor
    rows: Tensor


BatchLoss = Callable[[Tensor, Batch], Tensor]
"""The loss of logits (n, classes) for the batch that they were given for."""


def descend(
    network: nn.Module,
    batches: Iterable[Batch],
    loss: BatchLoss,
    optimizer: torch.optim.Optimizer,
    learning_rate: Callable[[int], float],
    check: Callable[[int, float], None] = lambda _step, _loss: None,
) -> Iterator[float]:
    """The loss of each step over the batches; a step is made when it is asked for.

    Args:
        network: in training mode; trained in place.
        learning_rate: of a step, counted from 0 on.
        check: called with each step and its loss before the weights change; may refuse it.
    """
    for step, batch in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        found = loss(network(batch.images), batch)
        value = float(found.detach())
        check(step, value)
        optimizer.zero_grad()
        found.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        yield value


def batches_of(
    images: Tensor, size: int, rng: torch.Generator, seen: Callable[[Tensor, torch.Generator], Tensor]
) -> Iterator[Batch]:
    """Batches without end; a last one of an epoch that is smaller is left out, unless it is the only one.

    Args:
        images: normalised, (n, channels, height, width).
        rng: of their order, another one in each epoch, and of `seen`.
        seen: a batch's images as the network sees them, moved or mirrored at random.
    """
    while True:
        order = torch.randperm(len(images), generator=rng)
        for rows in torch.split(order, size)[: max(1, len(images) // size)]:
            yield Batch(seen(images[rows], rng), rows)


def parameter_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Weights of two dimensions or more, that decay, and biases and batch-norm parameters, that do not."""
    found = list(parameters)
    return [
        {"params": [p for p in found if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in found if p.dim() <= 1], "weight_decay": 0.0},
    ]
