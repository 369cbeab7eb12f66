"""What a searcher that plans its asks keeps of the trials told: results by policy, and how many asks are pending."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from moco.policy import Policy
from moco.trial import Trial, TrialState
from moco.trial_rank import rank

T = TypeVar("T")

LOST_AFTER = 32
"""An ask that was not told when so many later ones were made is taken for lost, as a crash loses those under way."""


class TrialHistory:
    """Told trials by policy; the first result of each counts, so that what was once decided by it stays decided."""

    def __init__(self) -> None:
        self._by_policy: dict[Policy, Trial] = {}
        self._ids: set[int] = set()
        self.best: Trial | None = None  # the complete trial that ranks first; of equals the earlier one

    def add(self, trial: Trial) -> None:
        """Remember a finished trial, whatever became of it; a result takes the place of an earlier failure."""
        self._ids.add(trial.suggestion.id)
        if trial.policy is not None and (trial.policy not in self._by_policy or self.complete(trial.policy) is None):
            self._by_policy[trial.policy] = trial
        if trial.state is TrialState.COMPLETE and (self.best is None or rank(trial) > rank(self.best)):
            self.best = trial

    def __contains__(self, policy: Policy) -> bool:
        return policy in self._by_policy

    def complete(self, policy: Policy) -> Trial | None:
        """The policy's result; None where it was not told, rejected or failed."""
        trial = self._by_policy.get(policy)
        return trial if trial is not None and trial.state is TrialState.COMPLETE else None

    def n_pending(self, count: int) -> int:
        """How many of the first `count` asks are under way."""
        return sum(number not in self._ids for number in range(max(count - LOST_AFTER, 0), count))

    def next_of(self, untold: Sequence[T], count: int) -> T | None:
        """What the next ask takes of a plan: as many are passed over as are pending; None where none is left."""
        pending = self.n_pending(count)
        return untold[pending] if pending < len(untold) else None
