"""In which fewer bits the weights of a trained network will be written, and what each of those files will cost."""

from __future__ import annotations

from moco.finalists.bit_allocations import LEAST_BITS, Allocation, as_written, in_fewer_bits, rewards_small_weights
from moco.finalists.trained_weights import TrainedWeights
from moco.policy import Policy
from moco.run.job import Prepared
from moco.trial import Trial

MOST_FILES = 3
"""Of one training in fewer bits, those in the fewest: each takes the seconds of a candidate."""


class FinalistFiles:
    """The files in fewer bits of one search's networks; what was found of a policy is kept."""

    def __init__(self, prepared: Prepared, weights: TrainedWeights) -> None:
        """Take the search, and where its trained weights are kept."""
        self._problem, self._weights = prepared.problem, weights
        # Whether codes of few bits make a file smaller.
        self._packed = prepared.job.target.capabilities.placement.packed
        self._known: dict[Policy, list[Allocation]] = {}

    def allocations(self, trial: Trial) -> list[Allocation]:
        """The trial's policy in fewer bits; none where that gains nothing, or it was trained in codes of its own.

        Should there be no time for all, the first is the smallest that as a rule loses nothing, of 5 bits and more;
        then the smallest, then the larger ones, of which the first two may have no use left.
        """
        policy, evaluation = trial.policy, trial.evaluation
        if policy is None or evaluation is None or (policy.weights and self._weights.in_codes(policy.weights)):
            return []
        if policy not in self._known:
            rewarded = rewards_small_weights(self._problem, evaluation, packed=self._packed)
            found = in_fewer_bits(self._problem.space, policy, trial.point) if rewarded else []
            self._known[policy] = sorted(found[-MOST_FILES:], key=_from_five_bits)
        return self._known[policy]

    def counted_on(self, trial: Trial) -> list[Trial]:
        """The trial with the costs of each of those files, but for those in 4 bits, which may lose something."""
        files = [found for found in self.allocations(trial) if found.fewest_bits > LEAST_BITS]
        return [as_written(self._problem.space, trial, found, packed=self._packed) for found in files]


def _from_five_bits(found: Allocation) -> tuple[int, int]:
    return abs(found.fewest_bits - (LEAST_BITS + 1)), found.fewest_bits
