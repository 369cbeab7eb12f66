"""Which candidates are tried, in which order: against enumeration, and the order by score on simulated searches."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import combinations

import numpy as np
import pytest

from moco.certification.attempt_order import (
    DRAWS,
    PARTS,
    FloorTest,
    Hopes,
    Outcomes,
    Plan,
    PlannedAttempt,
    Scored,
    attempts_planned,
    best_plan,
)
from moco.certification.certificate import Floor
from moco.certification.confidence_bounds import bound_of_counts, paired_sem
from moco.certification.shrinkage import believed_safe, shrunk


def scored(differences: list[float], sems: list[float] | None = None, **other: object) -> Scored:
    count = len(differences)
    given = {
        "differences": np.array(differences),
        "sems": np.full(count, 0.005) if sems is None else np.array(sems),
        "values": np.linspace(1, 0.5, count),
        "costs": np.linspace(0.2, 1, count),
        "safe": np.zeros(count, dtype=bool),
        "trained": np.zeros(count, dtype=bool),
        "kin": np.arange(count),
        "images": 1000,
        "reference_accuracy": 0.92,
    }
    return Scored(**{**given, **other})


FLOOR = FloorTest(Floor(-0.02), 4000, 0.95)


def test_what_was_seen_in_more_views_is_surer_but_its_certificate_has_the_same_noise() -> None:
    """One network alone: above what is needed a smaller standard error is of use, below it is not."""
    plain, seen = (
        [Hopes(scored([-lost], [0.006], **views), FLOOR) for lost in (0.005, 0.02)]
        for views in ({}, {"sems_in_views": np.array([0.002])})
    )
    before, after = ([float((hopes.of_share(1.0) @ hopes.weights)[0]) for hopes in each] for each in (plain, seen))
    assert after[0] > before[0] > 0.5 > before[1] > after[1]
    unknown = Hopes(scored([-0.005], [0.006], sems_in_views=np.array([np.nan])), FLOOR)
    assert float((unknown.of_share(1.0) @ unknown.weights)[0]) == before[0]
    assert (seen[0]._own, seen[0]._under_null) == (plain[0]._own, plain[0]._under_null)


def test_a_single_network_is_tried_whatever_it_lost() -> None:
    assert attempts_planned(scored([-0.5]), FLOOR, 5) == [PlannedAttempt(0, 1.0)]
    assert attempts_planned(scored([]), FLOOR, 5) == []


def test_a_safe_network_is_a_way_back_beside_one_that_was_as_lucky() -> None:
    """By their scores alone the second would take its place: it costs less, and seems to lose no more."""
    alike = scored([-0.01, 0.0, 0.0, -0.015, -0.02], [0.006, 0.002, 0.002, 0.006, 0.006])
    tried = [
        [one.place for one in attempts_planned(replace(alike, safe=np.arange(5) == safe), FLOOR, 2)] for safe in (2, 4)
    ]
    assert 2 in tried[0]
    assert 4 not in tried[1], "what is not likely to hold is none"


def outcomes_of(found: Scored) -> Outcomes:
    return Outcomes(found, Hopes(found, FLOOR), np.arange(len(found.values)))


def exactly(found: Scored, plan: Plan) -> float:
    """What a plan promises, by all outcomes of networks that are independent within a piece of the common luck."""
    hopes = Hopes(found, FLOOR)

    def rest(place: int, passed_on: int, worth: float) -> np.ndarray:
        if place == len(plan):
            return np.full(len(hopes.weights), worth)
        network, parts = plan[place]
        if passed_on + parts == 0:
            return rest(place + 1, 0, worth)
        chance = hopes.of_share((passed_on + parts) / PARTS)[network]
        held = rest(place + 1, passed_on + parts, float(found.values[network]))
        return chance * held + (1 - chance) * rest(place + 1, 0, worth)

    return float(rest(0, 0, 0.0) @ hopes.weights)


EVEN = scored([-0.001, -0.010, -0.0135], [0.002, 0.004, 0.004], values=np.array([0.4, 0.7, 1.0]))


@pytest.mark.parametrize(
    "plan", [((0, PARTS), (1, 0), (2, 0)), ((0, 8), (1, 6), (2, 6)), ((1, PARTS),), ((0, 2), (2, PARTS - 2))]
)
def test_a_plan_promises_what_enumeration_says(plan: Plan) -> None:
    assert outcomes_of(EVEN).promised(plan) == pytest.approx(exactly(EVEN, plan), abs=1.5 / DRAWS)


def test_the_plan_rises_in_worth_and_hardly_any_is_better() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        found = scored(
            list(rng.uniform(-0.02, 0, 5)), list(rng.uniform(0.002, 0.006, 5)), values=rng.uniform(0.2, 1, 5)
        )
        outcomes = outcomes_of(found)
        plan = best_plan(outcomes, int(found.values.argmin()), 3)
        assert (np.diff(found.values[[place for place, _ in plan]]) > 0).all()
        assert sum(parts for _, parts in plan) == PARTS
        rising = np.argsort(found.values)
        splits = [(a, b, PARTS - a - b) for a in range(1, PARTS + 1) for b in range(PARTS + 1 - a)]
        others = [
            outcomes.promised(tuple(zip((int(rising[0]), *map(int, two)), split, strict=True)))
            for two in combinations(rising[1:], 2)
            for split in splits
        ]
        assert outcomes.promised(plan) >= 0.98 * max(others)


def test_files_of_the_same_weights_hold_or_fail_together() -> None:
    """Two files of even chances promise more where they are apart; where they are one training's, next to nothing."""
    apart = scored([-0.0125, -0.0125], [0.004, 0.004], values=np.array([0.99, 1.0]), costs=np.ones(2))
    kin, plan = replace(apart, kin=np.array([7, 7])), ((0, PARTS // 2), (1, PARTS // 2))
    one_alone = outcomes_of(apart).promised(((1, PARTS),))
    assert outcomes_of(apart).promised(plan) > outcomes_of(kin).promised(plan) + 0.05
    assert outcomes_of(kin).promised(plan) <= one_alone + 1e-9
    assert len(attempts_planned(kin, FLOOR, 2)) == 1


def test_after_a_way_back_that_is_sure_a_bold_network_is_tested_as_if_it_were_alone() -> None:
    searched = scored(
        [-0.009, 0.0, -0.015],
        [0.006, 0.002, 0.006],
        safe=np.array([False, True, False]),
        values=np.array([1.0, 0.4, 0.5]),
    )
    first, *others = attempts_planned(searched, FLOOR, 2)
    assert first == PlannedAttempt(1, 1.0)
    assert [one.place for one in others] == [0]


def test_without_a_safe_network_several_of_even_chances_share_the_error_probability() -> None:
    """In a sequence the bolder of two would be reached only where the milder holds."""
    found = scored([-0.0135, -0.0135, -0.0135], [0.004, 0.004, 0.004], values=np.array([1.0, 0.95, 0.9]))
    order = attempts_planned(found, FLOOR, 3)
    assert len([one for one in order if one.share]) > 1
    assert sum(one.share for one in order) == pytest.approx(1)


def test_a_safe_network_is_believed_to_be_near_the_reference_unless_it_is_far_from_it() -> None:
    near, far = believed_safe(np.array([-0.006, -0.06]), np.array([0.004, 0.008])).mean
    assert near == pytest.approx(0, abs=0.003)
    assert far < -0.04
    apart = Hopes(scored([-0.006, -0.2, -0.25], [0.004] * 3, safe=np.array([True, False, False])), FLOOR).belief
    assert apart.mean == pytest.approx([near, -0.2, -0.25], abs=1e-3)
    assert (apart.sd > 0).all()


def test_where_nothing_can_hold_the_most_accurate_is_tried() -> None:
    hopeless = scored([-0.9, -0.8, -0.85], [1e-6] * 3)
    assert attempts_planned(hopeless, FloorTest(Floor(0.05), 4000, 0.95), 2)[-1].place == 1


def test_equal_networks_are_no_trouble_and_fewer_attempts_are_planned_than_allowed() -> None:
    equal = scored([0.0] * 6, values=np.ones(6), costs=np.ones(6))
    assert len(attempts_planned(equal, FLOOR, 10**6)) <= 6


def test_a_standard_error_that_is_unknown_is_taken_from_a_usual_discordance() -> None:
    unknown, known = (Hopes(scored([-0.005], [sem]), FLOOR) for sem in (np.nan, (0.05 / 1002) ** 0.5))
    assert unknown.at(0.99) == pytest.approx(known.at(0.99))


def test_an_absolute_floor_is_judged_from_the_references_accuracy() -> None:
    relative = Hopes(scored([-0.01]), FLOOR)
    absolute = Hopes(scored([-0.01]), FloorTest(Floor(0.9, relative=False), 4000, 0.95))
    high = Hopes(scored([-0.01]), FloorTest(Floor(0.95, relative=False), 4000, 0.95))
    chances = [float((hopes.at(0.99) @ hopes.weights)[0]) for hopes in (relative, absolute, high)]
    assert chances[0] > chances[1] > 0.3, "of an accuracy the images themselves are the greater luck"
    assert chances[2] < 0.01


def test_a_winner_among_equals_is_pulled_back_and_one_far_out_of_the_crowd_is_not() -> None:
    rng = np.random.default_rng(0)
    crowd = rng.normal(-0.04, 0.006, 60)
    winner = int(crowd.argmax())
    costs = rng.uniform(size=61)
    found = shrunk(np.append(crowd, 0.0), np.full(61, 0.006), costs).mean
    assert crowd[winner] > -0.03
    assert found[winner] == pytest.approx(-0.04, abs=0.004)
    assert found[60] > -0.01


def test_what_differs_beyond_chance_is_believed() -> None:
    measured = -(np.linspace(0, 1, 40) ** 2)
    assert shrunk(measured, np.full(40, 0.002), np.linspace(1, 0, 40)).mean == pytest.approx(measured, abs=0.004)


@cache
def lower(lost: int, gained: int, images: int, confidence: float) -> float:
    return bound_of_counts(lost, gained, images, confidence).lower


class SimulatedSearch:
    """Forty networks that lose more the less they cost, with the whole network in int8 and the reference."""

    def __init__(self, rng: np.random.Generator) -> None:
        cost = rng.uniform(0.2, 0.6, 38)
        lost = np.minimum(0.08 * ((0.6 - cost) / 0.4) ** 1.5 * rng.lognormal(0, 0.8, 38), 0.6)
        discordance = np.maximum(0.02 + 1.3 * lost, lost + 0.004)
        self.cost = np.append(cost, [0.4, 1.0])
        p_lost = np.append((discordance + lost) / 2, [0.002, 0.0])
        p_gained = np.append((discordance - lost) / 2, [0.002, 0.0])
        p = np.stack([p_lost, p_gained, 1 - p_lost - p_gained], axis=1)
        self.seen, self.unseen = (rng.multinomial(images, p)[:, :2] for images in (297, 500))

    def by_score(self, attempts: int) -> list[PlannedAttempt]:
        """What looks feasible and is not dominated, the cheapest of these, with equal shares."""
        errors = (self.seen[:, 0] - self.seen[:, 1]) / 297
        sems = np.array([paired_sem(int(lost), int(gained), 297) for lost, gained in self.seen])
        feasible = [place for place in np.argsort(self.cost) if errors[place] + 1.2816 * sems[place] <= 0.02]
        front = [place for n, place in enumerate(feasible) if all(errors[place] < errors[one] for one in feasible[:n])]
        tried = front[:attempts] or [int(errors.argmin())]
        return [PlannedAttempt(place, 1 / len(tried)) for place in sorted(tried, key=lambda place: -self.cost[place])]

    def planned(self, attempts: int) -> list[PlannedAttempt]:
        """The order now."""
        differences = (self.seen[:, 1] - self.seen[:, 0]) / 297
        sems = np.array([paired_sem(int(lost), int(gained), 297) for lost, gained in self.seen])
        safe = np.arange(40) == 38
        values = 1 - self.cost + 0.3 * (1 - self.cost.min())
        found = Scored(
            differences, sems, values, self.cost, safe, np.zeros(len(safe), dtype=bool), np.arange(len(safe)), 297, 0.98
        )
        return attempts_planned(found, FloorTest(Floor(-0.02), 500, 0.95), attempts)

    def delivered(self, order: list[PlannedAttempt]) -> float:
        """The cost of what is certified; 1 where nothing is."""
        passed_on, found = 0.0, 1.0
        for one in order:
            share = passed_on + one.share
            holds = share > 0 and lower(*map(int, self.unseen[one.place]), 500, 1 - 0.05 * min(share, 1)) >= -0.02
            passed_on, found = (share, float(self.cost[one.place])) if holds else (0.0, found)
        return found


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_more_is_delivered_than_by_score_and_without_a_certificate_less_often(attempts: int) -> None:
    searches = [SimulatedSearch(np.random.default_rng(seed)) for seed in range(40)]
    before = np.array([search.delivered(search.by_score(attempts)) for search in searches])
    now = np.array([search.delivered(search.planned(attempts)) for search in searches])
    assert now.mean() < before.mean()
    assert (now == 1).sum() <= (before == 1).sum()
    assert attempts == 1 or not (now == 1).any(), "int8 is a way back"


def test_a_finalist_is_not_pulled_to_networks_that_were_not_trained() -> None:
    # All of like cost lose 30 points, the one that was trained on loses 1.
    differences, costs = [*np.linspace(-0.32, -0.28, 9), -0.01], np.linspace(0.2, 0.25, 10)
    trained = np.array([False] * 9 + [True])
    alone = Hopes(scored(differences, costs=costs, trained=trained), FLOOR).belief
    assert alone.mean[-1] == pytest.approx(-0.01)
    of_the_others = Hopes(scored(differences[:-1], costs=costs[:-1]), FLOOR).belief
    assert alone.mean[:-1] == pytest.approx(of_the_others.mean)


def test_a_finalist_is_pulled_to_what_was_forecast_of_it() -> None:
    """The precisions of both add up; without a forecast the score is taken as it is."""
    seen, forecasts = [0.006, 0.006], (np.array([-0.003, np.nan]), np.array([0.0025, np.nan]))
    trained = np.array([True, True])
    belief = Hopes(scored(seen, [0.0027] * 2, trained=trained, forecasts=forecasts), FLOOR).belief
    own = 0.0027 * 0.7**0.5  # the luck that networks do not share
    weights = np.array([1 / 0.0025**2, 1 / own**2])
    least = 1002 * 0.0027**2  # the discordance that the standard error tells of, which its score does not exceed
    assert least > 0.006
    assert belief.mean == pytest.approx([np.average([-0.003, 0.006], weights=weights), 0.006])
    assert belief.sd == pytest.approx([weights.sum() ** -0.5, own])
