"""How the finalists of a search are trained: in rounds, each of which chooses by what the ones before have shown.

Each round but the last gives every finalist of it the same time, and of several the more promising share goes on
(successive halving, Jamieson and Talwalkar 2016). The last one trains a single network with what is left: one of the
round before, from its weights, or another that promises more by now.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from moco.errors import ConfigError
from moco.recovery.distillation import DistillationOptions
from moco.recovery.training_plan import Schedule

LEAST_STEPS = 20
"""Of a training: what fewer steps give says nothing of what more will."""


@dataclass(frozen=True)
class FinalistTraining(DistillationOptions):
    """How a finalist is trained in each round; how long is the budget's, and not an option.

    Defaults by trial, one run each: ResNet-56 without 6 of its blocks, 1,000 steps of 32 images on CIFAR-10, lost 0.7
    points where the teacher's answers count nine times as much as the labels, 0.9 without labels, 1.4 where both count
    the same. A rate of a third lost 1.0. Ten times the loss asks for a tenth of the rate, and ten times the decay and
    the clipping.
    """

    step = "finalists.training"
    schedule: Schedule = "one_cycle"
    batch_size: int = 32
    weight: float = 9.0
    learning_rate: float = 0.001
    weight_decay: float = 5e-3
    clip: float | None = 50.0

    def key(self, name: str) -> str:
        """Where an option stands in an experiment."""
        return f"{self.step}.{name}"


@dataclass(frozen=True)
class Round:
    """One round: so many finalists, each for that share of the seconds that all training has."""

    number: int  # from 0 on
    finalists: int
    share: float


@dataclass(frozen=True)
class FinalistsPlan:
    """What a search's finalists are given."""

    share: float = 0.8  # of the budget's seconds, and all that a search that ends early leaves
    candidates: int = 1  # of the first round
    keep: float = 0.4  # share of a round's finalists that go on to the next, at least one
    last: float = 0.85  # share of the training's seconds for the one of the last round
    training: FinalistTraining = FinalistTraining()

    def __post_init__(self) -> None:
        for name, low, high in (("share", 0, 1), ("keep", 0, 1), ("last", 0, 1)):
            if not low < (value := getattr(self, name)) < high:
                raise ConfigError(f"finalists.{name}: expected a number above {low} and below {high}, got {value}")
        if self.candidates < 1:
            raise ConfigError(f"finalists.candidates: expected at least 1, got {self.candidates}")

    @property
    def rounds(self) -> tuple[Round, ...]:
        """The rounds in their order, at least two; their shares, each times its finalists, sum to 1."""
        before = [self.candidates]
        while (size := math.floor(before[-1] * self.keep)) > 1:
            before.append(size)
        each = (1 - self.last) / len(before)
        rounds = [Round(number, size, each / size) for number, size in enumerate(before)]
        return (*rounds, Round(len(before), 1, self.last))
