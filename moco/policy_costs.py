"""What a policy loses and what it spends, as the baselines see a problem: one number each, both to be small.

The loss is the top-1 error where that is one of the problem's losses, else its first. What is spent is, where the space
computes it, exact: the mean of the costs that the problem bounds or minimises besides, each relative to the
uncompressed network's. Otherwise it is the mean of the problem's other losses, which are known of told trials only. A
problem with neither counts how far parameters are moved.
"""

from __future__ import annotations

from math import fsum

from moco.metrics import TOP1_ERROR
from moco.policy import Policy
from moco.problem import Problem
from moco.trial import Trial

LEAST_MEASURED = 1e-3
"""Of what is spent: a step that was measured to save less, or to cost more, lies within the noise of timing."""


class PolicyCosts:
    """Losses and spending of one problem."""

    def __init__(self, problem: Problem) -> None:
        self._space = problem.space
        names = list(problem.objectives)
        self._loss = names.index(TOP1_ERROR) if TOP1_ERROR in names else 0
        whole = self._space.cost(self._space.canonical(self._space.uniform(0.0)))
        bounded = (bound.metric for bound in problem.bounds if bound.op == "<=")
        named = {*bounded, *names[: self._loss], *names[self._loss + 1 :]}
        known = {metric: cost for metric, cost in whole.items() if cost > 0}
        chosen = {metric: cost for metric, cost in known.items() if metric in named}
        self._whole = chosen or (known if len(names) == 1 else {})
        self.exact = bool(self._whole)  # whether spending is known of every policy, told or not
        self.told_only = not self.exact and len(names) > 1  # whether it is known of told trials only

    def loss_of(self, trial: Trial) -> float:
        """The loss of a complete trial."""
        assert trial.outcome is not None
        return trial.outcome.losses[self._loss]

    def of(self, policy: Policy) -> float:
        """Exact spending of a policy; the uncompressed network's is 1."""
        costs = self._space.cost(policy)
        return fsum(costs[metric] / whole for metric, whole in self._whole.items()) / len(self._whole)

    def of_trial(self, trial: Trial) -> float:
        """Spending of a complete trial, where there is any."""
        if self.exact and trial.policy is not None:
            return self.of(trial.policy)
        assert trial.outcome is not None
        losses = trial.outcome.losses
        return (fsum(losses) - losses[self._loss]) / (len(losses) - 1)

    def saved(self, here: Trial, there: Trial) -> float:
        """What a step saves: at least `LEAST_MEASURED` where it was measured, and always 1 where nothing is known."""
        if not self.exact and not self.told_only:
            return 1.0
        spent = self.of_trial(here)
        saved = spent - self.of_trial(there)
        return saved if self.exact else max(saved, LEAST_MEASURED * abs(spent))
