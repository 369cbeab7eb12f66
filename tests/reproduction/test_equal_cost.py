"""Q10 to Q12: what counts at equal cost, who is chosen, and each outcome on small evidence worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from moco.reproduction.finding import Outcome
from moco.reproduction.findings.equal_cost import compared, meets, unseen_of_best
from moco.reproduction.findings.registry import FINDINGS

UP, DOWN, NONE = [2.0, 2.5, 3.0, 2.2, 2.8], [-2.0, -2.5, -3.0, -2.2, -2.8], [2.0, -2.5, 3.0, -2.2, 0.1]
RIVALS = {"Q10": ("joint", "sequential"), "Q11": ("with", "without"), "Q12": ("joint", "single")}


def found(unseen: float, search: float = 90.0, cost: float = 0.2) -> dict[str, float]:
    """A network as a search gives it."""
    return {"cost": cost, "search": search, "unseen": unseen}


def entry(name: str, difference: float, seed: int, c: float = 0.2) -> dict[str, Any]:
    """Evidence of one seed: the first side is more accurate by the difference."""
    one, other = RIVALS[name]
    return {"seed": seed, "c": c, one: {"a": found(80 + difference, cost=c)}, other: {"a": found(80, cost=c)}}


@pytest.mark.parametrize("name", sorted(RIVALS))
@pytest.mark.parametrize(
    ("differences", "outcome"), [(UP, Outcome.HOLDS), (DOWN, Outcome.FAILS), (NONE, Outcome.INCONCLUSIVE)]
)
def test_a_difference_at_equal_cost_is_judged_by_its_interval(
    name: str, differences: list[float], outcome: Outcome
) -> None:
    judged = FINDINGS[name].judged([entry(name, d, seed) for seed, d in enumerate(differences)])
    assert (judged.outcome, judged.observations) == (outcome, 5)
    assert judged.effect == pytest.approx(sum(differences) / 5)


@pytest.mark.parametrize(("name", "fewest"), [("Q10", 3), ("Q11", 5), ("Q12", 3)])
def test_nothing_is_concluded_of_fewer_seeds(name: str, fewest: int) -> None:
    evidence = [entry(name, d, seed) for seed, d in enumerate(UP)]
    assert FINDINGS[name].judged(evidence[:fewest]).outcome == Outcome.HOLDS
    assert FINDINGS[name].judged(evidence[: fewest - 1]).outcome == Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("cost", "counts"), [(0.2, True), (0.21, True), (0.19, True), (0.2101, False), (0.1899, False), (0.1, False)]
)
def test_a_network_counts_within_five_percent_of_its_cost(cost: float, counts: bool) -> None:
    assert meets(found(90, cost=cost), 0.2) is counts


def test_the_better_one_is_chosen_on_the_search_split_and_seen_on_other_images() -> None:
    flattered = {"a": found(70, search=95), "b": found(99, search=94)}
    assert unseen_of_best(flattered, 0.2) == 70


def test_a_network_that_misses_its_cost_is_not_chosen_however_accurate() -> None:
    assert unseen_of_best({"a": found(99, search=99, cost=0.3), "b": found(70)}, 0.2) == 70
    assert unseen_of_best({"a": found(99, search=99, cost=0.3)}, 0.2) is None


def test_networks_that_the_search_split_cannot_tell_apart_count_by_their_mean() -> None:
    assert unseen_of_best({"a": found(70), "b": found(80), "c": found(99, search=89)}, 0.2) == 75


def test_values_of_one_seed_are_one_observation() -> None:
    evidence = [entry("Q12", d, seed, c) for seed in (0, 1, 2) for c, d in ((0.1, 4.0 + seed), (0.2, 2.0), (0.3, 0.0))]
    assert compared(evidence, "joint", "single").differences == pytest.approx((2.0, 7 / 3, 8 / 3))
    assert FINDINGS["Q12"].judged(evidence).observations == 3


def test_large_costs_say_nothing_of_small_ones() -> None:
    evidence = [entry("Q12", d, seed) for seed, d in enumerate(UP)]
    large = [entry("Q12", -50.0, seed, 0.4) for seed in range(5)]
    assert FINDINGS["Q12"].judged(evidence + large) == FINDINGS["Q12"].judged(evidence)


def test_what_cannot_be_compared_is_counted_and_told() -> None:
    evidence = [entry("Q10", d, seed) for seed, d in enumerate(UP)]
    evidence[0]["joint"]["a"]["cost"] = 0.25
    judged = FINDINGS["Q10"].judged(evidence)
    assert judged.observations == 4
    assert "1 of 5 comparisons are left out, as a side missed the cost by over 5 %" in judged.sentence


def test_where_nothing_costs_the_same_nothing_is_concluded() -> None:
    evidence = [{**entry("Q11", 5.0, seed), "c": 0.5} for seed in range(5)]
    judged = FINDINGS["Q11"].judged(evidence)
    assert (judged.outcome, judged.observations, judged.effect) == (Outcome.INCONCLUSIVE, 0, None)
    assert "No two networks cost the same (5 of 5" in judged.sentence


def test_the_spread_of_actions_is_told_beside_the_sensitivities() -> None:
    evidence = [{**entry("Q11", d, seed), "action_sd": {"with": 0.3, "without": 0.1}} for seed, d in enumerate(UP)]
    assert "deviate by 0.30 over the layers, without the features by 0.10" in FINDINGS["Q11"].judged(evidence).sentence
