"""What an engineer does by hand: blocks left out, batch-norms re-estimated, short distillation, ONNX Runtime's int8."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from moco.baselines.baseline import Baseline, Ground, Made, costs_of
from moco.compression.channels.branch_order import removal_order
from moco.compression.channels.branches import Branch
from moco.compression.costs import OF_ANY_PRECISION
from moco.compression.methods.depth import Depth, DepthOptions
from moco.compression.precision import INT8
from moco.compression.space.codec import cost_of
from moco.errors import ConfigError
from moco.export.static_quantization import statically_quantized
from moco.interfaces import Capabilities
from moco.policy import Policy
from moco.recovery.batch_norm import BatchNormStep
from moco.recovery.distillation import DistillationOptions, DistillationStep
from moco.recovery.recovery import RecoveryPlan
from moco.recovery.step import RecoveryStep

BY_HAND = "by_hand"
IMAGES = 256
"""Calibration images by which the branches are put into order, at most."""


@dataclass(frozen=True)
class RecipeTraining(DistillationOptions):
    """How the recipe trains."""

    step = "by_hand"

    def key(self, name: str) -> str:
        """Where an option stands in an experiment."""
        return f"baselines: {self.step}.{'processor_seconds' if name == 'seconds' else name}"


class OnceTrained(DistillationStep):
    """A distillation that may end by the clock: its network is built once, and nobody asks for the same bytes again."""

    def __init__(self, options: DistillationOptions) -> None:
        RecoveryStep.__init__(self, options)


@dataclass(frozen=True)
class Recipe:
    """The numbers of the recipe; either `epochs` or `processor_seconds` ends the training."""

    drop: int  # residual branches that are left out
    epochs: float | None = None
    processor_seconds: float | None = None  # of the training alone
    learning_rate: float = 0.01
    flip: bool = False  # as of `recovery: [distillation: …]`, like the next
    shift: int = 0

    @property
    def distillation(self) -> OnceTrained:
        """Its training."""
        return OnceTrained(
            RecipeTraining(
                learning_rate=self.learning_rate,
                schedule="one_cycle",
                epochs=self.epochs,
                seconds=self.processor_seconds,
                shift=self.shift,
                flip=self.flip,
            )
        )


@dataclass(frozen=True)
class ByHand(Baseline):
    """The recipe, on the network that is searched."""

    recipe: Recipe

    def fits(self, capabilities: Capabilities) -> bool:
        """Where int8 is legal."""
        return INT8 in capabilities.precisions

    def check(self, ground: Ground) -> None:
        """Pass a network that has so many branches to leave out."""
        branches, drop = self._branches(ground), self.recipe.drop
        if drop > len(branches):
            advice = f"ask for at most {len(branches)}" if branches else "take it out of baselines"
            raise ConfigError(
                f"{self.where}.drop: the network has {len(branches)} residual branches that can be left out, "
                f"got {drop}; {advice}"
            )

    def make(self, ground: Ground) -> Iterator[Made]:
        """One file."""
        builder, branches, drop = ground.builder, self._branches(ground), self.recipe.drop
        order = removal_order(builder.compressor.network, branches, builder.images[:IMAGES], drop)
        depth = Depth(DepthOptions())
        policy = Policy.of({branch.name: depth.setting_of(branch) for branch in order[:drop]})
        images, labels = map(torch.from_numpy, ground.training())
        plan = RecoveryPlan((BatchNormStep(), self.recipe.distillation))
        trained, _ = builder.recovering(plan, ground.seed, lambda: (images, labels)).build(policy)
        file = statically_quantized(trained.path, builder.calibration, builder.folder)
        trained.path.unlink(missing_ok=True)
        yield Made(self.name, file, costs_of(cost_of(builder.compressor.costs, policy), OF_ANY_PRECISION))

    @staticmethod
    def _branches(ground: Ground) -> tuple[Branch, ...]:
        return ground.builder.compressor.graph.branches.all
