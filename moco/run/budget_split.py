"""How a search's seconds are divided between its cheap trials and the training of its finalists.

Of what is left after preparing, with what certifying and timing the winner takes put aside, the finalists have their
`share`. The search has the rest: most of it before the first round of training, the last part after that round, when
it is known what training gives back. What a search leaves, because it has stalled or tried all, is trained; while
few networks are known or none is worth a training, the search goes on, a tenth of what is left at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from moco.finalists.plan import FinalistsPlan
from moco.study import Budget

BEFORE_TRAINING = 0.75
"""Share of the search's trials and seconds that it has before the first round."""
MORE = 0.1
"""Share of what is left for training by which a search goes on before anything is trained."""
PATIENCE = 15
"""Trials without a better one after which a search with finalists has stalled, where its budget does not say."""


class BudgetSplit:
    """The seconds of one search with finalists: processor seconds where these are limited, else those of the clock."""

    def __init__(
        self, budget: Budget, plan: FinalistsPlan, spent_s: Callable[[Budget], float], delivery_s: float
    ) -> None:
        """Take the budget once all is prepared.

        `spent_s` gives what was spent by now of a budget's seconds, of the processor where it limits them;
        `delivery_s` is put aside for the end.
        """
        self.budget, self.plan, self._spent_s = budget, plan, spent_s
        total_s = budget.seconds if budget.processor_seconds is None else budget.processor_seconds
        assert total_s is not None, "finalists are refused without a limit"
        self._total_s = total_s
        self._prepared_s, self._limit_s = spent_s(budget), total_s - delivery_s
        self._search_s = max(self._limit_s - self._prepared_s, 0.0) * (1 - plan.share)
        self._reserved_until_s = self._prepared_s + self._search_s
        self._reserved_s = 0.0

    @property
    def first(self) -> Budget:
        """Of the search before anything is trained."""
        return self._search(BEFORE_TRAINING, self._prepared_s + BEFORE_TRAINING * self._search_s)

    def begin_training(self) -> None:
        """The first search is over: what it left is trained, but for what the second one has."""
        self._reserved_until_s, self._reserved_s = 0.0, (1 - BEFORE_TRAINING) * self._search_s

    def second(self) -> Budget:
        """Of the search after the first round, which begins now."""
        last_s, self._reserved_s = self._spent_s(self.budget) + self._reserved_s, 0.0
        return self._search(1.0, last_s)

    def more(self) -> Budget | None:
        """Of a search that goes on before anything is trained; None where no seconds are left for it."""
        left_s = self.training_s()
        return self._search(1.0, self._spent_s(self.budget) + MORE * left_s) if left_s > 0 else None

    def training_s(self) -> float:
        """Seconds that are left for training; while the first search lasts, those that it will leave at least."""
        return self._limit_s - max(self._spent_s(self.budget), self._reserved_until_s) - self._reserved_s

    def left(self) -> str:
        """What is left of the whole, in words: training takes what the search leaves, so this is no part's forecast."""
        left_s = max(self._total_s - self._spent_s(self.budget), 0.0)
        of = " of the processor" if self.budget.processor_seconds is not None else ""
        return f"at most {left_s:.0f} s{of} left, training included"

    def _search(self, part: float, last_s: float) -> Budget:
        patience = PATIENCE if self.budget.patience is None else self.budget.patience
        trials = max(1, round(self.budget.trials * part))
        if self.budget.processor_seconds is None:
            return replace(self.budget, trials=trials, patience=patience, seconds=last_s)
        return replace(self.budget, trials=trials, patience=patience, processor_seconds=last_s)
