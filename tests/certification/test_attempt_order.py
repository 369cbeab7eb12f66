"""Which candidates are tried, in which order: against enumeration, and the order by score on simulated searches."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import combinations

import numpy as np
import pytest

from moco.certification.attempt_order import (
    FloorTest,
    Hopes,
    PlannedAttempt,
    Scored,
    attempts_planned,
    best_order,
    best_sequence,
    sequence_worth,
)
from moco.certification.certificate import Floor
from moco.certification.confidence_bounds import bound_of_counts, paired_sem
from moco.certification.shrinkage import shrunk


def worth_of(order: tuple[int, ...], values: np.ndarray, chances: np.ndarray, weights: np.ndarray) -> float:
    """What is to be expected of an order, in each case by itself: everything that has failed is remembered."""
    expected = np.zeros(len(weights))
    for place in reversed(order):
        expected = chances[place] * values[place] + (1 - chances[place]) * expected
    return float(expected @ weights)


def enumerated(values: np.ndarray, chances: np.ndarray, weights: np.ndarray, most: int) -> float:
    """The most that any set promises, its candidates by falling value."""
    falling = sorted(range(len(values)), key=lambda place: -values[place])
    sets = [chosen for size in range(1, most + 1) for chosen in combinations(falling, size)]
    return max(worth_of(chosen, values, chances, weights) for chosen in sets)


@pytest.mark.parametrize("most", [1, 2, 3, 7])
def test_no_set_of_independent_candidates_promises_more(most: int) -> None:
    rng = np.random.default_rng(most)
    for _ in range(20):
        values, chances, weights = rng.uniform(0.1, 1, 7), rng.uniform(0, 1, (7, 1)), np.ones(1)
        order, expected = best_order(values, chances, weights, most)
        assert expected == pytest.approx(enumerated(values, chances, weights, most))
        assert worth_of(tuple(order), values, chances, weights) == pytest.approx(expected)
        assert len(order) <= most
        assert (np.diff(values[order]) < 0).all()


@pytest.mark.parametrize("most", [2, 3])
def test_where_luck_is_shared_hardly_any_set_promises_more(most: int) -> None:
    """Only the last failure is remembered; of two attempts that is all there is."""
    rng = np.random.default_rng(most)
    for _ in range(20):
        values, weights = rng.uniform(0.1, 1, 7), rng.dirichlet(np.ones(4))
        chances = np.sort(rng.uniform(0, 1, (7, 4)), axis=1)
        order, _ = best_order(values, chances, weights, most)
        found = worth_of(tuple(order), values, chances, weights)
        assert found >= (1 if most == 2 else 0.98) * enumerated(values, chances, weights, most) - 1e-12


def test_a_likeness_of_what_failed_is_no_way_back() -> None:
    values, weights = np.array([1.0, 0.99, 0.7]), np.array([0.5, 0.5])
    alike = np.array([[0.0, 1.0], [0.0, 1.0], [0.6, 0.6]])
    assert best_order(values, alike, weights, 2)[0] == [0, 2]
    assert best_order(values, alike.mean(axis=1, keepdims=True), np.ones(1), 2)[0] == [0, 1]


def test_one_attempt_goes_to_the_safe_network_where_the_bold_one_is_not_worth_its_risk() -> None:
    chances = np.array([[0.6], [1.0]])
    assert best_order(np.array([1.0, 0.7]), chances, np.ones(1), 1)[0] == [1]
    assert best_order(np.array([1.0, 0.5]), chances, np.ones(1), 1)[0] == [0]


def test_what_is_to_be_kept_is_in_the_order() -> None:
    values, chances = np.array([1.0, 0.9, 0.8, 0.7]), np.array([[0.5], [0.9], [0.9], [0.8]])
    for kept in range(4):
        assert kept in best_order(values, chances, np.ones(1), 2, kept=kept)[0]
    assert best_order(values, chances, np.ones(1), 2)[0] == [0, 1]


def test_candidates_that_fail_next_to_never_promise_what_they_are_worth() -> None:
    """The chance of their failure is what rounding leaves of 1, and so is that of another one after it."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        values, weights = rng.uniform(0.1, 1, 7), rng.dirichlet(np.ones(5))
        chances = 1 - rng.uniform(0, 3e-16, (7, 5)) * (rng.uniform(size=(7, 5)) < 0.5)
        order, expected = best_order(values, chances, weights, 4)
        assert order[0] == np.argmax(values)
        assert expected == pytest.approx(values.max())


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


def test_files_of_the_same_weights_hold_or_fail_together() -> None:
    """Two files of 0.5 each promise 0.75 where they are apart; where they are one training's, no more than one does."""
    values, chances = np.array([1.0, 0.99, 0.4]), np.array([[0.5], [0.5], [0.8]])
    apart, expected = best_order(values, chances, np.ones(1), 2)
    assert (apart, expected) == ([0, 1], pytest.approx(0.5 + 0.5 * 0.5 * 0.99))
    kin, expected = best_order(values, chances, np.ones(1), 2, kin=np.array([7, 7, 3]))
    assert (kin, expected) == ([0, 2], pytest.approx(0.5 + 0.5 * 0.8 * 0.4))
    values = np.array([1.0, 0.99, 0.01])
    likelier = best_order(values, np.array([[0.5], [0.9], [0.8]]), np.ones(1), 2, kin=np.array([7, 7, 3]))
    assert likelier == ([0, 1], pytest.approx(0.5 + 0.4 * 0.99)), "the second holds wherever the first does"


def test_after_a_way_back_that_is_sure_a_bold_network_is_tested_as_if_it_were_alone() -> None:
    searched = scored([-0.009, 0.0, -0.015], [0.006, 0.002, 0.006], safe=np.array([False, True, False]))
    assert attempts_planned(searched, FLOOR, 2) == [PlannedAttempt(1, None), PlannedAttempt(0, None)]
    three = attempts_planned(replace(searched, values=np.array([1.0, 0.4, 0.5])), FLOOR, 3)
    assert three[0] == PlannedAttempt(1, None)
    assert three[-1] == PlannedAttempt(0, None), "the boldest is last"


def test_without_a_safe_network_several_of_even_chances_share_the_error_probability() -> None:
    """In a sequence the bolder of two would be reached only where the milder holds."""
    found = scored([-0.0135, -0.0135, -0.0135], [0.004, 0.004, 0.004], values=np.array([1.0, 0.95, 0.9]))
    order = attempts_planned(found, FLOOR, 3)
    assert len(order) > 1
    assert [one.share for one in order] == [1 / len(order)] * len(order)
    assert np.argsort([-found.values[one.place] for one in order]).tolist() == list(range(len(order)))


def test_a_sequence_promises_what_enumeration_says() -> None:
    """Each outcome of three independent candidates, by hand: what is delivered is the last before the first failure."""
    values, chances = np.array([0.3, 0.7, 1.0]), np.array([0.9, 0.8, 0.4])
    expected = 0.0
    for outcome in range(8):
        holds = [bool(outcome >> place & 1) for place in range(3)]
        probability = np.prod([p if held else 1 - p for p, held in zip(chances, holds, strict=True)])
        reached = holds.index(False) if False in holds else 3
        expected += probability * (values[reached - 1] if reached else 0.0)
    found = sequence_worth([0, 1, 2], values, chances[:, None], np.ones(1), np.arange(3))
    assert found == pytest.approx(expected)


def test_a_sequence_rises_in_value_from_its_beginning_and_is_nearly_as_good_as_any() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        values, weights = rng.uniform(0.1, 1, 6), rng.dirichlet(np.ones(4))
        chances, kin, begin = np.sort(rng.uniform(0, 1, (6, 4)), axis=1), np.arange(6), int(values.argmin())
        order, expected = best_sequence(values, chances, weights, 3, begin=begin, kin=kin)
        assert order[0] == begin
        assert (np.diff(values[order]) > 0).all()
        assert expected == pytest.approx(sequence_worth(order, values, chances, weights, kin))
        rising = sorted(set(range(6)) - {begin}, key=lambda place: values[place])
        sets = [[begin, *chosen] for size in (0, 1, 2) for chosen in combinations(rising, size)]
        assert expected >= 0.95 * max(sequence_worth(one, values, chances, weights, kin) for one in sets)


def test_files_of_the_same_weights_hold_together_in_a_sequence() -> None:
    values, chances = np.array([0.5, 1.0]), np.array([[0.8], [0.4]])
    apart = sequence_worth([0, 1], values, chances, np.ones(1), np.arange(2))
    assert apart == pytest.approx(0.8 * 0.5 + 0.8 * 0.4 * 0.5)
    kin = sequence_worth([0, 1], values, chances, np.ones(1), np.array([3, 3]))
    assert kin == pytest.approx(0.8 * 0.5 + 0.4 * 0.5), "where the less likely holds, so does the other"


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
        """The order before: what looks feasible and is not dominated, the cheapest first."""
        errors = (self.seen[:, 0] - self.seen[:, 1]) / 297
        sems = np.array([paired_sem(int(lost), int(gained), 297) for lost, gained in self.seen])
        feasible = [place for place in np.argsort(self.cost) if errors[place] + 1.2816 * sems[place] <= 0.02]
        front = [place for n, place in enumerate(feasible) if all(errors[place] < errors[one] for one in feasible[:n])]
        tried = front[:attempts] or [int(errors.argmin())]
        return [PlannedAttempt(place, 1 / len(tried)) for place in tried]

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
        confidences = [0.95 if one.share is None else 1 - 0.05 * one.share for one in order]
        holds = [
            lower(*map(int, self.unseen[one.place]), 500, sure) >= -0.02
            for one, sure in zip(order, confidences, strict=True)
        ]
        if order[0].share is None:
            reached = (*holds, False).index(False)
            return float(self.cost[order[reached - 1].place if reached else 39])
        return float(self.cost[next((one.place for one, held in zip(order, holds, strict=True) if held), 39)])


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
