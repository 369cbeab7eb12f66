"""How many steps a finalist is trained for: its round's share of the seconds that are left, at this machine's pace."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from moco.finalists.history import of_round
from moco.finalists.plan import LEAST_STEPS, FinalistsPlan, Round
from moco.finalists.trainer import Trainer
from moco.policy import Policy
from moco.trial import Trial


class FinalistSteps:
    """The steps of all rounds of a plan."""

    def __init__(self, plan: FinalistsPlan, trainer: Trainer, training_s: Callable[[], float]) -> None:
        """Take the plan, what trains, and what gives the processor seconds that are left for training."""
        self.plan, self.trainer, self._training_s = plan, trainer, training_s

    def to_come(self, policy: Policy, trials: Sequence[Trial]) -> int:
        """Steps that the policy's network will still be given if it goes on to the last round."""
        shares, per_share_s = self._shares_left(trials), self._per_share_s(trials)
        first = min((number for number, _ in shares), default=0)
        own = sum({number: share for number, share in shares if number >= first}.values())
        return self.trainer.steps_in(policy, own * per_share_s)

    def now(self, policy: Policy, one: Round, trials: Sequence[Trial]) -> int | None:
        """Steps that the network is given in this round; None where there is no time for any more."""
        steps = self.trainer.steps_in(policy, one.share * self._per_share_s(trials))
        if self.trainer.steps_in(policy, self._training_s()) < LEAST_STEPS:
            return None
        return max(steps, LEAST_STEPS)

    def _per_share_s(self, trials: Sequence[Trial]) -> float:
        """Seconds that a share of 1 has by now."""
        left = sum(share for _, share in self._shares_left(trials))
        return max(self._training_s() - self.trainer.first_view_s, 0.0) / left if left else 0.0

    def _shares_left(self, trials: Sequence[Trial]) -> list[tuple[int, float]]:
        """Round and share of each training that is still to come."""
        found = []
        for one in self.plan.rounds:
            missing = one.finalists - len(of_round(trials, one.number))
            found += [(one.number, one.share)] * max(missing, 0)
        return found
