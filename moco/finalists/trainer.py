"""Trains finalists on: from the search's compressed network, or from the weights of its last round."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from moco.compression.costs import macs_share
from moco.compression.policy_settings import NEUTRAL, bits_by_part
from moco.compression.space.codec import cost_of
from moco.evaluation.builder import Builder
from moco.finalists.cycles import CYCLES, averaged_, n_views_of_cycle, steps_of_cycles, steps_that_fit
from moco.finalists.learning_rate import share_of_rate
from moco.finalists.trained_weights import TrainedWeights
from moco.models.augmentation import View
from moco.models.training import Batch
from moco.policy import Policy
from moco.processor_clock import ProcessorClock
from moco.randomness import derived_seed
from moco.recovery.descent import OnEpoch, Tuned, descend_
from moco.recovery.distillation import DistillationOptions, DistillationStep, teacher_loss
from moco.recovery.fine_tuning import Cycle
from moco.recovery.quantization_aware import quantization_aware
from moco.recovery.step import RecoveryContext
from moco.recovery.teacher import Teacher
from moco.torch_threads import one_thread

STATISTICS = 1024
"""Training images from which the batch-norms of averaged weights take their statistics."""
PROBE_STEPS = 2
LEAST_S = 1e-3
"""The processor's clock ticks: less than that was not measured."""


@dataclass(frozen=True)
class Trained:
    """A finalist after a round."""

    policy: Policy  # with its new weights
    network: nn.Module  # in float
    steps: int  # that were made
    processor_s: float  # that the round took


class Trainer:
    """Trains the networks of one search, by distillation from the original."""

    def __init__(
        self,
        builder: Builder,
        training: tuple[Tensor, Tensor],
        options: DistillationOptions,
        weights: TrainedWeights,
        seed: int,
    ) -> None:
        """Take the builder of the search's networks, its training images and labels, and where weights are kept."""
        self.builder, self.options, self.weights = builder, options, weights
        compressor = builder.compressor
        self.context = RecoveryContext(compressor.network, compressor.graph, builder.images, seed, training)
        self.teacher = Teacher(compressor.network, training[0], options.arithmetic)
        self.loss = teacher_loss(self.teacher, training[1], options.temperature, options.weight)
        self.steps_in_epoch = max(1, len(training[0]) // options.batch_size)
        self._shares_of_rate: dict[Policy, float] = {}
        self._steps_s: dict[Policy, float] = {}  # seconds of a step on each network that was trained, the last time
        self._probed_step_s = 0.0  # likewise, as a few steps tell
        self._probed_view_s = 0.0  # that the teacher takes for a whole view, as a few images tell

    def steps_in(self, policy: Policy, seconds: float) -> int:
        """Steps on the policy's network that fit into so many processor seconds, as far as earlier ones tell.

        The teacher's answers to the first view, which all finalists see, are not among them (`first_view_s`).
        """
        return steps_that_fit(seconds, self.step_s(policy), self._answering_s)

    def _answering_s(self, steps: int) -> float:
        """Seconds of the teacher in so many steps, for views beyond the first and those that it has answered."""
        longest, *_ = steps_of_cycles(steps, self.steps_in_epoch)
        return self._view_s * max((self._n_views(longest) or 0) - max(self.teacher.views_answered, 1), 0)

    def _n_views(self, steps: int) -> int | None:
        """Views in a cycle of so many steps; one where nothing is moved or mirrored."""
        return n_views_of_cycle(steps, self.steps_in_epoch, self.options.views if self.options.augments else 1)

    def step_s(self, policy: Policy) -> float:
        """Processor seconds of a step on the policy's network, without the teacher's answers to whole views.

        Of a network that was not trained yet by its multiply-accumulates, as those of others take them on average.
        """
        if (known := self._steps_s.get(policy.untrained)) is not None:
            return known
        self._probe()
        rates = [step_s / self._share(one) for one, step_s in self._steps_s.items()] or [self._probed_step_s]
        return self._share(policy) * sum(rates) / len(rates)

    @property
    def first_view_s(self) -> float:
        """Processor seconds that the teacher's answers to a first view of all images will take; 0 once they did."""
        self._probe()
        return 0.0 if self.teacher.views_answered else self._view_s

    def averaging_s(self, policy: Policy, steps: int) -> float:
        """Processor seconds that the statistics of averaged weights take; a forward pass is about a third of a step."""
        cycles = len(steps_of_cycles(steps, self.steps_in_epoch))
        return self.step_s(policy) / 3 * STATISTICS / self.options.batch_size if cycles > 1 else 0.0

    def learning_rate(self, policy: Policy) -> float:
        """Of the policy's network in all its rounds: less than the plan's where it is near the original untrained."""
        if (untrained := policy.untrained) not in self._shares_of_rate:
            network = self.builder.compressed(untrained).eval()
            parts = torch.split(self.builder.images, self.options.batch_size)
            with torch.no_grad(), one_thread():
                original = torch.cat([self.teacher.answers(Batch(part, torch.arange(len(part)))) for part in parts])
                answers = torch.cat([network(part) for part in parts])
            self._shares_of_rate[untrained] = share_of_rate(original, answers, self.options.temperature)
        return self.options.learning_rate * self._shares_of_rate[untrained]

    def train(
        self, policy: Policy, steps: int, cycle: int, *, in_codes: bool = False, seconds: float | None = None
    ) -> Trained:
        """So many steps more, maybe in the integer codes of the policy; `cycle` counts the network's rounds from 0 on.

        Fewer are made where they would take more processor seconds than that: a machine may become slower.

        A training that was interrupted goes on. A CompressionError where it diverges.
        """
        clock, answered_s = ProcessorClock(), self.teacher.answered_s
        network, rate = self.builder.compressed(policy), self.learning_rate(policy)
        parts = (steps,) if in_codes else steps_of_cycles(steps, self.steps_in_epoch)
        checkpoints = [self.weights.checkpoint(policy, CYCLES * cycle + place) for place in range(len(parts))]
        precision = "float32" if in_codes and self.options.precision == "auto" else self.options.precision

        def descended(place: int) -> Tuned:
            epochs, views = parts[place] / self.steps_in_epoch, self._n_views(parts[place])
            options = replace(self.options, epochs=epochs, views=views, precision=precision, learning_rate=rate)
            step, which = DistillationStep(options), Cycle(CYCLES * cycle + place, checkpoints[place])
            limit_s = None if seconds is None else seconds * parts[place] / steps
            return step.descend(network, self.context, self.loss, which, on_epoch, seconds=limit_s)

        on_epoch: OnEpoch | None = None
        built_s, is_timed = clock(), not (in_codes or checkpoints[0].exists())  # one that goes on makes fewer steps
        if in_codes:
            with quantization_aware(network, bits_by_part(policy), self.context.images) as quantization:
                on_epoch = quantization.calibrate
                found = [descended(0)]
        else:
            found = averaged_(network, [partial(descended, place) for place in range(len(parts))], self._seen())
        made = sum(tuned.steps for tuned in found)
        if is_timed:
            descended_s = clock() - built_s - (self.teacher.answered_s - answered_s)
            self._steps_s[policy.untrained] = descended_s / made
        trained = Policy(policy.text, self.weights.keep(network, in_codes=in_codes))
        for checkpoint in checkpoints:
            checkpoint.unlink(missing_ok=True)
        return Trained(trained, network, made, clock())

    def _seen(self) -> Iterator[Tensor] | None:
        """Training images as a training sees them, for the statistics of batch-norms; None where these are kept."""
        return None if self.options.frozen_batch_norm else self._views_of_some()

    def _views_of_some(self) -> Iterator[Tensor]:
        images, seed = self.context.training_set[0], derived_seed(self.context.seed, "batch-norm")
        view = View(seed, self.options.shift, self.options.flip)
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
        chosen = order[:STATISTICS]
        # Of equal size, to within one image: a last part of a single image has no variance over a vector.
        for rows in torch.tensor_split(chosen, math.ceil(len(chosen) / self.options.batch_size)):
            yield view.shown(images, rows)

    @property
    def _view_s(self) -> float:
        known = self.teacher.views_answered
        return self.teacher.answered_s / known if known else self._probed_view_s

    def _share(self, policy: Policy) -> float:
        """What a step on the network takes of one on the reference, by their multiply-accumulates."""
        costs = self.builder.compressor.costs
        return macs_share(cost_of(costs, NEUTRAL), cost_of(costs, policy))

    def _probe(self) -> None:
        """Time a few steps on the reference itself, and the teacher on as many images, unless more is known."""
        if self._steps_s or self._probed_step_s:
            return
        images, labels = (tensor[: self.options.batch_size] for tensor in self.context.training_set)
        teacher = Teacher(self.context.network, images, self.options.arithmetic)
        loss = teacher_loss(teacher, labels, self.options.temperature, self.options.weight)
        network, plan = self.builder.compressed(NEUTRAL), replace(self.options, epochs=float(PROBE_STEPS))

        def answers() -> None:
            for _ in range(PROBE_STEPS):
                teacher.answers(Batch(images, torch.arange(len(images))))

        def steps() -> None:
            descend_(network, images, loss, plan, rng_seed=0)

        self._probed_step_s = max(_second_time_s(steps), LEAST_S) / PROBE_STEPS
        self._probed_view_s = _second_time_s(answers) / PROBE_STEPS * len(self.teacher) / len(images)


def _second_time_s(work: Callable[[], None]) -> float:
    """Processor seconds that it takes once all that it needs has been made."""
    work()
    clock = ProcessorClock()
    work()
    return clock()
