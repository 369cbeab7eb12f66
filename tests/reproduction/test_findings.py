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
    "Q10": lambda d: {"joint": 70 + d, "sequential": {"PQ": 70, "QP": 60}},
    "Q11": lambda d: {"with": 70 + d, "without": 70},
    "Q12": lambda d: {"joint": 70 + d, "single": {"P": 70, "Q": 60}},
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
    if name == "Q20" and differences is NONE:
        differences = [0.1, -0.1, 0.1, -0.1, 4.0, -0.5]
        evidence = [{"magnitude": 30 + d, "lasso": 30, "variational": 30 - d} for d in differences]
    else:
        evidence = [SHAPES[name](d) for d in differences]
    assert FINDINGS[name].judged(evidence).outcome == outcome


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


def test_there_are_nineteen_cards_and_twenty_one_findings() -> None:
    assert (tuple(CARDS), len(CARDS), len(FINDINGS)) == (ORDER, 19, 21)
    assert {name for card in CARDS.values() for name in card.findings} | {"Q19"} == set(FINDINGS)
