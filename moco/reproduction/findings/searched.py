"""The tests of findings about searches and agents: Q10 to Q13, Q16, Q19, Q21."""

from __future__ import annotations

import numpy as np
from scipy.stats import binomtest

from moco.reproduction.finding import Evidence, Judgement, Outcome
from moco.reproduction.findings.compression import differences_of
from moco.reproduction.findings.equal_cost import compared
from moco.reproduction.statistics import (
    CONFIDENCE,
    brown_forsythe,
    by_interval,
    judgement,
    mean_interval,
    paired_t,
)

ALIKE = 0.1
"""Latencies relative to the reference's that differ by less are equally low (Q16)."""
SMALL_COST = 0.3
"""Costs, over the uncompressed network's, up to which they are small (Q12)."""
SEEDS_OF_AN_ABLATION = 5
"""Seeds below which nothing is concluded of the sensitivities (Q11)."""
SIGNS = 6
"""Pairs below which a sign test cannot reach 5 %."""


def joint_over_sequential(evidence: Evidence) -> Judgement:
    """Q10: paired t test over seeds of the better of two joint searches less the better order of two agents.

    Either side has two tries of as many episodes, chosen by the search split (`equal_cost`).
    """
    return compared(evidence, "joint", "sequential").judged("At equal cost and episodes the joint agent's network is")


def sensitivity_helps(evidence: Evidence) -> Judgement:
    """Q11: paired t test over at least five seeds; how much actions vary over the layers is told beside it."""
    varied = [one["action_sd"] for one in evidence if "action_sd" in one]
    more = ""
    if varied:
        told = [f"{float(np.mean([one[side] for one in varied])):.2f}" for side in ("with", "without")]
        more = f" Its actions deviate by {told[0]} over the layers, without the features by {told[1]}."
    found = compared(evidence, "with", "without")
    return found.judged("At equal cost the network of the agent with the features is", more, SEEDS_OF_AN_ABLATION)


def joint_over_single(evidence: Evidence) -> Judgement:
    """Q12: paired t test over seeds of the better of two joint searches less the better single agent, at small costs.

    Either side has two tries of as many episodes, chosen by the search split (`equal_cost`).
    """
    small = [one for one in evidence if one["c"] <= SMALL_COST]
    return compared(small, "joint", "single").judged("At equal small costs the joint agent's network is")


def smoother_rewards(evidence: Evidence) -> Judgement:
    """Q13: Brown and Forsythe's test on the rewards of the last fifth, each less its run's median.

    PPO with Q-values, as published, is told beside it and judged by nothing.
    """
    names = [name for name in ("ddpg", "ppo", "ppo_q") if all(name in one for one in evidence)]
    spread: dict[str, list[float]] = {name: [] for name in names}
    for one in evidence:
        for name in names:
            rewards = np.asarray(one[name], dtype=float)
            spread[name] += (rewards - np.median(rewards)).tolist()
    told = {name: f"{name} {_between(evidence, name)}" for name in names}
    episodes = sorted({len(curve) for one in evidence for curve in one.get("curves", {}).values()})
    when = f" in the last fifth of {episodes[-1]} episodes" if episodes else ""

    def sentence(ratio: float, low: float, high: float) -> str:
        text = f"DDPG's rewards spread {ratio:.2f} times as much as PPO's within a run{when} ({low:.2f} to {high:.2f})"
        if "ppo_q" in spread:
            text += f", {_ratio(spread['ddpg'], spread['ppo_q']):.2f} times as much as those of PPO with Q-values"
        return f"{text}; mean rewards and their spread between runs: {', '.join(told.values())}."

    return brown_forsythe(spread["ddpg"], spread["ppo"], sentence)


def _between(evidence: Evidence, name: str) -> str:
    means = [float(np.mean(one[name])) for one in evidence]
    spread = "" if len(means) < 2 else f" ± {float(np.std(means, ddof=1)):.2g}"
    return f"{float(np.mean(means)):.3f}{spread}"


def _ratio(one: list[float], other: list[float]) -> float:
    return float(np.std(one, ddof=1) / max(float(np.std(other, ddof=1)), 1e-12))


def targets_alike(evidence: Evidence) -> Judgement:
    """Q16: two one-sided t tests that both sweeps' lowest latencies at a tolerable loss differ by less than a tenth."""
    gaps = differences_of(evidence, "accuracy_sweep", "latency_sweep")
    if not gaps:
        none = "No sweep found a network of tolerable loss under both targets."
        return Judgement(outcome=Outcome.INCONCLUSIVE, sentence=none)
    mean, low, high = mean_interval(gaps)
    inside, outside = low > -ALIKE and high < ALIKE, low > ALIKE or high < -ALIKE
    outcome = Outcome.HOLDS if inside else Outcome.FAILS if outside else Outcome.INCONCLUSIVE

    def sentence(mean: float, low: float, high: float) -> str:
        side = "below" if mean < 0 else "above"
        return (
            f"The accuracy sweep's lowest latency at a tolerable loss is {abs(mean):.3f} of the reference's {side} the "
            f"latency sweep's (difference {low:+.3f} to {high:+.3f})."
        )

    return judgement(outcome, (mean, low, high), len(gaps), sentence)


def direct_metrics_slow(evidence: Evidence) -> Judgement:
    """Q19: paired t test of the score without direct metrics in the state less that with them."""
    gained = differences_of(evidence, "without", "with")

    def sentence(mean: float, low: float, high: float) -> str:
        return f"Without direct metrics in its state the agent scores {mean:+.3f} more ({low:+.3f} to {high:+.3f})."

    return paired_t(gained, sentence)


def agent_over_uniform(evidence: Evidence) -> Judgement:
    """Q21: sign test over networks, actions, protocols and seeds, feasible networks before others."""
    wins = [_compared(one, "uniform") for one in evidence]
    decided = [win for win in wins if win != 0]
    better = sum(win > 0 for win in decided)
    chance = [_compared(one, "random") for one in evidence]
    test = binomtest(better, len(decided)) if decided else None
    share = better / len(decided) if decided else 0.5
    ends = test.proportion_ci(CONFIDENCE, method="exact") if test is not None else None
    low, high = (0.0, 1.0) if ends is None else (float(ends.low), float(ends.high))
    told = f"against random search it wins {sum(one > 0 for one in chance)} and loses {sum(one < 0 for one in chance)}"

    def sentence(share: float, low: float, high: float) -> str:
        return (
            f"The agent beats uniform ratios in {better} of {len(decided)} comparisons that differ "
            f"({100 * share:.0f} %, {100 * low:.0f} to {100 * high:.0f}); {told}."
        )

    p = None if test is None else float(test.pvalue)
    return judgement(by_interval(low, high, 0.5), (share, low, high), len(decided), sentence, p, fewest=SIGNS)


def _compared(one: object, rival: str) -> int:
    """1 where the agent's network is better, -1 where the rival's is, 0 where they are alike."""
    assert isinstance(one, dict)
    keys = {
        name: (one["feasible"][name], -np.inf if one["score"][name] is None else one["score"][name])
        for name in ("agent", rival)
    }
    return int(keys["agent"] > keys[rival]) - int(keys["agent"] < keys[rival])
