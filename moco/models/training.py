"""The one loop of gradient descent, and training a small network on the spot: deterministic, on the CPU."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from moco.errors import DataError
from moco.models.arithmetic import Arithmetic, computing_in
from moco.models.augmentation import View, shifted
from moco.randomness import derived_seed
from moco.torch_threads import one_thread

WARM_UP = 0.1
"""Share of the training in which the learning rate rises."""


@dataclass(frozen=True)
class TrainingPlan:
    """How a network is trained: stochastic gradient descent with Nesterov momentum, one cosine cycle."""

    epochs: int = 15
    learning_rate: float = 0.1  # at its peak, after a linear warm-up over the first tenth of the steps
    batch_size: int = 64  # images in one step; a last, smaller batch is left out of its epoch
    weight_decay: float = 1e-3  # of weights with two dimensions or more
    momentum: float = 0.9
    shift: int = 1  # pixels by which each image is moved at random in each direction; 0 leaves it where it is
    label_smoothing: float = 0.1  # share of the target that is spread over all classes, in [0, 1)


def train(
    network: nn.Module,
    images: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    plan: TrainingPlan | None = None,
    seed: int = 0,
) -> float:
    """Draw new weights from the seed, train them in place, and return the mean loss of the last epoch.

    Images are normalised, (n, channels, height, width), labels (n,); the seed gives the weights, the order of the
    images and their shifts. A DataError where there are fewer images than a batch, or the loss is not finite.
    """
    plan = plan or TrainingPlan()
    if len(images) < plan.batch_size:
        raise DataError(f"training needs at least one batch of {plan.batch_size} images, got {len(images)}")
    rng = torch.Generator().manual_seed(derived_seed(seed, "training"))
    with one_thread(), seeded_torch(derived_seed(seed, "layers")):
        initialise(network, rng)
        network.train()
        try:
            loss = _descend(network, torch.tensor(images), torch.tensor(labels), plan, rng)
        finally:
            network.eval()
    if not math.isfinite(loss):
        raise DataError(f"training diverged: the loss is {loss}; lower the learning rate ({plan.learning_rate})")
    return loss


@contextmanager
def seeded_torch(seed: int) -> Iterator[None]:
    """Set torch's global generator within the block, and give it back as it was.

    The only place where a global generator is set: Dropout and the `reset_parameters` of layers take no other.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def initialise(network: nn.Module, rng: torch.Generator) -> None:
    """Draw the weights anew: He et al. 2015 for convolutions and linear layers, one and zero for batch-norms.

    Any other layer draws its own as it does when it is made, from torch's global generator.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=rng)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01, generator=rng)
        elif callable(reset := getattr(module, "reset_parameters", None)):
            reset()
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def learning_rate_factor(progress: float) -> float:
    """Share of the peak learning rate at that share of the training: up in the first tenth, then half a cosine."""
    if progress < WARM_UP:
        return (progress + 0.01) / (WARM_UP + 0.01)
    return 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))


def _descend(network: nn.Module, images: Tensor, labels: Tensor, plan: TrainingPlan, rng: torch.Generator) -> float:
    steps = len(images) // plan.batch_size

    def loss(logits: Tensor, batch: Batch) -> Tensor:
        return F.cross_entropy(logits, labels[batch.rows], label_smoothing=plan.label_smoothing)

    groups = parameter_groups(network.parameters(), plan.weight_decay)
    optimizer = torch.optim.SGD(groups, lr=0.0, momentum=plan.momentum, nesterov=True)
    descent = Descent(network, loss, optimizer)
    losses = []
    for step, rows in enumerate(islice(_rows_without_end(len(images), plan.batch_size, rng), plan.epochs * steps)):
        progress = (step // steps + step % steps / steps) / plan.epochs
        batch = Batch(shifted(images[rows], plan.shift, rng), rows)
        losses.append(descent.step(batch, plan.learning_rate * learning_rate_factor(progress)))
    return float(torch.tensor(losses[-steps:]).mean())


def _rows_without_end(count: int, size: int, rng: torch.Generator) -> Iterator[Tensor]:
    while True:
        yield from batches_of_rows(count, size, rng)


@dataclass(frozen=True)
class Batch:
    """The images of a step as the network sees them (n, channels, height, width), and their places in the set (n,)."""

    images: Tensor
    rows: Tensor
    view: View | None = None  # by which the set was seen, where one was


BatchLoss = Callable[[Tensor, Batch], Tensor]
"""The loss of logits (n, classes) in float32 for the batch that they were given for."""


@dataclass(frozen=True)
class Descent:
    """Gradient descent on any loss of a network's logits, step by step and in place."""

    network: nn.Module
    loss: BatchLoss
    optimizer: torch.optim.Optimizer
    clip: float | None = None  # the largest norm of all gradients together; longer ones are scaled down to it
    arithmetic: Arithmetic = "float32"

    def step(self, batch: Batch, learning_rate: float, check: Callable[[float], None] = lambda _loss: None) -> float:
        """Make a step and give its loss; `check` is called with it before the weights change, and may refuse it."""
        with computing_in(self.arithmetic):
            logits = self.network(batch.images)
        found = self.loss(logits.float(), batch)
        value = float(found.detach())
        check(value)
        self.optimizer.zero_grad()
        found.backward()  # type: ignore[no-untyped-call]
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        if self.clip is not None:
            nn.utils.clip_grad_norm_([p for group in self.optimizer.param_groups for p in group["params"]], self.clip)
        self.optimizer.step()
        return value


def batches_of_rows(count: int, size: int, rng: torch.Generator) -> tuple[Tensor, ...]:
    """The places of `count` images in an order that is drawn, in batches; a last one that is smaller is left out.

    Unless it is the only one.
    """
    return torch.split(torch.randperm(count, generator=rng), size)[: max(1, count // size)]


def parameter_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Weights of two dimensions or more, that decay, and biases and batch-norm parameters, that do not."""
    found = list(parameters)
    return [
        {"params": [p for p in found if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in found if p.dim() <= 1], "weight_decay": 0.0},
    ]
