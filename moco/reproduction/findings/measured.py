"""The tests of findings about what is measured: Q06 to Q08, Q14, Q15, Q17, Q18."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import binomtest

from moco.reproduction.finding import Evidence, Judgement, Outcome
from moco.reproduction.statistics import (
    CONFIDENCE,
    by_interval,
    judgement,
    mann_whitney,
    paired_t,
    pooled,
)

FULLY = 0.95
"""A correlation above which a proxy predicts a metric fully (Q06)."""
EQUAL = 0.95
"""A ratio of latencies above which a network is as slow as another (Q07)."""
BY_CHANCE = 0.025
"""The share of neighbours whose intervals lie apart the wrong way though their times are the same, at most (Q15)."""
ENOUGH_WIDTHS = 10


def _fisher_z(r: float) -> float:
    return math.atanh(min(max(r, -0.999999), 0.999999))


def proxies_partly(evidence: Evidence) -> Judgement:
    """Q06: Fisher's z of Pearson's r between MACs and latency, pooled over networks; rank reversals beside it."""
    found = [one["macs_latency"] for one in evidence if one["macs_latency"].get("low") is not None]
    z = pooled([(_fisher_z(one["value"]), _fisher_z(one["low"]), _fisher_z(one["high"])) for one in found])
    r, low, high = (math.tanh(end) for end in z)
    turned = sum(one["reversals"]["count"] for one in evidence)
    pairs = sum(one["reversals"]["pairs"] for one in evidence)
    outcome = by_interval(-high, -low, -FULLY)
    sizes = float(np.mean([one["parameters_latency"]["value"] for one in evidence]))

    def sentence(value: float, low: float, high: float) -> str:
        return (
            f"MACs and latency correlate by {value:.2f} ({low:.2f} to {high:.2f}), parameters and latency by "
            f"{sizes:.2f}; MACs call the slower of two networks the cheaper one in {turned} of {pairs} pairs."
        )

    trials = sum(int(one["trials"]) for one in evidence)
    return judgement(outcome, (r, low, high), trials, sentence)


def zeros_no_faster(evidence: Evidence) -> Judgement:
    """Q07: equivalence by the pooled interval of paired latency ratios."""
    ratio, low, high = pooled([(one["ratio"], one["low"], one["high"]) for one in evidence])
    outcome = Outcome.HOLDS if low > EQUAL and high >= 1 else Outcome.FAILS if high < 1 else Outcome.INCONCLUSIVE

    def sentence(value: float, low: float, high: float) -> str:
        return (
            f"With 50 to 90 % of zeros in dense kernels a network takes {value:.3f} of its time "
            f"({low:.3f} to {high:.3f})."
        )

    return judgement(outcome, (ratio, low, high), len(evidence), sentence)


def norm_fastest(evidence: Evidence) -> Judgement:
    """Q08: paired t test of the fastest other method's latency ratio less that of L1, at equal loss of accuracy."""
    gained, best = [], []
    for one in evidence:
        others = {name: found["ratio"] for name, found in one["best"].items() if name != "L1"}
        gained.append(min(others.values()) - one["best"]["L1"]["ratio"])
        best.append(min(others, key=lambda name: others[name]))
    rival = max(sorted(set(best)), key=best.count)

    def sentence(mean: float, low: float, high: float) -> str:
        return (
            f"At equal loss the fastest other method, most often {rival}, takes {mean:+.2f} of the "
            f"reference's time more than L1 ({low:+.2f} to {high:+.2f})."
        )

    return paired_t(gained, sentence)


def dead_not_fastest(evidence: Evidence) -> Judgement:
    """Q14: Mann and Whitney's U between latencies of networks near chance and of the others."""
    dead = [ratio for one in evidence for ratio in one["dead"]]
    alive = [ratio for one in evidence for ratio in one["alive"]]
    if min(len(dead), len(alive)) < 2:
        few = f"{len(dead)} dead and {len(alive)} alive networks were found; two of each are needed."
        return Judgement(outcome=Outcome.INCONCLUSIVE, sentence=few, observations=len(dead) + len(alive))

    def sentence(effect: float, low: float, high: float) -> str:
        return (
            f"A dead network is slower than one that is alive with probability {effect:.2f} ({low:.2f} to {high:.2f}): "
            f"medians {np.median(dead):.2f} and {np.median(alive):.2f} of the reference's latency, of {len(dead)} and "
            f"{len(alive)} networks."
        )

    return mann_whitney(dead, alive, sentence)


def not_monotone(evidence: Evidence) -> Judgement:
    """Q15: binomial test of how many neighbouring widths are timed apart the wrong way."""
    turned = total = 0
    for one in evidence:
        order = np.argsort(one["widths"])
        low, high = np.asarray(one["low"])[order], np.asarray(one["high"])[order]
        turned += int(np.sum(low[:-1] > high[1:]))  # the narrower one is surely slower
        total += len(order) - 1
    test = binomtest(turned, total, BY_CHANCE, alternative="greater")
    ends = test.proportion_ci(CONFIDENCE, method="exact")
    outcome = Outcome.HOLDS if test.pvalue < 1 - CONFIDENCE else Outcome.INCONCLUSIVE
    two_sided = binomtest(turned, total).proportion_ci(CONFIDENCE, method="exact")
    if turned == 0 and total >= ENOUGH_WIDTHS:
        outcome = Outcome.FAILS
    assert ends.low <= turned / total

    def sentence(share: float, low: float, high: float) -> str:
        return (
            f"Of {total} steps to a narrower layer {turned} make the network surely slower "
            f"({100 * share:.0f} %, {100 * low:.0f} to {100 * high:.0f})."
        )

    return judgement(outcome, (turned / total, two_sided.low, two_sided.high), total, sentence, float(test.pvalue))


def compound(evidence: Evidence) -> Judgement:
    """Q17: pooled ratio of compressed and optimised to optimised alone, with the interaction beside it."""
    both = pooled([(one["ratio"], one["low"], one["high"]) for one in evidence])
    inter = pooled([tuple(math.log(one["interaction"][k]) for k in ("value", "low", "high")) for one in evidence])  # type: ignore[misc]
    middle, least, most = (math.exp(end) for end in inter)

    def sentence(value: float, low: float, high: float) -> str:
        return (
            f"Channels pruned and optimised, a network takes {value:.2f} of the time of the optimised one ({low:.2f} "
            f"to {high:.2f}); interaction {middle:.2f} ({least:.2f} to {most:.2f}), 1 where both gains multiply."
        )

    return judgement(by_interval(-both[2], -both[1], -1.0), both, len(evidence), sentence)


def first_answer_later(evidence: Evidence) -> Judgement:
    """Q18: pooled ratio of the times to the first answer."""
    ratio = pooled([(one["ratio"], one["low"], one["high"]) for one in evidence])

    def sentence(value: float, low: float, high: float) -> str:
        return (
            f"Compressed networks take {value:.2f} of the reference's time to the first answer "
            f"({low:.2f} to {high:.2f})."
        )

    return judgement(by_interval(ratio[1], ratio[2], 1.0), ratio, len(evidence), sentence)
