"""The tests of findings about what compression does to a network: Q01 to Q05, Q09, Q20."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from moco.reproduction.finding import Evidence, Judgement, Outcome
from moco.reproduction.statistics import FEWEST, judgement, mean_interval, paired_bootstrap, paired_t

LITTLE, RECOVERED = 0.1, 0.5
"""Shares of the reference's accuracy above chance: destroyed below the one, recovered above the other (Q04)."""
LEAST = 2.0
"""Points by which a gap must be able to be larger to matter: the standard error of an accuracy on 250 images (Q02)."""
SIZE_BUDGET = 0.8
BREAK_EVEN = 0.158
PRINTED_PARAMETERS = 7.47e6


def channel_against_filter(evidence: Evidence) -> Judgement:
    """Q01: paired t test over random policies, with the parts of ranking and of refit told apart."""
    cells = [one["accuracy"] for one in evidence]
    gained = [a - b for cell in cells for a, b in zip(cell["CP"], cell["FP"], strict=True)]
    refit = [a - b for cell in cells for a, b in zip(cell["FP, refit"], cell["FP"], strict=True)]
    ranking = [a - b for cell in cells for a, b in zip(cell["CP without refit"], cell["FP"], strict=True)]
    parts = f"the refit alone gives {np.mean(refit):+.1f}, the ranking alone {np.mean(ranking):+.1f}"

    def sentence(mean: float, low: float, high: float) -> str:
        return f"It is {mean:+.1f} points more accurate ({low:+.1f} to {high:+.1f}); {parts}."

    return paired_t(gained, sentence)


def gap_between_splits(evidence: Evidence) -> Judgement:
    """Q02: paired bootstrap of the gaps between the images that were searched on and fresh ones.

    A gap that is surely no larger by LEAST points counts against the claim too: chance moves an accuracy by as much.
    """
    found = [one for one in evidence if {"FP", "CP"} <= one.keys()]
    gaps = [one["FP"] - one["CP"] for one in found]
    means = {name: float(np.mean([one[name] for one in found])) if found else math.nan for name in ("FP", "CP")}
    by_class = [one["by_class"] for one in found if "by_class" in one]

    def sentence(mean: float, low: float, high: float) -> str:
        text = (
            f"The images it was chosen on flatter a network of filter pruning by {means['FP']:+.2f} points, one of "
            f"channel pruning with the refit by {means['CP']:+.2f}: {mean:+.2f} more ({low:+.2f} to {high:+.2f})"
        )
        if by_class:
            told = [f"{np.mean([one[name] for one in by_class]):+.1f}" for name in ("FP", "CP")]
            text += f"; chosen on images of the first classes alone, by {told[0]} and {told[1]}"
        return f"{text}."

    judged = paired_bootstrap(gaps, sentence)
    few = len(gaps) < FEWEST
    nothing = judged.outcome == Outcome.INCONCLUSIVE and judged.high is not None and judged.high < LEAST and not few
    return replace(judged, outcome=Outcome.FAILS) if nothing else judged


def tucker_grows(evidence: Evidence) -> Judgement:
    """Q03: exact counts, and one paired timing of both files."""
    one = evidence[0]
    whole, sizes, latency = one["reference"], one["parameters"], one["latency"]
    above = {keep: size for keep, size in sizes.items() if float(keep) > BREAK_EVEN}
    half = sizes["0.5"]
    grows = all(size > whole for size in above.values()) and abs(half - PRINTED_PARAMETERS) < 0.01 * half
    slower = latency["low"] > 1
    refuted = half <= whole or latency["high"] < 1
    outcome = Outcome.HOLDS if grows and slower else Outcome.FAILS if refuted else Outcome.INCONCLUSIVE
    effect = (latency["ratio"], latency["low"], latency["high"])

    def sentence(ratio: float, low: float, high: float) -> str:
        return (
            f"At half of the ranks it has {half / 1e6:.2f} M parameters for {whole / 1e6:.2f} M, and takes "
            f"{ratio:.2f} times as long ({low:.2f} to {high:.2f})."
        )

    return judgement(outcome, effect, len(sizes), sentence)


def tucker_destroys(evidence: Evidence) -> Judgement:
    """Q04: one-sample t test of what is left of the accuracy above chance, against a tenth of the reference's."""
    before = [float(one["before"]) for one in evidence]
    after = float(np.mean([one["after"] for one in evidence]))
    mean, low, high = mean_interval(before)
    recovers = after > RECOVERED
    outcome = Outcome.FAILS if low > LITTLE or not recovers else Outcome.INCONCLUSIVE
    outcome = Outcome.HOLDS if high < LITTLE and recovers else outcome

    def sentence(mean: float, low: float, high: float) -> str:
        return (
            f"Without training {100 * mean:.0f} % of the reference's accuracy above chance are left "
            f"({100 * low:.0f} to {100 * high:.0f}), after a short training {100 * after:.0f} %."
        )

    return judgement(outcome, (mean, low, high), len(before), sentence)


def few_pairs(evidence: Evidence) -> Judgement:
    """Q05: exact counts of the smallest network that pruning in pairs can reach."""
    ratios = {str(one["network"]): min(one["parameters_ratio"].values()) for one in evidence}
    smallest = ratios["resnet18"]
    outcome = Outcome.HOLDS if smallest > SIZE_BUDGET else Outcome.FAILS
    told = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())

    def sentence(ratio: float, low: float, high: float) -> str:
        assert low == ratio == high, "counts are exact"
        return f"The smallest sizes that pruning in pairs can reach, against the reference's: {told}."

    return judgement(outcome, (smallest, smallest, smallest), len(ratios), sentence)


def hints_against_distillation(evidence: Evidence) -> Judgement:
    """Q09: paired t test over students and seeds."""
    gained = [one["fitnets"] - one["kd"] for one in evidence]

    def sentence(mean: float, low: float, high: float) -> str:
        return f"With hints students are {mean:+.2f} points more accurate ({low:+.2f} to {high:+.2f})."

    return paired_t(gained, sentence)


def variational_best(evidence: Evidence) -> Judgement:
    """Q20: a paired t test of each step of the order; the order holds where both do, and the worse step is told.

    (An intersection-union test. The mean of the smaller step of each pair would be below 0 by noise alone.)
    """
    lasso = [one["magnitude"] - one["lasso"] for one in evidence]
    variational = [one["lasso"] - one["variational"] for one in evidence]

    def sentence(mean: float, low: float, high: float) -> str:
        means = (
            f"LASSO errs {np.mean(lasso):.1f} points less than magnitude, variational {np.mean(variational):.1f} less"
        )
        return f"{means} than LASSO; the step that decides: {mean:+.1f} ({low:+.1f} to {high:+.1f})."

    worst = (Outcome.FAILS, Outcome.INCONCLUSIVE, Outcome.HOLDS)
    steps = [paired_t(lasso, sentence), paired_t(variational, sentence)]
    return min(steps, key=lambda step: (worst.index(Outcome(step.outcome)), step.effect or 0.0))


def differences_of(evidence: Evidence, first: str, second: str) -> list[float]:
    """One value less the other, of the entries that have both."""

    def known(one: Mapping[str, Any]) -> bool:
        return one.get(first) is not None and one.get(second) is not None

    return [float(one[first]) - float(one[second]) for one in evidence if known(one)]
