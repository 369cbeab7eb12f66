"""What a network is worth that will have a forecast error."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from optuna.distributions import IntDistribution
from scipy.stats import beta

from moco.certification.attempt_order import FloorTest
from moco.certification.certificate import Floor
from moco.certification.confidence_bounds import paired_lower_bound
from moco.constraints import Bound
from moco.finalists.promise import Forecast
from moco.finalists.worth import Worth, chance, expected, slack
from moco.problem import Problem
from moco.space import SearchSpace
from moco.trial import Evaluation, MetricValue, Suggestion, Trial, TrialState

TEST = FloorTest(Floor(-0.02), 4000, 0.95)
REFERENCE = 0.065


def test_the_chance_is_how_often_such_networks_are_certified() -> None:
    # Two implementations: the normal approximation, and Tango's bound on images drawn for such a network.
    rng = np.random.default_rng(0)
    for lost in (0.008, 0.0125, 0.017):
        held = 0
        for _ in range(300):
            kind = rng.choice(3, 4000, p=[0.025 + lost / 2, 0.025 - lost / 2, 0.95])  # lost, gained, both alike
            bound = paired_lower_bound(kind != 1, kind != 0, TEST.confidence)
            held += bound.lower >= TEST.floor.value
        assert chance(TEST, Forecast(REFERENCE + lost, 1e-6), REFERENCE) == pytest.approx(held / 300, abs=0.08)


def test_the_slack_is_nought_where_a_certificate_is_as_likely_as_not() -> None:
    error = REFERENCE + 0.0125
    spare = slack(TEST, error, REFERENCE)
    assert chance(TEST, Forecast(error + spare, 0.003), REFERENCE) == pytest.approx(0.5, abs=0.01)


def test_the_chance_of_an_absolute_floor_is_that_of_the_accuracy_alone() -> None:
    # Against the exact bound of Clopper and Pearson, on images of which a network gets so many right.
    rng = np.random.default_rng(0)
    for reference, floor, error in ((0.065, 0.915, 0.078), (0.30, 0.68, 0.305), (0.001, 0.995, 0.003)):
        test = FloorTest(Floor(floor, relative=False), 10_000, 0.95)
        lower = [beta.ppf(0.05, k, 10_000 - k + 1) for k in rng.binomial(10_000, 1 - error, 1000)]
        held = np.mean(np.array(lower) >= floor)
        assert chance(test, Forecast(error, 1e-6), reference) == pytest.approx(held, abs=0.05)


def problem(*bounds: Bound) -> Problem:
    space = SearchSpace({"n": IntDistribution(0, 9)})
    return Problem(space, {"cost": "minimize"}, bounds=(Bound("top1_error", "<=", REFERENCE + 0.02), *bounds))


def trial(cost: float) -> Trial:
    evaluation = Evaluation({"top1_error": MetricValue(0.4), "cost": MetricValue(cost)})
    outcome = problem().judge(evaluation)
    return Trial(0, Suggestion(0, {"n": 1}), TrialState.COMPLETE, {"n": 1}, None, evaluation, outcome, -cost)


def measured(one: Trial) -> Evaluation:
    assert one.evaluation is not None
    return one.evaluation


def test_a_network_is_worth_what_it_saves_times_its_chance() -> None:
    worth, sure, unsure = (
        Worth(problem(), REFERENCE, (TEST,), -0.4, measured),
        Forecast(REFERENCE, 0.001),
        Forecast(0.0775, 0.003),
    )
    assert worth(trial(0.3), sure) == pytest.approx(0.1, rel=1e-3)
    assert worth(trial(0.3), unsure) == pytest.approx(0.1 * chance(TEST, unsure, REFERENCE))
    assert worth(trial(0.5), sure) == 0
    assert Worth(problem(Bound("cost", "<=", 0.2)), REFERENCE, (TEST,), -0.4, measured)(trial(0.3), sure) == -math.inf
    assert Worth(problem(), REFERENCE, (), -0.4, measured)(trial(0.5), sure) == pytest.approx(-0.1)


def test_what_was_trained_by_now_is_a_way_back_for_what_is_bolder() -> None:
    worth, sure, unsure = (
        Worth(problem(), REFERENCE, (TEST, TEST), -0.4, measured),
        Forecast(0.065, 0.001),
        Forecast(0.0775, 0.003),
    )
    bold = chance(TEST, unsure, REFERENCE)
    both = worth(trial(0.1), unsure, [(trial(0.3), sure)])
    assert both == pytest.approx(bold * 0.3 + (1 - bold) * 0.1, rel=1e-3)
    assert both == pytest.approx(worth(trial(0.3), sure, [(trial(0.1), unsure)]))
    assert both > max(worth(trial(0.1), unsure), worth(trial(0.3), sure))
    assert expected([]) == worth.of_trying([]) == 0


def test_a_training_of_what_would_be_delivered_as_it_is_adds_nothing() -> None:
    worth, sure, unsure = (
        Worth(problem(), REFERENCE, (TEST, TEST), -0.4, measured),
        Forecast(0.065, 0.001),
        Forecast(0.0775, 0.003),
    )
    as_it_is = [(trial(0.3), sure)]
    nothing = worth.of_trying(as_it_is)

    assert worth(trial(0.3), sure, as_it_is) == pytest.approx(nothing, rel=1e-3)
    assert worth(trial(0.35), sure, as_it_is) == pytest.approx(nothing, rel=1e-3)
    assert worth(trial(0.25), unsure, as_it_is) > 1.05 * nothing


def test_a_way_back_that_costs_more_confidence_than_it_gives_is_not_tried() -> None:
    stricter = replace(TEST, confidence=0.9999)
    worth, near = Worth(problem(), REFERENCE, (TEST, stricter), -0.4, measured), Forecast(0.0745, 0.001)
    assert worth(trial(0.1), near, [(trial(0.39), near)]) == worth(trial(0.1), near)
    assert worth(trial(0.39), near, [(trial(0.1), near)]) == worth(trial(0.1), near)


def test_a_searcher_hears_of_the_network_after_its_training() -> None:
    before = trial(0.3)
    assert not before.feasible
    heard = Worth(problem(), REFERENCE, (TEST,), -0.4, measured).heard(before, Forecast(REFERENCE + 0.01, 0.002))
    assert heard.feasible
    assert heard.evaluation is not None
    assert heard.evaluation.metrics["top1_error"] == MetricValue(REFERENCE + 0.01, 0.002)
    assert before.evaluation is not None
    assert before.evaluation.metrics["top1_error"].value == 0.4
