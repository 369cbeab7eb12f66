"""FitNets: the student first learns a hint from within the teacher, then its answers (Romero et al. 2015; S4.08).

The first share of the training is `learn_hints_` (moco/recovery/hints.py): the student up to its guided layer learns
the feature map of the teacher's hint layer. The rest is distillation (moco/recovery/distillation.py), of all weights.
Both together take the epochs that distillation alone takes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, replace

from torch import Tensor, nn

from moco.models.training import Batch, BatchLoss
from moco.randomness import derived_seed
from moco.recovery.descent import Tuned
from moco.recovery.distillation import DistillationOptions, DistillationStep
from moco.recovery.feature_maps import UpTo, checked_layer, feature_maps
from moco.recovery.fine_tuning import Cycle
from moco.recovery.hints import Guided, Hint, learn_hints_
from moco.recovery.step import Candidate, PrunedGroups, RecoveryContext, written
from moco.recovery.teacher import Teacher
from moco.recovery.training_plan import written_training

SUMMED = ("epochs", "steps", "seconds", "processor_s")
"""What both parts of a training take together, by the fields of `Tuned`."""


@dataclass(frozen=True)
class FitNetsOptions(DistillationOptions):
    """How a network is trained on by hints and by answers."""

    step = "fitnets"
    hint: str | None = None  # layer of the original network whose feature map is learned; None: the middle block
    # layer of the network that is trained, which learns it; None: of the hint's name where the network is a compressed
    # copy of the original, else its own middle block
    guided: str | None = None
    hint_share: float = 0.25  # of the epochs, for the hint alone

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("hint_share", lambda value: 0 < value < 1, "between 0 and 1")


@dataclass(frozen=True)
class Lessons:
    """What all candidates learn: the hint, and the loss of labels and answers, which this is as a function."""

    hint: Hint
    answers: BatchLoss

    def __call__(self, logits: Tensor, batch: Batch) -> Tensor:
        """The loss of the second part."""
        return self.answers(logits, batch)


class FitNetsStep(DistillationStep):
    """Trains the layers up to one in the middle on the original's feature map there, then all weights on its answers.

    Of several cycles only the first begins with the hint.
    """

    name, Options = "fitnets", FitNetsOptions

    def prepare(self, context: RecoveryContext) -> Lessons:
        """The hint and the loss; a ConfigError where the original network has no such hint layer."""
        options, network = self.options, context.network
        maps = feature_maps(network, context.images[:2])
        layer = checked_layer(options.hint, network, maps, options.key("hint"), "original network")
        teacher = Teacher(UpTo(network, layer), context.training_set[0], options.arithmetic)
        return Lessons(Hint(layer, maps[layer], teacher), super().prepare(context))

    def train(
        self, candidate: Candidate, context: RecoveryContext, prepared: BatchLoss, cycle: Cycle | None = None
    ) -> Tuned:
        """Train in place, first by the hint where it is the first cycle; `losses` are those of the answers alone."""
        cycle = cycle or Cycle()
        assert isinstance(prepared, Lessons)
        if cycle.number:
            return super().train(candidate, context, prepared, cycle)
        first = self._by_hint(candidate.network, context, prepared.hint, cycle)
        rest = self._of_share(1 - self.options.hint_share).descend(candidate.network, context, prepared, cycle)
        summed = {name: getattr(first, name) + getattr(rest, name) for name in SUMMED}
        return replace(rest, **summed)

    def guided_in(self, network: nn.Module, context: RecoveryContext, hint: Hint) -> Guided:
        """The layer of the network that is to learn the hint; a ConfigError where it has none of that name."""
        maps = feature_maps(network, context.images[:2])
        name = self.options.guided or (hint.layer if _is_copy(network, context.network) else None)
        layer = checked_layer(name, network, maps, self.options.key("guided"), "network that is trained")
        return Guided(layer, maps[layer])

    def check_student(self, network: nn.Module, context: RecoveryContext, prepared: BatchLoss) -> None:
        """Pass a network that has the guided layer, with a feature map; a ConfigError names the nearest layer."""
        assert isinstance(prepared, Lessons)
        self.guided_in(network, context, prepared.hint)

    def warnings(self, pruned: PrunedGroups, context: RecoveryContext, prepared: object) -> Iterable[str]:
        """As of any training; a ConfigError where a search's networks, copies of the original, lack the layer."""
        assert isinstance(prepared, Lessons)
        self.guided_in(context.network, context, prepared.hint)
        return super().warnings(pruned, context, prepared)

    def written(self) -> str:
        """The plan, and what it learns from."""
        names = ("temperature", "weight", "hint", "guided", "hint_share")
        learned = written("FitNets", {name: getattr(self.options, name) for name in names})
        return written_training(self.options, learned)

    def _by_hint(self, network: nn.Module, context: RecoveryContext, hint: Hint, cycle: Cycle) -> Tuned:
        seed, path = derived_seed(context.seed, "training"), cycle.checkpoint
        return learn_hints_(
            network,
            context.training_set[0],
            hint,
            self.guided_in(network, context, hint),
            self._of_share(self.options.hint_share).options,
            rng_seed=derived_seed(seed, "hint"),
            views_seed=seed,
            checkpoint=None if path is None else path.with_name(f"{path.stem}-hint{path.suffix}"),
        )

    def _of_share(self, share: float) -> FitNetsStep:
        """This step for a part of the training."""
        part, options = copy.copy(self), self.options
        ends = {name: getattr(options, name) for name in ("epochs", "seconds")}
        part.options = replace(options, **{name: share * end for name, end in ends.items() if end is not None})
        return part


def _is_copy(network: nn.Module, original: nn.Module) -> bool:
    """Whether the network has every block of the original one, as its compressed copies have."""
    blocks = {name for name, module in original.named_modules() if any(True for _ in module.children())}
    return blocks <= dict(network.named_modules()).keys()
