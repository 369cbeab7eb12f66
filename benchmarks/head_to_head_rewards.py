"""What the runs of a head-to-head comparison earned, and the tests of who earned more, or more evenly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest

from moco.comparison.rank_tests import friedman, holm, pairs
from moco.reproduction.finding import Outcome
from moco.reproduction.statistics import CONFIDENCE, by_interval, mean_interval
from moco.run_folder.comparison_record import FriedmanRecord, PairRecord

LAST = 0.2
"""Share of a run, its last trials, over which the spread of rewards is told (Q13)."""
FEWEST = 6
"""Comparisons that differ below which a sign test cannot reach 5 %."""


@dataclass(frozen=True)
class Compared:
    """The comparison of one problem, its runs in the order of the seeds."""

    record: Mapping[str, Any]
    best: Mapping[str, Mapping[int, float]]  # by strategy and seed; -inf where nothing met the bounds
    last: Mapping[str, Mapping[int, Sequence[float]]]  # rewards of the last trials

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Compared:
        """From what is kept of it."""
        best: dict[str, dict[int, float]] = {}
        last: dict[str, dict[int, Sequence[float]]] = {}
        for label, runs in record["scores"].items():
            best[label], last[label] = {}, {}
            for seed, scores in runs.items():
                met = record["feasible"][label][seed]
                good = [score for score, ok in zip(scores, met, strict=True) if ok and score is not None]
                best[label][int(seed)] = max(good, default=-math.inf)
                tail = scores[-max(round(LAST * record["trials"]), 2) :]
                last[label][int(seed)] = [score for score in tail if score is not None]
        return cls(record, best, last)

    @property
    def name(self) -> str:
        """Of the problem, as its experiment file is called."""
        return str(self.record["name"])

    def verdicts(self, first: str, second: str) -> PairRecord:
        """Wilcoxon's test of these two over the seeds, Holm-corrected over all pairs of the problem."""
        [found] = [one for one in pairs(self.best) if {one.first, one.second} == {first, second}]
        return found

    def spread(self, label: str, seed: int) -> float:
        """Standard deviation of the rewards of a run's last trials."""
        return float(np.std(self.last[label][seed], ddof=1)) if len(self.last[label][seed]) > 1 else math.nan

    def means(self, label: str) -> list[float]:
        """Mean reward of the last trials of each run."""
        return [float(np.mean(rewards)) for rewards in self.last[label].values() if len(rewards)]


@dataclass(frozen=True)
class Shares:
    """How often one side had the better of the other.

    Attributes:
        low, high: 95 % interval of the share of wins among comparisons that differ (Clopper and Pearson).
        by_problem: over problems, the mean share of wins, a tie as half of one, with Student's 95 % interval.
    """

    wins: int
    ties: int
    losses: int
    low: float
    high: float
    p: float
    by_problem: tuple[float, float, float]
    problems: int

    def outcome(self, p: float) -> Outcome:
        """Whether the share of wins lies above one half, below, or neither is shown; `p` is Holm's."""
        if self.wins + self.losses < FEWEST or p > 1 - CONFIDENCE:
            return Outcome.INCONCLUSIVE
        return by_interval(self.low, self.high, 0.5)

    @property
    def over_problems(self) -> Outcome:
        """The same of the mean over problems, the more careful of both: seeds of a problem are not problems."""
        return by_interval(self.by_problem[1], self.by_problem[2], 0.5)


def better(known: Sequence[Compared], first: str, second: str) -> Shares:
    """How often the best score of the first was the higher one, seed by seed, on problems that have both."""
    return _shares(
        [
            [_sign(one.best[first][seed], one.best[second][seed]) for seed in one.best[first]]
            for one in known
            if first in one.best and second in one.best
        ]
    )


def steadier(known: Sequence[Compared], first: str, second: str) -> Shares:
    """How often the rewards of the first spread less within a run's last trials, seed by seed."""
    return _shares(
        [
            [_sign(one.spread(second, seed), one.spread(first, seed)) for seed in one.best[first]]
            for one in known
            if first in one.best and second in one.best
        ]
    )


def steadier_between(known: Sequence[Compared], first: str, second: str) -> tuple[int, int]:
    """On how many problems the mean rewards of the first's runs spread less from seed to seed, and of how many."""
    both = [one for one in known if first in one.best and second in one.best]
    return sum(np.std(one.means(first)) < np.std(one.means(second)) for one in both), len(both)


def over_all(known: Sequence[Compared]) -> FriedmanRecord:
    """Friedman's test over problems and seeds of the strategies that all problems have."""
    shared = [label for label in known[0].best if all(label in one.best for one in known)]
    found = friedman({label: [score for one in known for score in one.best[label].values()] for label in shared})
    assert found is not None, "three strategies and two seeds at least"
    return found


def over_medians(known: Sequence[Compared]) -> FriedmanRecord:
    """Friedman's test over problems alone, of the medians of their seeds."""
    shared = [label for label in known[0].best if all(label in one.best for one in known)]
    found = friedman({label: [float(np.median(list(one.best[label].values()))) for one in known] for label in shared})
    assert found is not None, "three strategies and two problems at least"
    return found


def corrected(shares: Sequence[Shares]) -> list[float]:
    """Probabilities of the sign tests, corrected by Holm for being many."""
    return holm([one.p for one in shares])


def _sign(one: float, other: float) -> int:
    return int(one > other) - int(one < other)


def _shares(signs: Sequence[Sequence[int]]) -> Shares:
    every = [sign for problem in signs for sign in problem]
    wins, losses = every.count(1), every.count(-1)
    low, high, p = 0.0, 1.0, 1.0
    if wins + losses:
        test = binomtest(wins, wins + losses)
        ends = test.proportion_ci(CONFIDENCE, method="exact")
        low, high, p = float(ends.low), float(ends.high), float(test.pvalue)
    means = [(float(np.mean(problem)) + 1) / 2 for problem in signs]
    mean, least, most = mean_interval(means)
    return Shares(wins, every.count(0), losses, low, high, p, (mean, max(least, 0.0), min(most, 1.0)), len(signs))
