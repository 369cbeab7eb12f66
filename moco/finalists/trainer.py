"""Trains finalists on: from the search's compressed network, or from the weights of its last round."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from moco.compression.space.codec import cost_of
from moco.evaluation.builder import Builder
from moco.finalists.trained_weights import TrainedWeights
from moco.policy import Policy
from moco.processor_clock import ProcessorClock
from moco.recovery.distillation import DistillationOptions, DistillationStep
from moco.recovery.fine_tuning import Cycle
from moco.recovery.step import Candidate, RecoveryContext

PROBE_STEPS = 2
BACKWARD = 2.0
"""Time of a backward pass in forward passes."""


@dataclass(frozen=True)
class Trained:
    """A finalist after a round."""

    policy: Policy  # with its new weights
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
        self.loss = DistillationStep(options).prepare(self.context)
        self.steps_in_epoch = max(1, len(training[0]) // options.batch_size)
        self._step_s: list[tuple[float, float]] = []  # (share of the reference's macs, seconds of a step)

    def step_s(self, policy: Policy) -> float:
        """Processor seconds that a step on the policy's network will take, as steps of others did."""
        share = self._share(policy)
        if not self._step_s:
            self._probe()
        rates = [seconds / share_of for share_of, seconds in self._step_s]
        return share * sum(rates) / len(rates)

    def train(self, policy: Policy, steps: int, cycle: int) -> Trained:
        """So many steps more; `cycle` counts the rounds that the network was trained in, from 0 on.

        A training that was interrupted goes on. A CompressionError where it diverges.
        """
        clock = ProcessorClock()
        network = self.builder.compressed(policy)
        step = DistillationStep(replace(self.options, epochs=steps / self.steps_in_epoch))
        checkpoint = self.weights.checkpoint(policy, cycle)
        compressor = self.builder.compressor
        kept = compressor.kept(policy)
        candidate = Candidate(network, policy, kept, compressor.kept_of_batch_norms(kept))
        step.train(candidate, self.context, self.loss, Cycle(cycle, checkpoint))
        trained = Policy(policy.text, self.weights.keep(network))
        checkpoint.unlink(missing_ok=True)
        self._step_s.append((self._share(policy), clock() / steps))
        return Trained(trained, clock())

    def _share(self, policy: Policy) -> float:
        """What a step on the network takes of one on the reference, by their macs."""
        whole = cost_of(self.builder.compressor.costs, Policy.of({}))["macs"]
        return max(cost_of(self.builder.compressor.costs, policy)["macs"] / whole, 0.02)

    def _probe(self) -> None:
        """Time steps on the reference itself."""
        clock = ProcessorClock()
        plan = replace(self.options, epochs=PROBE_STEPS / self.steps_in_epoch, shift=0, flip=False)
        network = self.builder.compressed(Policy.of({}))
        images, labels = self.context.training_set
        few = images[: self.options.batch_size], labels[: self.options.batch_size]
        context = replace(self.context, training=few)
        plan = replace(plan, epochs=float(PROBE_STEPS))
        step = DistillationStep(plan)
        candidate = Candidate(network, Policy.of({}), {}, {})
        with torch.random.fork_rng(devices=[]):
            step.train(candidate, context, step.prepare(context))
        self._step_s.append((1.0, clock() / PROBE_STEPS))
