"""What is done to a compressed network to get its accuracy back, in the order in which it is done."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from moco.compression.channels.groups import ChannelGraph
from moco.errors import CompressionError, ConfigError
from moco.policy import Policy
from moco.recovery.refit import RefitStep
from moco.recovery.step import Candidate, Moment, PrunedGroups, RecoveryContext, RecoveryStep
from moco.registry import BUILT_IN, blaming

TrainingImages = Callable[[], tuple[Tensor, Tensor]]
"""Gives the training images (n, channels, height, width), normalised, and their labels (n,)."""

ABSENT = ("", "False", "None", "None")
"""What a store's key has in the place of a first step that a plan lacks; a refit is never lacking."""


@dataclass(frozen=True)
class RecoveryPlan:
    """How compressed networks are recovered."""

    asked: tuple[RecoveryStep, ...] = ()  # the steps that a search asks for, those of one moment in their order

    def __post_init__(self) -> None:
        names = [step.name for step in self.asked]
        if len(set(names)) < len(names):
            raise ConfigError(f"recovery: expected each step once, got {', '.join(names)}")
        for step in self.asked:
            if not isinstance(step.moment, Moment):  # of another package
                raise ConfigError(f"recovery.{step.name}: expected a Moment as the step's moment, got {step.moment!r}")
        trainings = [step.name for step in self.asked if step.moment is Moment.TRAINING]
        if len(trainings) > 1:
            raise ConfigError(f"recovery: expected one way of training, got {' and '.join(trainings)}")

    @property
    def steps(self) -> tuple[RecoveryStep, ...]:
        """All steps in the order in which they act; channel pruning has its refit also where nobody asks for one."""
        refitted = any(isinstance(step, RefitStep) for step in self.asked)
        implied = () if refitted else (RefitStep(everywhere=False),)
        return tuple(sorted((*implied, *self.asked), key=lambda step: step.moment))

    @property
    def keeps_whole_ranges(self) -> bool:
        """Whether the export must not estimate narrower ranges of activations; see `RecoveryStep`."""
        return any(step.keeps_whole_ranges for step in self.steps)

    def __str__(self) -> str:
        """What a stored evaluation depends on: the first steps each in its place, then all further ones.

        Where there are further ones, the names of all steps say in which order they act.
        """
        places = list(ABSENT)
        for step in self.steps:
            if step.key_place is not None:
                places[step.key_place] = step.written()
        further = [step for step in self.steps if step.key_place is None]
        order = [step.written() if step in further else step.name for step in self.steps] if further else []
        return " ".join((*places, *order))


class Recovery:
    """Recovers compressed copies of one network; what it needs of the network is found once."""

    def __init__(
        self,
        network: nn.Module,
        graph: ChannelGraph,
        images: Tensor,
        plan: RecoveryPlan,
        seed: int = 0,
        training: TrainingImages | None = None,
    ) -> None:
        """Take images (n, channels, height, width) to calibrate with; a ConfigError if a plan has none to train on."""
        trains = any(step.needs_training_images for step in plan.steps)
        if trains and training is None:
            raise ConfigError("recovery: expected training images for a plan that trains, got none")
        self.plan = plan
        self._context = RecoveryContext(network, graph, images, seed, training() if trains and training else None)
        self._prepared = [(step, step.prepare(self._seen_by(step))) for step in plan.steps]

    def changes(self, moment: Moment, policy: Policy) -> bool:
        """Whether a step changes the policy's network at that moment."""
        return any(step.moment is moment and step.changes(policy) for step in self.plan.steps)

    def recovered(self, moment: Moment, candidate: Candidate) -> Candidate:
        """The candidate after the steps of that moment; a CompressionError names the layer or the step that fails."""
        for step, prepared in self._prepared:
            if step.moment is moment and step.changes(candidate.policy):
                network: object = self._applied(step, candidate, prepared)
                if not isinstance(network, nn.Module):
                    raise CompressionError(
                        f"recovery: the step '{step.name}' gave a {type(network).__name__}, expected the network"
                    )
                candidate = dataclasses.replace(candidate, network=network)
        return candidate

    def warnings(self, pruned: PrunedGroups) -> Iterator[str]:
        """A line for each layer that a step will leave alone, though it is meant."""
        for step, prepared in self._prepared:
            yield from step.warnings(pruned, self._seen_by(step), prepared)

    def _seen_by(self, step: RecoveryStep) -> RecoveryContext:
        """The context, which moco's own steps leave as it is; others get a copy."""
        return self._context if step.name in BUILT_IN["recovery_step"] else self._context.copied_for(step)

    def _applied(self, step: RecoveryStep, candidate: Candidate, prepared: object) -> object:
        if step.name in BUILT_IN["recovery_step"]:
            return step.apply(candidate, self._context, prepared)
        with blaming(f"recovery: the step '{step.name}' failed", CompressionError):
            return step.apply(candidate, self._seen_by(step), prepared)
