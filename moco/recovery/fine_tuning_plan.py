"""How a compressed network is trained on: optimizer, learning rate, how long and on which images."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from moco.errors import ConfigError

Schedule = Literal["constant", "cosine", "exponential", "step"]
Optimizer = Literal["sgd", "adamw"]


@dataclass(frozen=True)
class FineTuning:
    """How a compressed network is trained on.

    Attributes:
        optimizer: stochastic gradient descent with Nesterov momentum, or AdamW.
        learning_rate: at the start.
        momentum: Nesterov's; AdamW has its own.
        weight_decay: of weights with two dimensions or more.
        batch_size: images in one step; a last, smaller batch is left out of its epoch.
        epochs: passes over the images, or a part of one; None where only `seconds` ends it.
        seconds: of this thread's processor time, after which no new step is made, so that other programs on the machine
            take nothing from a training; None for as long as the epochs take.
        schedule: of the learning rate. "cosine" falls to zero over the whole training; "exponential" multiplies by
            `gamma` after every epoch and "step" after every `step_epochs` epochs, once `hold_epochs` have passed.
        gamma: factor of a decay, in (0, 1].
        step_epochs: between two decays of "step".
        hold_epochs: before the first decay begins to count.
        shift: pixels by which each image is moved at random in each direction, zeros moving in; 4 is usual for CIFAR.
        flip: whether each image is mirrored left to right with probability 1/2.
        frozen_batch_norm: whether batch-norms keep their statistics and normalise by them.
        keep_zeros: whether weights that are zero at the start stay zero, since they were pruned one by one.
    """

    optimizer: Optimizer = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch_size: int = 128
    epochs: float | None = 1.0
    seconds: float | None = None
    schedule: Schedule = "cosine"
    gamma: float = 0.95
    step_epochs: float = 1.0
    hold_epochs: float = 0.0
    shift: int = 0
    flip: bool = False
    frozen_batch_norm: bool = False
    keep_zeros: bool = True

    def __post_init__(self) -> None:
        _one_of("optimizer", self.optimizer, get_args(Optimizer))
        _one_of("schedule", self.schedule, get_args(Schedule))
        for name in ("learning_rate", "step_epochs", "gamma"):
            _check(name, getattr(self, name), lambda value: value > 0, "above 0")
        for name in ("momentum", "weight_decay", "hold_epochs", "shift"):
            _check(name, getattr(self, name), lambda value: value >= 0, "of at least 0")
        _check("batch_size", self.batch_size, lambda value: value >= 2, "of at least 2")
        _check("momentum", self.momentum, lambda value: value < 1, "below 1")
        _check("gamma", self.gamma, lambda value: value <= 1, "of at most 1")
        for name in ("epochs", "seconds"):
            if getattr(self, name) is not None:
                _check(name, getattr(self, name), lambda value: value > 0, "above 0")
        if self.epochs is None and self.seconds is None:
            raise ConfigError("fine_tuning: nothing ends it; set fine_tuning.epochs, fine_tuning.seconds or both")

    @property
    def augments(self) -> bool:
        """Whether an image is another one each time."""
        return self.flip or self.shift > 0


def decay(plan: FineTuning, epoch: float, progress: float) -> float:
    """Factor of the learning rate after `epoch` epochs, which are the share `progress` of the training."""
    if plan.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    if plan.schedule == "constant":
        return 1.0
    every = 1.0 if plan.schedule == "exponential" else plan.step_epochs
    return float(plan.gamma ** math.floor(max(0.0, epoch - plan.hold_epochs) / every + 1e-9))


def _one_of(name: str, value: object, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise ConfigError(f"fine_tuning.{name}: expected one of {', '.join(valid)}; got {value!r}")


def _check(name: str, value: float, holds: Callable[[float], bool], expected: str) -> None:
    if not (math.isfinite(value) and holds(value)):
        raise ConfigError(f"fine_tuning.{name}: expected a finite number {expected}, got {value}")
