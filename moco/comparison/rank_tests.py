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

from moco.run_folder.comparison_record import FriedmanRecord, PairRecord

ALPHA = 0.05
"""Probability of any wrong "better" or "worse" among all pairs of one measure, where all strategies are equal."""


class Verdict(StrEnum):
    """What can be said of one strategy against another."""

    BETTER = "better"
    WORSE = "worse"
    CANNOT_TELL = "cannot tell"


OPPOSITE: Mapping[str, Verdict] = {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER}
"""What holds of the second where it holds of the first."""


@dataclass(frozen=True)
class SignedRank:
    """Wilcoxon's signed-rank test of paired differences."""

    n: int  # differences that are not zero
    w_plus: float  # sum of the ranks of the positive differences
    w_minus: float  # and of the negative ones
    p: float  # exact, two-sided

    @property
    def rank_biserial(self) -> float:
        """Matched-pairs rank-biserial correlation, -1..1; 0 where all differences are zero.

        The share of the rank sum that speaks for the first, less what speaks against it (D. S. Kerby, "The simple
        difference formula", Comprehensive Psychology 3, 2014).
        """
        total = self.w_plus + self.w_minus
        return (self.w_plus - self.w_minus) / total if total else 0.0


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


def friedman(values: Mapping[str, Sequence[float]]) -> FriedmanRecord | None:
    """Friedman's test of values by strategy, one a seed; None for fewer than three strategies or two seeds.

    The chi-square is corrected for ties; its probability errs on the careful side for few seeds. Mean rank 1 is best.
    M. Friedman, "The use of ranks to avoid the assumption of normality", JASA 32 (1937); for ties as in W. J. Conover,
    "Practical Nonparametric Statistics" (1999), section 5.8.
    """
    table = np.array(list(values.values()), dtype=float)
    if table.ndim != 2 or table.shape[0] < 3 or table.shape[1] < 2:
        return None
    k, n = table.shape
    ranks = rankdata(-table, axis=0)
    mean_ranks = dict(zip(values, map(float, ranks.mean(axis=1)), strict=True))
    spread = float((ranks**2).sum() - n * k * (k + 1) ** 2 / 4)
    if spread == 0:  # within each seed all strategies are equal
        return FriedmanRecord(statistic=0.0, p=1.0, agreement=0.0, seeds=n, mean_ranks=mean_ranks)
    statistic = float((k - 1) * ((ranks.sum(axis=1) - n * (k + 1) / 2) ** 2).sum() / spread)
    p, agreement = float(chi2.sf(statistic, k - 1)), statistic / (n * (k - 1))
    return FriedmanRecord(statistic=statistic, p=p, agreement=agreement, seeds=n, mean_ranks=mean_ranks)


def a12(first: Sequence[float], second: Sequence[float]) -> float:
    """Probability that a value of the first is larger than one of the second, equals counted half.

    A. Vargha and H. D. Delaney, "A critique and improvement of the CL common language effect size statistics of McGraw
    and Wong", Journal of Educational and Behavioral Statistics 25(2), 2000; there 0.56, 0.64 and 0.71 are a small, a
    medium and a large effect.
    """
    a, b = np.asarray(first, dtype=float)[:, None], np.asarray(second, dtype=float)[None, :]
    return float(((a > b) + 0.5 * (a == b)).mean())


def pairs(values: Mapping[str, Mapping[int, float]]) -> list[PairRecord]:
    """Every two strategies of values by strategy and seed, on the seeds that both have, Holm-corrected over all."""
    found = []
    for first, second in combinations(values, 2):
        seeds = [seed for seed in values[first] if seed in values[second]]
        a, b = [values[first][seed] for seed in seeds], [values[second][seed] for seed in seeds]
        if seeds:
            found.append((first, second, a, b, differences(a, b)))
    tests = [signed_rank(difference) for *_, difference in found]
    corrected = holm([test.p for test in tests])
    return [
        PairRecord(
            first=first,
            second=second,
            verdict=_verdict(p_holm, test.rank_biserial),
            seeds=len(a),
            wins=sum(d > 0 for d in difference),
            ties=sum(d == 0 for d in difference),
            losses=sum(d < 0 for d in difference),
            median_difference=finite(_median(difference)),
            p=test.p,
            p_holm=p_holm,
            a12=a12(a, b),
            rank_biserial=test.rank_biserial,
        )
        for (first, second, a, b, difference), test, p_holm in zip(found, tests, corrected, strict=True)
    ]


def _verdict(p_holm: float, rank_biserial: float) -> Verdict:
    if p_holm > ALPHA or rank_biserial == 0:
        return Verdict.CANNOT_TELL
    return Verdict.BETTER if rank_biserial > 0 else Verdict.WORSE


def differences(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """First less second; equals differ by 0, also where both found nothing (-inf)."""
    return [0.0 if a == b else a - b for a, b in zip(first, second, strict=True)]


def _median(values: Sequence[float]) -> float:
    with np.errstate(invalid="ignore"):  # half way from -inf to inf there is no number
        return float(np.median(values))


def finite(value: float | None) -> float | None:
    """The number, None where it is none: JSON has no infinity."""
    return value if value is not None and math.isfinite(value) else None


def seeds_needed(strategies: int) -> int:
    """The fewest seeds with which any pair could be told apart: with all for one side, p = 2 / 2^n times the pairs."""
    count = max(math.comb(strategies, 2), 1)
    return next(n for n in range(1, 64) if count * 2.0 ** (1 - n) <= ALPHA)
