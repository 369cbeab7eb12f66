"""How a compressed network is trained on: the options of all ways of training, and the learning rate's course."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from operator import ge
from typing import ClassVar, Literal, get_args

from moco.errors import ConfigError
from moco.models.arithmetic import Arithmetic, Precision, arithmetic_of
from moco.models.training import learning_rate_factor
from moco.recovery.step import written

Schedule = Literal["one_cycle", "cosine", "constant", "exponential", "step"]
Optimizer = Literal["sgd", "adamw"]
MOST: dict[str, float] = {
    "learning_rate": 100, "weight_decay": 100, "batch_size": 1e6, "epochs": 1e5, "seconds": 1e8, "shift": 1000,
    "clip": 1e9, "views": 1e5,
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
    # of the learning rate. "one_cycle" rises over the first tenth of the training, then falls to zero along half a
    # cosine; "cosine" falls to zero over the whole training; "exponential" multiplies by `gamma` after
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
    # the largest norm of all gradients together: longer ones, of which a training may die, are scaled down to it; None
    # leaves them as they are
    clip: float | None = 5.0
    # in how many ways an image is moved and mirrored, one an epoch, which come round: a teacher answers each of them
    # once. None for another way in each epoch
    views: int | None = None
    precision: Precision = "auto"  # of convolutions and matrix products: float32 where bfloat16 is not in hardware

    def __post_init__(self) -> None:
        for name, valid in (
            ("optimizer", get_args(Optimizer)),
            ("schedule", get_args(Schedule)),
            ("precision", get_args(Precision)),
        ):
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
        for name in ("epochs", "seconds", "clip", "views"):
            if getattr(self, name) is not None:
                self._check(name, lambda value: value > 0, "above 0")
        if self.epochs is None and self.seconds is None:
            raise ConfigError(f"{self.key('epochs')}: expected a finite number above 0, got None; nothing else ends it")

    @property
    def augments(self) -> bool:
        """Whether an image is another one each time."""
        return self.flip or self.shift > 0

    @property
    def arithmetic(self) -> Arithmetic:
        """What the precision comes to on this processor."""
        return arithmetic_of(self.precision)

    def key(self, name: str) -> str:
        """Where an option stands in an experiment."""
        return f"recovery.{self.step}.{name}"

    def _check(self, name: str, holds: Callable[[float], bool], expected: str) -> None:
        value = getattr(self, name)
        if not (math.isfinite(value) and holds(value)):
            raise ConfigError(f"{self.key(name)}: expected a finite number {expected}, got {value}")


def decay(plan: FineTuningOptions, epoch: float, progress: float) -> float:
    """Factor of the learning rate after `epoch` epochs, which are the share `progress` of the training."""
    if plan.schedule == "one_cycle":
        return learning_rate_factor(min(progress, 1.0))
    if plan.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    if plan.schedule == "constant":
        return 1.0
    every = 1.0 if plan.schedule == "exponential" else plan.step_epochs
    return float(plan.gamma ** math.floor(max(0.0, epoch - plan.hold_epochs) / every + 1e-9))


def written_training(plan: FineTuningOptions, answers: str = "None", in_codes: bool = False) -> str:
    """A training as stores hold it: its plan, how a teacher's answers count, and whether layers compute in codes.

    The precision is what it comes to on this processor, since that is what the weights depend on.
    """
    values = {field.name: getattr(plan, field.name) for field in fields(FineTuningOptions)}
    options = written("FineTuning", {**values, "precision": plan.arithmetic})
    return f"Training(plan={options}, distillation={answers}, quantization_aware={in_codes})"
