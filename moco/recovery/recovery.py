"""What is done to a compressed network to get its accuracy back, in the order in which it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from moco.compression.channels.groups import ChannelGraph
from moco.compression.policy_settings import bits_by_part, factors_of, pruned, refitted_of, weights_kept_of
from moco.errors import ConfigError
from moco.policy import Policy
from moco.randomness import derived_seed, generator
from moco.recovery.batch_norm import Statistics, batch_statistics, re_estimate
from moco.recovery.custom import RecoveryFunction, custom_recovery, identity
from moco.recovery.distillation import Distillation, Teacher
from moco.recovery.fine_tuning import BatchLoss, descend_, label_loss
from moco.recovery.fine_tuning_plan import FineTuning
from moco.recovery.quantization_aware import quantization_aware
from moco.recovery.refit import Original, RefitOptions, observe, refit_

TrainingImages = Callable[[], tuple[torch.Tensor, torch.Tensor]]
"""Gives the training images (n, channels, height, width), normalised, and their labels (n,)."""


@dataclass(frozen=True)
class Training:
    """How a compressed network is trained on.

    Attributes:
        plan: by epochs alone: a network is built again for delivery, and must have the same bytes.
        distillation: how the original network's answers count; None learns from labels alone.
        quantization_aware: whether layers that will be in few bits compute in them while they are trained.
    """

    plan: FineTuning
    distillation: Distillation | None = None
    quantization_aware: bool = False

    def __post_init__(self) -> None:
        """Check the plan."""
        if self.plan.seconds is not None:
            raise ConfigError(
                "recovery: 'seconds' ends a training at another step each time, and what is delivered must be the very "
                "network that was scored; give 'epochs'"
            )


@dataclass(frozen=True)
class RecoveryPlan:
    """How compressed networks are recovered.

    Attributes:
        refit: how the readers of pruned channels are refitted by least squares.
        refit_all: whether the readers of all pruned channels are, not only those of channel pruning.
        batch_norm: whether batch-norm statistics are re-estimated relative to the original.
        training: how all weights are trained on; None leaves them.
        function: the user's own, in place of `training`.
    """

    refit: RefitOptions = field(default_factory=RefitOptions)
    refit_all: bool = False
    batch_norm: bool = True
    training: Training | None = None
    function: RecoveryFunction | None = None

    @property
    def trains_in_codes(self) -> bool:
        """Whether layers that will be in few bits compute in them while they are trained."""
        return self.training is not None and self.training.quantization_aware

    def __str__(self) -> str:
        """What a stored evaluation depends on."""
        function = None if self.function is None else identity(self.function)
        return f"{self.refit} {self.refit_all} {self.batch_norm} {self.training} {function}"


class Recovery:
    """Recovers compressed copies of one network; what it needs of the network is found once."""

    def __init__(
        self,
        network: nn.Module,
        graph: ChannelGraph,
        images: torch.Tensor,
        plan: RecoveryPlan,
        seed: int = 0,
        training: TrainingImages | None = None,
    ) -> None:
        """Take the calibration images (n, channels, height, width), and for a training plan the training images.

        Raises:
            ConfigError: the plan trains, and there are no training images.
        """
        self.network, self.graph, self.images, self.plan = network, graph, images, plan
        self._seed = seed
        self._statistics: Statistics | None = batch_statistics(network, images) if plan.batch_norm else None
        self._original: Original | None = None
        trains = plan.training is not None or plan.function is not None
        if trains and training is None:
            raise ConfigError("recovery: expected training images for a plan that trains, got none")
        self._training = training() if trains and training is not None else None

    def refits(self, policy: Policy) -> bool:
        """Whether the policy's network has layers to refit."""
        return bool(pruned(policy) if self.plan.refit_all else refitted_of(policy))

    def refit_(self, thin: nn.Module, policy: Policy, kept: Mapping[str, np.ndarray]) -> None:
        """Refit the layers of a pruned copy, in place, that the plan or the policy asks to be.

        Raises:
            CompressionError: a layer has no finite solution; it is named.
        """
        readers = None if self.plan.refit_all else self._readers(refitted_of(policy))
        refit_(thin, self.graph, kept, self._observed(), self.plan.refit, readers)

    def not_refitted(self, groups: Iterable[str]) -> dict[str, str]:
        """By layer that reads the channels of these groups and that no refit can take: why."""
        readers = self._readers(groups)
        return {name: reason for name, reason in self._observed().refused.items() if name in readers}

    def _readers(self, groups: Iterable[str]) -> set[str]:
        return {name for group in groups for name in self.graph.groups[group].consumers}

    def _observed(self) -> Original:
        if self._original is None:
            rng = generator(self._seed, "refit")
            self._original = observe(self.network, self.graph, self.images, self.plan.refit, rng)
        return self._original

    def finishes(self, policy: Policy) -> bool:
        """Whether `finished` changes the policy's network: bits alone change no float network, but training does."""
        if self._training is not None:
            return bool(policy.settings)
        return self.plan.batch_norm and bool(pruned(policy) or factors_of(policy) or weights_kept_of(policy))

    def finished(self, thin: nn.Module, policy: Policy, kept: Mapping[str, torch.Tensor]) -> nn.Module:
        """A compressed copy with its batch-norms re-estimated and its weights trained, as the plan says.

        Args:
            thin: changed in place; given back, unless the user's function gives another of the same structure.
            kept: by batch-norm, the channels of the original that stayed; those not named stayed whole.

        Raises:
            CompressionError: training fails; the layer or the function is named.
        """
        if self._statistics is not None:
            re_estimate(thin, self.images, self._statistics, kept)
        if self._training is None:
            return thin
        images, labels = self._training
        if self.plan.function is not None:
            return custom_recovery(self.plan.function, thin, images, labels, rng_seed=self._seed)
        assert self.plan.training is not None
        self._train_(thin, policy, self.plan.training, images, labels)
        return thin

    def _train_(
        self, thin: nn.Module, policy: Policy, training: Training, images: torch.Tensor, labels: torch.Tensor
    ) -> None:
        loss: BatchLoss = label_loss(labels)
        if training.distillation is not None:
            answers = training.distillation
            loss = Teacher(self.network, answers.temperature, answers.weight).loss(
                images, labels, training.plan.augments
            )
        seed, bits = derived_seed(self._seed, "training"), bits_by_part(policy)
        if training.quantization_aware and bits:
            with quantization_aware(thin, bits, self.images) as quantization:
                quantization.tune_(images, loss, training.plan, rng_seed=seed)
        else:
            descend_(thin, images, loss, training.plan, rng_seed=seed)
