"""The findings' tests on synthetic evidence: each outcome that they can give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from moco.reproduction.cards.registry import CARDS, ORDER
from moco.reproduction.finding import Outcome
from moco.reproduction.findings.registry import FINDINGS

UP, DOWN, NONE = [2.0, 2.5, 3.0, 2.2], [-2.0, -2.5, -3.0, -2.2], [2.0, -2.5, 3.0, -2.2]
SHAPES: dict[str, Any] = {
    "Q09": lambda d: {"fitnets": 70 + d, "kd": 70},
    "Q19": lambda d: {"with": 70, "without": 70 + d},
    "Q20": lambda d: {"magnitude": 30 + d, "lasso": 30, "variational": 30 - d},
    "Q08": lambda d: {"best": {"L1": {"ratio": 1}, "SVD": {"ratio": 1 + d}}},
    "Q02": lambda d: {"FP": d, "CP": 0},
    "Q01": lambda d: {"accuracy": {"FP": [50], "CP": [50 + d], "FP, refit": [50], "CP without refit": [50]}},
}


@pytest.mark.parametrize("name", sorted(SHAPES))
@pytest.mark.parametrize(
    ("differences", "outcome"), [(UP, Outcome.HOLDS), (DOWN, Outcome.FAILS), (NONE, Outcome.INCONCLUSIVE)]
)
def test_a_difference_is_judged_by_its_interval(name: str, differences: list[float], outcome: Outcome) -> None:
    evidence = [SHAPES[name](d) for d in differences]
    assert FINDINGS[name].judged(evidence).outcome == outcome


@pytest.mark.parametrize(
    ("gaps", "outcome"),
    [
        ([0.4, -0.3, 0.5, -0.2, 0.1], Outcome.FAILS),  # whatever it is, it is less than chance moves an accuracy by
        ([4.0, -1.0, 5.0, -2.0], Outcome.INCONCLUSIVE),
        ([0.4, -0.3], Outcome.INCONCLUSIVE),  # too few
        ([0.4, 0.5, 0.6, 0.5], Outcome.HOLDS),
    ],
)
def test_a_gap_too_small_to_matter_refutes_the_claim(gaps: list[float], outcome: Outcome) -> None:
    evidence = [{"FP": 1 + gap, "CP": 1, "by_class": {"FP": 3.0, "CP": 2.0}} for gap in gaps]
    found = FINDINGS["Q02"].judged(evidence)
    assert found.outcome == outcome
    assert "of the first classes alone, by +3.0 and +2.0" in found.sentence


def test_an_order_is_no_worse_than_its_worse_step() -> None:
    rng = np.random.default_rng(0)
    noise = [{"magnitude": m, "lasso": x, "variational": v} for m, x, v in rng.normal(30, 5, (60, 3))]
    assert FINDINGS["Q20"].judged(noise).outcome == Outcome.INCONCLUSIVE
    half = [{"magnitude": 40 + d, "lasso": 30, "variational": 30 + d} for d in UP]
    judged = FINDINGS["Q20"].judged(half)
    assert judged.outcome == Outcome.FAILS
    assert judged.effect == pytest.approx(-np.mean(UP))


@pytest.mark.parametrize(
    ("ratio", "outcome"), [(0.8, Outcome.FAILS), (1.0, Outcome.INCONCLUSIVE), (1.2, Outcome.HOLDS)]
)
def test_a_longer_start_is_judged_by_the_pooled_ratio(ratio: float, outcome: Outcome) -> None:
    evidence = [{"ratio": ratio, "low": ratio - 0.02, "high": ratio + 0.02}] * 4
    assert FINDINGS["Q18"].judged(evidence).outcome == outcome


@pytest.mark.parametrize(
    ("spread", "outcome"), [(5.0, Outcome.HOLDS), (0.2, Outcome.FAILS), (1.0, Outcome.INCONCLUSIVE)]
)
def test_rewards_are_judged_by_their_spread(spread: float, outcome: Outcome) -> None:
    base = np.linspace(-1, 1, 20)
    evidence = [{"ddpg": (spread * base).tolist(), "ppo": base.tolist()}] * 5
    assert FINDINGS["Q13"].judged(evidence).outcome == outcome


@pytest.mark.parametrize(
    ("agent", "outcome"), [([1] * 8, Outcome.HOLDS), ([0] * 8, Outcome.FAILS), ([0, 1] * 4, Outcome.INCONCLUSIVE)]
)
def test_the_agent_is_judged_by_its_wins(agent: list[int], outcome: Outcome) -> None:
    feasible = dict.fromkeys(("agent", "uniform", "random"), True)
    evidence = [{"score": {"agent": a, "uniform": 0.5, "random": 0.5}, "feasible": feasible} for a in agent]
    assert FINDINGS["Q21"].judged(evidence).outcome == outcome


@pytest.mark.parametrize("name", sorted(FINDINGS))
def test_without_evidence_a_finding_is_not_run(name: str) -> None:
    assert FINDINGS[name].judged([]).outcome == Outcome.NOT_RUN


def test_there_are_twenty_one_cards_and_findings() -> None:
    assert (tuple(CARDS), len(CARDS), len(FINDINGS)) == (ORDER, 21, 21)
    assert {name for card in CARDS.values() for name in card.findings} == set(FINDINGS)


def cell(value: float, half: float = 0.02) -> dict[str, float]:
    """A value with an interval of this half width."""
    return {"value": value, "low": value - half, "high": value + half}


def ratio(value: float, half: float = 0.02) -> dict[str, float]:
    """A ratio with an interval of this half width."""
    return {"ratio": value, "low": value - half, "high": value + half}


def counts(half: float, latency: float) -> dict[str, Any]:
    """Tucker's counts of a network of 3.5 M parameters, and the latency at half of the ranks."""
    return {"reference": 3.5e6, "parameters": {"0.1": 2e6, "0.3": 5e6, "0.5": half}, "latency": ratio(latency)}


@pytest.mark.parametrize(
    ("evidence", "outcome"),
    [
        (counts(7.47e6, 2.0), Outcome.HOLDS),
        (counts(7.47e6, 0.8), Outcome.FAILS),
        (counts(3.0e6, 2.0), Outcome.FAILS),
        (counts(7.47e6, 1.0), Outcome.INCONCLUSIVE),
        (counts(9.0e6, 2.0), Outcome.INCONCLUSIVE),  # larger, yet not by what was printed
    ],
)
def test_tucker_is_judged_by_counts_and_time(evidence: dict[str, Any], outcome: Outcome) -> None:
    assert FINDINGS["Q03"].judged([evidence]).outcome == outcome


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        ([0.0, 0.01, 0.02], 0.9, Outcome.HOLDS),
        ([0.4, 0.41, 0.42], 0.9, Outcome.FAILS),
        ([0.0, 0.01, 0.02], 0.2, Outcome.FAILS),  # a training does not bring it back
        ([0.0, 0.3, 0.05], 0.9, Outcome.INCONCLUSIVE),
        ([0.0, 0.01], 0.9, Outcome.INCONCLUSIVE),  # too few
    ],
)
def test_a_budget_is_judged_by_what_is_left(before: list[float], after: float, outcome: Outcome) -> None:
    assert FINDINGS["Q04"].judged([{"before": one, "after": after} for one in before]).outcome == outcome


@pytest.mark.parametrize(("smallest", "outcome"), [(0.87, Outcome.HOLDS), (0.11, Outcome.FAILS)])
def test_pairs_are_judged_by_an_exact_count(smallest: float, outcome: Outcome) -> None:
    sizes = {"resnet18": smallest, "resnet50": 0.3, "mobilenet_v2": 0.4}
    evidence = [{"network": name, "parameters_ratio": {"0.02": size}} for name, size in sizes.items()]
    assert FINDINGS["Q05"].judged(evidence).outcome == outcome


@pytest.mark.parametrize(
    ("r", "half", "outcome"),
    [(0.5, 0.1, Outcome.HOLDS), (0.99, 0.005, Outcome.FAILS), (0.94, 0.03, Outcome.INCONCLUSIVE)],
)
def test_a_proxy_is_judged_by_its_correlation(r: float, half: float, outcome: Outcome) -> None:
    one = {"trials": 20, "reversals": {"pairs": 10, "count": 2}}
    evidence = [{**one, "macs_latency": cell(r, half), "parameters_latency": cell(r, half)}] * 2
    assert FINDINGS["Q06"].judged(evidence).outcome == outcome


@pytest.mark.parametrize(
    ("value", "half", "outcome"),
    [(1.0, 0.01, Outcome.HOLDS), (0.7, 0.01, Outcome.FAILS), (1.0, 0.3, Outcome.INCONCLUSIVE)],
)
def test_zeros_are_judged_by_equivalence(value: float, half: float, outcome: Outcome) -> None:
    assert FINDINGS["Q07"].judged([ratio(value, half)] * 4).outcome == outcome


@pytest.mark.parametrize(
    ("dead", "alive", "outcome"),
    [
        ([0.8, 0.85, 0.9, 0.95, 0.99], [0.2, 0.3, 0.4, 0.5, 0.6], Outcome.HOLDS),
        ([0.2, 0.3, 0.4, 0.5, 0.6], [0.8, 0.85, 0.9, 0.95, 0.99], Outcome.FAILS),
        ([0.2, 0.4, 0.6, 0.8, 0.99], [0.25, 0.45, 0.65, 0.7, 0.95], Outcome.INCONCLUSIVE),
        ([0.2], [0.8, 0.9], Outcome.INCONCLUSIVE),
    ],
)
def test_the_dead_are_judged_by_their_latencies(dead: list[float], alive: list[float], outcome: Outcome) -> None:
    assert FINDINGS["Q14"].judged([{"dead": dead, "alive": alive}]).outcome == outcome


@pytest.mark.parametrize(
    ("steps", "outcome"),
    [
        ([1.0, 0.8] * 8, Outcome.HOLDS),  # every other step to a narrower layer is slower
        ([1.0 - 0.05 * n for n in range(16)][::-1], Outcome.FAILS),
        ([0.5, 0.6, 0.7], Outcome.INCONCLUSIVE),  # too few steps to say that none turns back
    ],
)
def test_widths_are_judged_by_steps_the_wrong_way(steps: list[float], outcome: Outcome) -> None:
    low, high = [step - 0.01 for step in steps], [step + 0.01 for step in steps]
    evidence = [{"widths": list(range(1, len(steps) + 1)), "low": low, "high": high}]
    assert FINDINGS["Q15"].judged(evidence).outcome == outcome


@pytest.mark.parametrize(
    ("gaps", "outcome"),
    [
        ([0.01, -0.01, 0.0, 0.02], Outcome.HOLDS),
        ([0.5, 0.52, 0.48, 0.51], Outcome.FAILS),
        ([-0.5, 0.5, 0.1, 0.0], Outcome.INCONCLUSIVE),
    ],
)
def test_targets_are_judged_by_two_one_sided_tests(gaps: list[float], outcome: Outcome) -> None:
    evidence = [{"accuracy_sweep": 0.5 + gap, "latency_sweep": 0.5} for gap in gaps]
    assert FINDINGS["Q16"].judged(evidence).outcome == outcome


def test_targets_without_a_tolerable_network_are_inconclusive() -> None:
    evidence = [{"accuracy_sweep": None, "latency_sweep": 0.5}] * 4
    assert FINDINGS["Q16"].judged(evidence).outcome == Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("value", "outcome"), [(0.6, Outcome.HOLDS), (1.4, Outcome.FAILS), (1.0, Outcome.INCONCLUSIVE)]
)
def test_compounding_is_judged_by_the_pooled_ratio(value: float, outcome: Outcome) -> None:
    evidence = [{**ratio(value), "interaction": cell(0.9)}] * 4
    assert FINDINGS["Q17"].judged(evidence).outcome == outcome


def test_a_sentence_names_the_networks_and_seeds_that_it_rests_on() -> None:
    evidence = [{**ratio(1.0), "network": name, "seed": seed} for name in ("digits_resnet", "own") for seed in (0, 1)]

    sentence = FINDINGS["Q07"].judged(evidence).sentence

    assert sentence.endswith(" Measured on a small ResNet on digits, own; 2 seeds.")


def test_the_published_ppo_is_told_beside_the_one_that_is_judged() -> None:
    base = np.linspace(-1, 1, 20)
    evidence = [{"ddpg": (5 * base).tolist(), "ppo": base.tolist(), "ppo_q": (50 * base).tolist()}] * 5

    found = FINDINGS["Q13"].judged(evidence)

    assert found.outcome == Outcome.HOLDS
    assert "0.10 times as much as those of PPO with Q-values" in found.sentence
