"""Searchers, ledgers and functions for the tests of the loop."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from optuna.distributions import IntDistribution

from moco.interfaces import SearcherCapabilities
from moco.policy import Policy
from moco.problem import Problem
from moco.randomness import generator
from moco.space import SearchSpace
from moco.trial import Evaluation, MetricValue, Suggestion, Trial

FINITE = Problem(SearchSpace({"n": IntDistribution(0, 9)}), {"loss": "minimize"})
WIDE = Problem(SearchSpace({"n": IntDistribution(0, 10**6)}), {"loss": "minimize"})


class Learner:
    """Draws from (seed, ask) and from what it was told, so that a continuation shows whether it was told the same."""

    capabilities = SearcherCapabilities()

    def __init__(self, problem: Problem = WIDE, script: list[int] | None = None) -> None:
        self.problem, self.script = problem, script
        self.asks, self.told = 0, []

    def ask(self) -> Suggestion:
        number, self.asks = self.asks, self.asks + 1
        high = self.problem.space.distributions["n"].high
        n = self.script[number % len(self.script)] if self.script else int(generator(3, number).integers(0, high))
        n = (n + sum(trial.point["n"] for trial in self.told)) % (high + 1) if not self.script else n
        return Suggestion(number, {"n": n}, {"asked": number})

    def tell(self, trial: Trial) -> None:
        self.told.append(trial)
        self.asks = max(self.asks, trial.suggestion.id + 1)


class ListLedger:
    """A ledger in memory that goes through JSON as a real one does."""

    def __init__(self, log: list[str] | None = None) -> None:
        self.recorded: list[Trial] = []
        self.log = log if log is not None else []

    def record(self, trial: Trial) -> None:
        if trial.evaluation is not None:
            json.dumps(trial.evaluation.to_json(), allow_nan=False)
        self.recorded.append(trial)
        self.log.append(f"record {trial.number}")

    def trials(self) -> list[Trial]:
        return list(self.recorded)


class Evaluate:
    """Counts its calls; those in `raises` raise."""

    def __init__(self, raises: Mapping[int, Exception] | None = None, loss: Callable[[int], float] = float) -> None:
        self.calls: list[int] = []
        self.raises, self.loss = raises or {}, loss

    def __call__(self, policy: Policy) -> Evaluation:
        n = policy.settings["n"]
        self.calls.append(n)
        if n in self.raises:
            raise self.raises[n]
        return Evaluation({"loss": MetricValue(self.loss(n))}, seconds={"score": 0.5})


def numbers(trials: list[Trial]) -> list[int]:
    return [trial.point["n"] for trial in trials]
