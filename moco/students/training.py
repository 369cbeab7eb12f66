"""A student is made anew, checked against the teacher's task, and trained by one of the ways of `recovery`."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from moco.baselines.baseline import Ground
from moco.baselines.sibling import fitting_network
from moco.compression.policy_settings import NEUTRAL
from moco.models.trained import ModelSpec
from moco.models.training import BatchLoss, initialise, seeded_torch
from moco.randomness import derived_seed
from moco.recovery.descent import Tuned
from moco.recovery.fine_tuning import Cycle, FineTuningStep
from moco.recovery.step import Candidate, RecoveryContext

STUDENT = "student"


@dataclass(frozen=True)
class Teaching:
    """A teacher with what its students are trained on, for one seed of theirs.

    Students of one seed start from the same weights and see the same views of the images, whichever way they learn.
    """

    ground: Ground
    seed: int
    _lessons: dict[str, Any] = field(default_factory=dict, repr=False)  # by what a step is written as

    @cached_property
    def context(self) -> RecoveryContext:
        """What a way of training is prepared from; the original network in it is the teacher."""
        builder = self.ground.builder
        images, labels = map(torch.from_numpy, self.ground.training())
        seed = derived_seed(self.seed, STUDENT)
        return RecoveryContext(
            builder.compressor.network, builder.compressor.graph, builder.images, seed, (images, labels)
        )

    def new(self, model: ModelSpec) -> nn.Module:
        """The student before it is trained, with weights of its own where it has some, else drawn from the seed.

        A function of the user's gives it as it is to be trained on. A ConfigError where it is no network for the
        teacher's images and classes.
        """
        seed = derived_seed(self.seed, STUDENT)
        with seeded_torch(derived_seed(seed, "network")):
            network = checked_student(model, self.ground)
        if model.weights is None and model.import_path is None:
            with seeded_torch(derived_seed(seed, "layers")):
                initialise(network, torch.Generator().manual_seed(derived_seed(seed, "weights")))
        return network.eval()

    def lessons(self, step: FineTuningStep) -> Any:
        """What the step teaches by, prepared once for all students; a ConfigError where it does not fit the teacher."""
        key = step.written()
        if key not in self._lessons:
            self._lessons[key] = step.prepare(self.context)
        return self._lessons[key]

    def train(
        self,
        student: nn.Module,
        step: FineTuningStep,
        *,
        lessons: BatchLoss | None = None,
        checkpoint: Path | None = None,
    ) -> Tuned:
        """Train the student in place, by its step's lessons, or those of another step of the kind.

        An interrupted training goes on from its checkpoint, see `descend_`. A MocoError where the step does not fit the
        student, or the training diverges.
        """
        candidate, prepared = Candidate(student, NEUTRAL, {}, {}), lessons or self.lessons(step)
        return step.train(candidate, self.context, prepared, Cycle(0, checkpoint))


def checked_student(model: ModelSpec, ground: Ground) -> nn.Module:
    """The student as it is built; a ConfigError where it does not take the images or has other classes."""
    return fitting_network(model, ground, STUDENT, model.shown, "give another student")
