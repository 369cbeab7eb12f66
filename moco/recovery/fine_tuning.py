"""Training on after compression: what is left of the weights learns to do without what was taken.

Any network is trained in place, a thin one like a factorised one. The same seed gives the same weights, bit by bit,
as long as the plan stops after epochs: one that stops by the clock trains for as many steps as this machine makes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from operator import ge
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from moco.errors import CompressionError, ConfigError
from moco.export.folding import BATCH_NORMS
from moco.models.training import Batch, BatchLoss, batches_of, descend, parameter_groups, seeded_torch, shifted
from moco.randomness import derived_seed
from moco.recovery.step import Candidate, Moment, RecoveryContext, RecoveryStep, written
from moco.torch_threads import one_thread

Schedule = Literal["constant", "cosine", "exponential", "step"]
Optimizer = Literal["sgd", "adamw"]
MOST: dict[str, float] = {
    "learning_rate": 100, "weight_decay": 100, "batch_size": 1e6, "epochs": 1e5, "seconds": 1e8, "shift": 1000,
}  # fmt: skip
"""Of options without a bound of their own: beyond it is a slip of the pen."""


@dataclass(frozen=True)
class FineTuningOptions:
    """How a compressed network is trained on."""

    step: ClassVar[str] = "fine_tuning"  # whose options they are, for messages
    optimizer: Optimizer = "sgd"  # stochastic gradient descent with Nesterov momentum, or AdamW
    learning_rate: float = 0.01
    momentum: float = 0.9  # Nesterov's; AdamW has its own
    weight_decay: float = 5e-4  # of weights with two dimensions or more
    batch_size: int = 128  # images in one step; a last, smaller batch is left out of its epoch
    epochs: float | None = 1.0  # passes over the images, or a part of one; None where only `seconds` ends it
    # of this thread's processor time, after which no new step is made, so that other programs on the machine take
    # nothing from a training; None for as long as the epochs take
    seconds: float | None = None
    # of the learning rate. "cosine" falls to zero over the whole training; "exponential" multiplies by `gamma` after
    # every epoch and "step" after every `step_epochs` epochs, once `hold_epochs` have passed.
    schedule: Schedule = "cosine"
    gamma: float = 0.95  # factor of a decay, in (0, 1]
    step_epochs: float = 1.0  # between two decays of "step"
    hold_epochs: float = 0.0  # before the first decay begins to count
    # pixels by which each image is moved at random in each direction, zeros moving in; 4 is usual for CIFAR
    shift: int = 0
    flip: bool = False  # whether each image is mirrored left to right with probability 1/2
    frozen_batch_norm: bool = False  # whether batch-norms keep their statistics and normalise by them
    keep_zeros: bool = True  # whether weights that are zero at the start stay zero, since they were pruned one by one

    def __post_init__(self) -> None:
        for name, valid in (("optimizer", get_args(Optimizer)), ("schedule", get_args(Schedule))):
            if (value := getattr(self, name)) not in valid:
                raise ConfigError(f"{self.key(name)}: expected one of {', '.join(valid)}; got {value!r}")
        for name in ("learning_rate", "step_epochs", "gamma"):
            self._check(name, lambda value: value > 0, "above 0")
        for name in ("momentum", "weight_decay", "hold_epochs", "shift"):
            self._check(name, lambda value: value >= 0, "of at least 0")
        self._check("batch_size", lambda value: value >= 2, "of at least 2")
        self._check("momentum", lambda value: value < 1, "below 1")
        self._check("gamma", lambda value: value <= 1, "of at most 1")
        for name, most in MOST.items():
            if getattr(self, name) is not None:
                self._check(name, partial(ge, most), f"of at most {most:g}")
        for name in ("epochs", "seconds"):
            if getattr(self, name) is not None:
                self._check(name, lambda value: value > 0, "above 0")
        if self.epochs is None and self.seconds is None:
            raise ConfigError(f"{self.key('epochs')}: expected a finite number above 0, got None; nothing else ends it")

    @property
    def augments(self) -> bool:
        """Whether an image is another one each time."""
        return self.flip or self.shift > 0

    def key(self, name: str) -> str:
        """Where an option stands in an experiment."""
        return f"recovery.{self.step}.{name}"

    def _check(self, name: str, holds: Callable[[float], bool], expected: str) -> None:
        value = getattr(self, name)
        if not (math.isfinite(value) and holds(value)):
            raise ConfigError(f"{self.key(name)}: expected a finite number {expected}, got {value}")


def decay(plan: FineTuningOptions, epoch: float, progress: float) -> float:
    """Factor of the learning rate after `epoch` epochs, which are the share `progress` of the training."""
    if plan.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    if plan.schedule == "constant":
        return 1.0
    every = 1.0 if plan.schedule == "exponential" else plan.step_epochs
    return float(plan.gamma ** math.floor(max(0.0, epoch - plan.hold_epochs) / every + 1e-9))


@dataclass(frozen=True)
class Tuned:
    """What a training took."""

    epochs: float  # passes over the images, the last one perhaps a part
    steps: int
    seconds: float
    losses: tuple[float, ...]  # mean loss of each epoch, the last one perhaps of a part


class FineTuningStep(RecoveryStep):
    """Trains all weights on the labels of the training split; other ways of training by the same options build on it.

    By epochs alone: a network is built again for delivery, and must have the same bytes.
    """

    name, Options, moment = "fine_tuning", FineTuningOptions, Moment.TRAINING
    needs_training_images = True
    key_place = 2

    def __init__(self, options: FineTuningOptions | None = None) -> None:
        """Take the options; a ConfigError where they end the training by the clock."""
        super().__init__(options)
        if self.options.seconds is not None:
            raise ConfigError(
                f"{self.options.key('seconds')}: it ends a training at another step each time, and what is delivered "
                "must be the very network that was scored; give 'epochs'"
            )

    def apply(self, candidate: Candidate, context: RecoveryContext, prepared: object) -> nn.Module:  # noqa: ARG002
        """Train in place, on the images in the same order each time."""
        return self.train(candidate.network, context)

    def train(self, network: nn.Module, context: RecoveryContext, on_epoch: OnEpoch | None = None) -> nn.Module:
        """Train the network in place, and give it."""
        images, seed = context.training_set[0], derived_seed(context.seed, "training")
        descend_(network, images, self.loss(context), self.options, rng_seed=seed, on_epoch=on_epoch)
        return network

    def loss(self, context: RecoveryContext) -> BatchLoss:
        """What is descended on the training images."""
        return label_loss(context.training_set[1])

    def written(self) -> str:
        """The plan, and what it learns from."""
        return written_training(self.options)


def written_training(plan: FineTuningOptions, answers: str = "None", in_codes: bool = False) -> str:
    """A training as stores hold it: its plan, how a teacher's answers count, and whether layers compute in codes."""
    options = written("FineTuning", {field.name: getattr(plan, field.name) for field in fields(FineTuningOptions)})
    return f"Training(plan={options}, distillation={answers}, quantization_aware={in_codes})"


OnEpoch = Callable[[int, float], None]
"""Called after each whole epoch with its number from 1 on and its mean loss; the network is in training mode."""


def label_loss(labels: Tensor) -> BatchLoss:
    """Cross-entropy of logits with the label of each image, (n,)."""

    def loss(logits: Tensor, batch: Batch) -> Tensor:
        return F.cross_entropy(logits, labels[batch.rows])

    return loss


def descend_(
    network: nn.Module,
    images: Tensor,
    loss: BatchLoss,
    plan: FineTuningOptions,
    *,
    rng_seed: int,
    on_epoch: OnEpoch | None = None,
) -> Tuned:
    """Train the network in place on any loss of its logits, and leave it in evaluation mode.

    The images are normalised, (n, channels, height, width); the loss is `label_loss` of their labels, or that of a
    teacher. `rng_seed` is of the order of the images, their augmentation and dropout. A CompressionError names the step
    and the layer where the loss or a weight is not finite.
    """
    if len(images) < 2:
        raise CompressionError(f"fine-tuning: expected at least two images, got {len(images)}; see data.splits")
    with one_thread(), seeded_torch(derived_seed(rng_seed, "fine-tuning", "layers")):
        try:
            network.train()
            for module in network.modules():
                if plan.frozen_batch_norm and isinstance(module, BATCH_NORMS):
                    module.eval()
            return _TrainingLoop(network, images, loss, plan, rng_seed).run(on_epoch)
        finally:
            network.eval()


class _TrainingLoop:
    def __init__(
        self, network: nn.Module, images: Tensor, loss: BatchLoss, plan: FineTuningOptions, rng_seed: int
    ) -> None:
        self.network, self.plan = network, plan
        self.masks = _zero_masks(network) if plan.keep_zeros else []
        rng = torch.Generator().manual_seed(derived_seed(rng_seed, "fine-tuning", "images"))
        batches = batches_of(images, plan.batch_size, rng, lambda batch, rng: _augmented(batch, plan, rng))
        self.steps = descend(network, batches, loss, _optimizer(network, plan), self._learning_rate, self._check)
        self.steps_in_epoch = max(1, len(images) // plan.batch_size)
        self.last_step = None if plan.epochs is None else max(1, round(plan.epochs * self.steps_in_epoch))
        self.start, self.thread_start_s = time.perf_counter(), time.thread_time()

    def run(self, on_epoch: OnEpoch | None) -> Tuned:
        """Make steps until the plan's end, at least one, and say what it took."""
        losses: list[list[float]] = []
        for step, loss in enumerate(self.steps):
            with torch.no_grad():
                for weight, mask in self.masks:
                    weight.mul_(mask)
            if step % self.steps_in_epoch == 0:
                losses.append([])
            losses[-1].append(loss)
            if on_epoch is not None and len(losses[-1]) == self.steps_in_epoch:
                on_epoch(len(losses), sum(losses[-1]) / len(losses[-1]))
            if self._progress(step + 1) >= 1:
                break
        steps = sum(len(epoch) for epoch in losses)
        _check_weights(self.network, f"after step {steps}", self.plan)
        means = tuple(sum(epoch) / len(epoch) for epoch in losses)
        return Tuned(steps / self.steps_in_epoch, steps, time.perf_counter() - self.start, means)

    def _progress(self, step: int) -> float:
        """Share of the training that is done before this step, by steps or by time, whichever is further."""
        by_steps = 0.0 if self.last_step is None else step / self.last_step
        spent_s = time.thread_time() - self.thread_start_s
        by_clock = 0.0 if self.plan.seconds is None else spent_s / self.plan.seconds
        return max(by_steps, by_clock)

    def _learning_rate(self, step: int) -> float:
        progress = 0.0 if step == 0 else self._progress(step)
        return self.plan.learning_rate * decay(self.plan, step / self.steps_in_epoch, progress)

    def _check(self, step: int, loss: float) -> None:
        if not math.isfinite(loss):
            _check_weights(self.network, f"in step {step + 1}", self.plan)
            raise CompressionError(
                f"fine-tuning: the loss is {loss} in step {step + 1} though all weights are finite; "
                f"lower {self.plan.key('learning_rate')} ({self.plan.learning_rate:g}) and check the images for NaN"
            )


def _augmented(images: Tensor, plan: FineTuningOptions, rng: torch.Generator) -> Tensor:
    """The batch moved and mirrored at random, each image for itself."""
    images = shifted(images, plan.shift, rng)
    if plan.flip:
        mirrored = torch.rand(len(images), generator=rng) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    return images


def _optimizer(network: nn.Module, plan: FineTuningOptions) -> torch.optim.Optimizer:
    """The plan's, over the parameters that ask for a gradient; biases and batch-norms do not decay."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not parameters:
        raise CompressionError("fine-tuning: no parameter of the network asks for a gradient; set requires_grad")
    groups = parameter_groups(parameters, plan.weight_decay)
    if plan.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=plan.learning_rate)
    return torch.optim.SGD(groups, lr=plan.learning_rate, momentum=plan.momentum, nesterov=plan.momentum > 0)


def _zero_masks(network: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """Each weight that holds zeros, and where it holds none."""
    weights = [p for p in network.parameters() if p.requires_grad and p.dim() > 1]
    return [(weight, mask) for weight in weights if not (mask := weight.detach() != 0).all()]


def _check_weights(network: nn.Module, when: str, plan: FineTuningOptions) -> None:
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        if not torch.isfinite(tensor).all():
            raise CompressionError(
                f"fine-tuning: '{name}' is not finite {when}; "
                f"lower {plan.key('learning_rate')} ({plan.learning_rate:g}) or check the images for NaN"
            )
