"""The tests that findings are judged by; each gives an effect with a 95 % interval, and an outcome by one rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from moco.randomness import generator
from moco.reproduction.finding import Judgement, Outcome

RESAMPLES = 4000
FEWEST = 3
"""Observations below which nothing is concluded."""
CONFIDENCE = 0.95

Sentence = Callable[[float, float, float], str]
"""A sentence about an effect and the ends of its interval."""


def by_interval(low: float, high: float, threshold: float = 0.0) -> Outcome:
    """Whether an effect above the threshold is shown, its opposite, or neither."""
    if low > threshold:
        return Outcome.HOLDS
    return Outcome.FAILS if high < threshold else Outcome.INCONCLUSIVE


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean and 95 % interval by Student's t; an interval of infinite width where there is one value."""
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return mean, -np.inf, np.inf
    margin = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * np.std(values, ddof=1) / np.sqrt(n))
    return mean, mean - margin, mean + margin


def paired_t(
    differences: Sequence[float], sentence: Sentence, threshold: float = 0.0, fewest: int = FEWEST
) -> Judgement:
    """Student's paired t test: the mean difference is above the threshold, below, or not told apart from it."""
    mean, low, high = mean_interval(differences)
    n, constant = len(differences), len(set(differences)) < 2
    p = None if n < 2 or constant else float(stats.ttest_1samp(differences, threshold).pvalue)
    return judgement(by_interval(low, high, threshold), (mean, low, high), n, sentence, p, fewest)


def paired_bootstrap(differences: Sequence[float], sentence: Sentence) -> Judgement:
    """The mean difference with a percentile interval of 4,000 resamples."""
    values = np.asarray(differences, dtype=float)
    drawn = generator(0, "paired bootstrap").integers(len(values), size=(RESAMPLES, len(values)))
    low, high = (float(end) for end in np.quantile(values[drawn].mean(axis=1), [0.025, 0.975]))
    return judgement(by_interval(low, high), (float(values.mean()), low, high), len(values), sentence)


def brown_forsythe(larger: Sequence[float], smaller: Sequence[float], sentence: Sentence) -> Judgement:
    """Brown and Forsythe's test that the first sample spreads more; the effect is the ratio of standard deviations.

    The interval is a bootstrap of that ratio; the outcome is the test's at 5 %, with the direction of the ratio.
    """
    ratio, low, high = _sd_ratio(np.asarray(larger, dtype=float), np.asarray(smaller, dtype=float))
    p = float(stats.levene(larger, smaller, center="median").pvalue)
    outcome = Outcome.INCONCLUSIVE if not p < 1 - CONFIDENCE else Outcome.HOLDS if ratio > 1 else Outcome.FAILS
    n = len(larger) + len(smaller)
    return judgement(outcome, (ratio, low, high), n, sentence, p, fewest=2 * FEWEST)


def mann_whitney(larger: Sequence[float], smaller: Sequence[float], sentence: Sentence) -> Judgement:
    """Mann and Whitney's U; the effect is P(first > second) with DeLong's interval, 0.5 for no difference."""
    one, other = np.asarray(larger, dtype=float), np.asarray(smaller, dtype=float)
    p = float(stats.mannwhitneyu(one, other).pvalue)
    wins = (np.sign(one[:, None] - other[None, :]) + 1) / 2
    effect = float(wins.mean())
    variances = [np.var(wins.mean(axis=axis), ddof=1) / len(side) for axis, side in ((1, one), (0, other))]
    margin = 1.959964 * float(np.sqrt(sum(variances))) if min(len(one), len(other)) > 1 else np.inf
    low, high = max(effect - margin, 0.0), min(effect + margin, 1.0)
    outcome = by_interval(effect, effect, 0.5) if p < 1 - CONFIDENCE else Outcome.INCONCLUSIVE
    return judgement(outcome, (effect, low, high), len(one) + len(other), sentence, p, fewest=2 * FEWEST)


def pooled(estimates: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    """Estimates with 95 % intervals as one: the mean weighted by their variances, with the spread between them.

    DerSimonian and Laird 1986: where estimates differ by more than their intervals say, the pooled one is wider.
    """
    values, errors = _with_errors(estimates)
    fixed = 1 / errors**2
    mean = float(np.sum(fixed * values) / fixed.sum())
    heterogeneity = float(np.sum(fixed * (values - mean) ** 2)) - (len(values) - 1)
    scale = fixed.sum() - np.sum(fixed**2) / fixed.sum()
    between = max(heterogeneity / scale, 0.0) if scale > 0 else 0.0
    weights = 1 / (errors**2 + between)
    mean, margin = float(np.sum(weights * values) / weights.sum()), 1.959964 / float(np.sqrt(weights.sum()))
    return mean, mean - margin, mean + margin


def judgement(
    outcome: Outcome,
    effect: tuple[float, float, float],
    observations: int,
    sentence: Sentence,
    p: float | None = None,
    fewest: int = FEWEST,
) -> Judgement:
    """The judgement with its numbers rounded to what they are worth; nothing is concluded of too few observations."""
    value, low, high = effect
    few = observations < fewest
    told = sentence(value, low, high)
    told += f" Too few observations for more ({observations}, {fewest} are needed)." if few else ""
    return Judgement(
        outcome=Outcome.INCONCLUSIVE if few else outcome,
        sentence=told,
        effect=rounded(value),
        low=rounded(low),
        high=rounded(high),
        p=None if p is None or not np.isfinite(p) else rounded(p),
        observations=observations,
    )


def rounded(value: float) -> float | None:
    """Six significant digits; None of what is not finite."""
    return float(f"{value:.6g}") if np.isfinite(value) else None


def _with_errors(estimates: Sequence[tuple[float, float, float]]) -> tuple[np.ndarray, np.ndarray]:
    values = np.array([value for value, _, _ in estimates], dtype=float)
    errors = np.array([max(high - low, 1e-9) / (2 * 1.959964) for _, low, high in estimates], dtype=float)
    return values, errors


def _sd_ratio(one: np.ndarray, other: np.ndarray) -> tuple[float, float, float]:
    rng = generator(0, "ratio of deviations")
    drawn = [
        rng.choice(side - np.median(side), size=(RESAMPLES, len(side))).std(axis=1, ddof=1) for side in (one, other)
    ]
    ratios = drawn[0] / np.maximum(drawn[1], 1e-12)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(np.std(one, ddof=1) / max(float(np.std(other, ddof=1)), 1e-12)), float(low), float(high)
