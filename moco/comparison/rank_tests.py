"""Which of several strategies is better, from one number a run: rank tests over seeds, effect sizes, plain verdicts.

Strategies are compared seed by seed. Everything here rests on ranks only, so -inf (a run that found nothing) is a
number like any other, the worst one. Larger is better.

The recipe is that of J. Demšar, "Statistical comparisons of classifiers over multiple data sets", JMLR 7 (2006), with
seeds in the place of data sets: Friedman's test over all, Wilcoxon's signed-rank test for each pair, Holm's correction
over the pairs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np
from scipy.stats import chi2, rankdata

ALPHA = 0.05
"""Probability of any wrong "better" or "worse" among all pairs of one measure, where all strategies are equal."""


class Verdict(StrEnum):
    """What can be said of one strategy against another."""

    BETTER = "better"
    WORSE = "worse"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class SignedRank:
    """Wilcoxon's signed-rank test of paired differences.

    Attributes:
        n: differences that are not zero.
        w_plus, w_minus: sums of the ranks of the positive and of the negative differences.
        p: exact, two-sided.
    """

    n: int
    w_plus: float
    w_minus: float
    p: float

    @property
    def rank_biserial(self) -> float:
        """Matched-pairs rank-biserial correlation, -1..1; 0 where all differences are zero.

        The share of the rank sum that speaks for the first, less what speaks against it (D. S. Kerby, "The simple
        difference formula", Comprehensive Psychology 3, 2014).
        """
        total = self.w_plus + self.w_minus
        return (self.w_plus - self.w_minus) / total if total else 0.0


@dataclass(frozen=True)
class Friedman:
    """Friedman's test over all strategies.

    Attributes:
        statistic: chi-square, corrected for ties.
        p: from the chi-square distribution, which for few seeds errs on the careful side.
        agreement: Kendall's W, 0 (seeds order the strategies at random) to 1 (all seeds alike).
        mean_ranks: by strategy, 1 is best.
        n: seeds.
    """

    statistic: float
    p: float
    agreement: float
    mean_ranks: tuple[float, ...]
    n: int


@dataclass(frozen=True)
class Pair:
    """One strategy against another.

    Attributes:
        first, second: their names; all else is told of the first.
        n: seeds that both have.
        wins, ties, losses: seeds.
        median_difference: of first - second over the seeds.
        test: on the differences.
        p_holm: the test's probability after Holm's correction over all pairs.
        a12: probability that a run of the first beats one of the second, equals counted half.
    """

    first: str
    second: str
    n: int
    wins: int
    ties: int
    losses: int
    median_difference: float
    test: SignedRank
    p_holm: float
    a12: float

    @property
    def verdict(self) -> Verdict:
        """Better or worse where the corrected test says so, else that one cannot tell."""
        if self.p_holm > ALPHA or self.test.rank_biserial == 0:
            return Verdict.CANNOT_TELL
        return Verdict.BETTER if self.test.rank_biserial > 0 else Verdict.WORSE


def signed_rank(differences: Sequence[float]) -> SignedRank:
    """The exact test of F. Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1(6), 1945.

    Differences of zero are left out, as there; equal ones share their mean rank, and the distribution is that of
    these very ranks under all 2^n signs.
    """
    given = np.asarray(differences, dtype=float)
    given = given[given != 0]
    ranks = rankdata(np.abs(given))
    w_plus, w_minus = float(ranks[given > 0].sum()), float(ranks[given < 0].sum())
    # Twice a mean rank is a whole number; ways[s] counts the signs whose positive ranks sum to s / 2.
    ways = np.ones(1)
    for doubled in np.rint(2 * ranks).astype(int):
        ways = np.concatenate([ways, np.zeros(doubled)]) + np.concatenate([np.zeros(doubled), ways])
        ways /= 2
    tail = float(ways[: round(2 * min(w_plus, w_minus)) + 1].sum())
    return SignedRank(len(given), w_plus, w_minus, min(2 * tail, 1.0))


def holm(probabilities: Sequence[float]) -> list[float]:
    """Probabilities corrected for being many, in their order (S. Holm, Scandinavian Journal of Statistics 6, 1979)."""
    count = len(probabilities)
    corrected, largest = [0.0] * count, 0.0
    for place, index in enumerate(sorted(range(count), key=lambda i: probabilities[i])):
        largest = max(largest, min((count - place) * probabilities[index], 1.0))
        corrected[index] = largest
    return corrected


def friedman(values: np.ndarray) -> Friedman | None:
    """Friedman's test of values (seeds, strategies); None for fewer than three strategies or two seeds.

    M. Friedman, "The use of ranks to avoid the assumption of normality", JASA 32 (1937); for ties as in W. J. Conover,
    "Practical Nonparametric Statistics" (1999), section 5.8.
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 2 or values.shape[0] < 2 or values.shape[1] < 3:
        return None
    n, k = values.shape
    ranks = rankdata(-values, axis=1)
    mean_ranks = tuple(float(rank) for rank in ranks.mean(axis=0))
    spread = float((ranks**2).sum() - n * k * (k + 1) ** 2 / 4)
    if spread == 0:  # within each seed all strategies are equal
        return Friedman(0.0, 1.0, 0.0, mean_ranks, n)
    statistic = float((k - 1) * ((ranks.sum(axis=0) - n * (k + 1) / 2) ** 2).sum() / spread)
    return Friedman(statistic, float(chi2.sf(statistic, k - 1)), statistic / (n * (k - 1)), mean_ranks, n)


def a12(first: Sequence[float], second: Sequence[float]) -> float:
    """Probability that a value of the first is larger than one of the second, equals counted half.

    A. Vargha and H. D. Delaney, "A critique and improvement of the CL common language effect size statistics of McGraw
    and Wong", Journal of Educational and Behavioral Statistics 25(2), 2000; there 0.56, 0.64 and 0.71 are a small, a
    medium and a large effect.
    """
    a, b = np.asarray(first, dtype=float)[:, None], np.asarray(second, dtype=float)[None, :]
    return float(((a > b) + 0.5 * (a == b)).mean())


def pairs(values: Mapping[str, Mapping[int, float]]) -> list[Pair]:
    """Every two strategies, in the order given, on the seeds that both have.

    Args:
        values: by strategy and seed, larger is better.
    """
    found = []
    for first, second in combinations(values, 2):
        seeds = [seed for seed in values[first] if seed in values[second]]
        a, b = [values[first][seed] for seed in seeds], [values[second][seed] for seed in seeds]
        if seeds:
            found.append((first, second, a, b, differences(a, b)))
    tests = [signed_rank(difference) for *_, difference in found]
    corrected = holm([test.p for test in tests])
    return [
        Pair(
            first=first,
            second=second,
            n=len(a),
            wins=sum(d > 0 for d in difference),
            ties=sum(d == 0 for d in difference),
            losses=sum(d < 0 for d in difference),
            median_difference=_median(difference),
            test=test,
            p_holm=p_holm,
            a12=a12(a, b),
        )
        for (first, second, a, b, difference), test, p_holm in zip(found, tests, corrected, strict=True)
    ]


def differences(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """First less second; equals differ by 0, also where both found nothing (-inf)."""
    return [0.0 if a == b else a - b for a, b in zip(first, second, strict=True)]


def _median(values: Sequence[float]) -> float:
    with np.errstate(invalid="ignore"):  # half way from -inf to inf there is no number
        return float(np.median(values))


def seeds_needed(strategies: int) -> int:
    """The fewest seeds with which any pair could be told apart: with all for one side, p = 2 / 2^n times the pairs."""
    count = max(math.comb(strategies, 2), 1)
    return next(n for n in range(1, 64) if count * 2.0 ** (1 - n) <= ALPHA)
