"""Training on after compression: what is left of the weights learns to do without what was taken.

Any network is trained in place, a thin one like a factorised one. The same seed gives the same weights, bit by bit,
as long as the plan stops after epochs: one that stops by the clock trains for as many steps as this machine makes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from moco.errors import ConfigError
from moco.models.arithmetic import has_bfloat16
from moco.models.training import Batch, BatchLoss
from moco.randomness import derived_seed
from moco.recovery.descent import OnEpoch, Tuned, descend_
from moco.recovery.step import Candidate, Moment, PrunedGroups, RecoveryContext, RecoveryStep
from moco.recovery.training_plan import FineTuningOptions, written_training


@dataclass(frozen=True)
class Cycle:
    """One of several trainings of a network, one after the other, each with the learning rate's whole course."""

    number: int = 0  # from 0 on; each shows the images in another order
    checkpoint: Path | None = None  # see `descend_`


class FineTuningStep(RecoveryStep):
    """Trains all weights on the labels of the training split; other ways of training by the same options build on it.

    By epochs alone: a network is built again for delivery, and must have the same bytes.
    """

    name, Options, moment = "fine_tuning", FineTuningOptions, Moment.TRAINING
    needs_training_images = True
    key_place = 2

    def __init__(self, options: FineTuningOptions | None = None, *, once: bool = False) -> None:
        """Take the options; a ConfigError where they end the training by the clock.

        They may where a network is trained `once` and kept, so that it is not built again.
        """
        super().__init__(options)
        if self.options.seconds is not None and not once:
            raise ConfigError(
                f"{self.options.key('seconds')}: it ends a training at another step each time, and what is delivered "
                "must be the very network that was scored; give 'epochs'"
            )

    def prepare(self, context: RecoveryContext) -> BatchLoss:
        """What all candidates descend on the training images."""
        return label_loss(context.training_set[1])

    def apply(self, candidate: Candidate, context: RecoveryContext, prepared: BatchLoss) -> nn.Module:
        """Train in place, on the images in the same order each time."""
        self.train(candidate, context, prepared)
        return candidate.network

    def train(
        self, candidate: Candidate, context: RecoveryContext, prepared: BatchLoss, cycle: Cycle | None = None
    ) -> Tuned:
        """Train the candidate's network in place, for the first time or for one cycle more.

        `prepared` may be that of another step of the same kind, say one of other epochs: all share a teacher's answers.
        """
        return self.descend(candidate.network, context, prepared, cycle or Cycle())

    def descend(
        self,
        network: nn.Module,
        context: RecoveryContext,
        loss: BatchLoss,
        cycle: Cycle,
        on_epoch: OnEpoch | None = None,
        seconds: float | None = None,
    ) -> Tuned:
        """Train the network in place on the training images; where it is given, for so many processor seconds at most.

        What such a training gives must be kept: another time it may end elsewhere.
        """
        first = derived_seed(context.seed, "training")
        return descend_(
            network,
            context.training_set[0],
            loss,
            self.options if seconds is None else replace(self.options, seconds=seconds),
            rng_seed=derived_seed(first, "cycle", cycle.number) if cycle.number else first,
            views_seed=first,
            on_epoch=on_epoch,
            checkpoint=cycle.checkpoint,
        )

    def check_student(self, network: nn.Module, context: RecoveryContext, prepared: BatchLoss) -> None:  # noqa: ARG002
        """Pass a network of another architecture that can be trained so; a ConfigError names what it lacks."""
        return

    def warnings(self, pruned: PrunedGroups, context: RecoveryContext, prepared: object) -> Iterable[str]:  # noqa: ARG002
        """Say where the training will be slow."""
        if self.options.arithmetic == "bfloat16" and not has_bfloat16():
            yield (
                f"{self.options.key('precision')}: this processor has no instructions for bfloat16, which then takes "
                "about three times as long as float32; leave it at auto"
            )

    def written(self) -> str:
        """The plan, and what it learns from."""
        return written_training(self.options)


def label_loss(labels: Tensor) -> BatchLoss:
    """Cross-entropy of logits with the label of each image, (n,)."""

    def loss(logits: Tensor, batch: Batch) -> Tensor:
        return F.cross_entropy(logits, labels[batch.rows])

    return loss
