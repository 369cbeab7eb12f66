from __future__ import annotations

import numpy as np
import pytest

from moco.problem import Problem
from moco.searchers.models.acquisition import reference_point, violations
from moco.searchers.models.outcome_transforms import OutcomeTransform
from moco.searchers.models.policy_models import (
    PolicyModels,
    Prediction,
    fit_at,
    known_exactly,
    read_by_derived,
    within,
)
from moco.trial import Suggestion, Trial, TrialState
from tests.searchers.layered import layered_problem, measured


def tried(problem: Problem, count: int, seed: int = 0) -> list[Trial]:
    """Complete trials of random points."""
    rng, found = np.random.default_rng(seed), []
    for number in range(count):
        point = {
            n: int(rng.choice(np.arange(d.low, d.high + 1, d.step))) for n, d in problem.space.distributions.items()
        }  # type: ignore[attr-defined]
        found.append(trial(problem, point, number))
    return found


def trial(problem: Problem, point: dict[str, int], number: int = 0) -> Trial:
    """The point as a complete trial."""
    evaluation, policy = measured(point), problem.space.canonical(point)
    outcome, score = problem.judge(evaluation), problem.score(evaluation)
    return Trial(number, Suggestion(number, point), TrialState.COMPLETE, point, policy, evaluation, outcome, score)


def test_what_the_space_knows_is_found_out() -> None:
    problem = layered_problem()
    first = tried(problem, 1)[0]
    assert read_by_derived(problem, first) == {"latency_ms", "bops"}
    assert known_exactly(problem, first) == {"macs", "bops"}


def test_costs_are_exact_and_what_is_measured_has_an_error() -> None:
    problem, models = layered_problem(), PolicyModels(layered_problem())
    models.learn(tried(problem, 40))
    others = tried(problem, 10, seed=9)
    inputs, policies = models.depths.of_points([t.point for t in others]), [t.policy for t in others if t.policy]
    found = models.computed(inputs, policies, ("top1_error", "cost", "bops"))
    bops = [measured(t.point).metrics["bops"].value for t in others]
    np.testing.assert_allclose(found["bops"].scale.back(found["bops"].mean), bops)
    assert np.all(found["bops"].sd == 0)
    assert np.all(found["cost"].sd > 0)
    costs = np.array([problem.metrics(measured(t.point))["cost"].value for t in others])
    screened = models.screened(inputs, ("cost",))["cost"]
    off = np.abs(found["cost"].scale.back(found["cost"].mean) - costs)
    assert off.mean() < np.abs(screened.scale.back(screened.mean) - costs).mean()
    assert np.all(off < 0.25 * costs)


def test_a_derived_quantity_without_exact_parts_has_its_own_process() -> None:
    problem = layered_problem()
    plain = Problem(dict(problem.space.distributions), problem.objectives, derived=problem.derived)
    models = PolicyModels(plain)
    trials = [trial(plain, dict(t.point), t.number) for t in tried(problem, 20)]
    models.learn(trials)
    inputs = models.depths.of_points([t.point for t in trials])
    policies = [t.policy for t in trials if t.policy]
    screened, computed = models.screened(inputs, ("cost",)), models.computed(inputs, policies, ("cost",))
    np.testing.assert_array_equal(screened["cost"].mean, computed["cost"].mean)


def test_it_learns_the_same_in_one_go_and_in_parts() -> None:
    problem = layered_problem()
    trials, others = tried(problem, 30), tried(problem, 5, seed=1)
    once, parts = PolicyModels(problem), PolicyModels(problem)
    once.learn(trials)
    for count in (3, 4, 17, 27, 30):
        parts.learn(trials[:count])
        parts.screened(parts.depths.of_points([t.point for t in others]), parts.judged)
    inputs = once.depths.of_points([t.point for t in others])
    for name in once.judged:
        left, right = (models.screened(inputs, (name,))[name] for models in (once, parts))
        np.testing.assert_array_equal(left.mean, right.mean)
        np.testing.assert_array_equal(left.sd, right.sd)


def test_the_error_is_learnt_better_than_by_its_mean() -> None:
    problem = layered_problem()
    models = PolicyModels(problem)
    models.learn(tried(problem, 60))
    others = tried(problem, 40, seed=5)
    found = models.screened(models.depths.of_points([t.point for t in others]), ("top1_error",))["top1_error"]
    true = OutcomeTransform.LOGIT.forward(np.array([measured(t.point).metrics["top1_error"].value for t in others]))
    assert np.std(found.mean - true) < 0.35 * np.std(true)
    assert 0.8 < np.mean(np.abs(found.mean - true) < 2 * found.sd) <= 1


def test_fits_come_at_a_fifth_more_trials() -> None:
    assert [fit_at(n) for n in (1, 5, 6, 7, 8, 9, 10, 100, 200)] == [1, 5, 6, 6, 8, 8, 10, 84, 177]


def test_an_error_lies_between_those_of_shallower_and_of_deeper_policies() -> None:
    """At told policies, each of which is its own neighbour either way."""
    problem, models = layered_problem(), PolicyModels(layered_problem())
    trials = tried(problem, 30)
    models.learn(trials)
    inputs = models.depths.of_points([t.point for t in trials])
    found = models.screened(inputs, ("top1_error",))["top1_error"]
    told_errors = OutcomeTransform.LOGIT.forward(
        np.array([measured(t.point).metrics["top1_error"].value for t in trials])
    )
    slack = 2 * (models.usual_sem("top1_error") or 0.0) + 1e-9
    assert np.all(found.low >= told_errors - slack)
    assert np.all(found.high <= np.maximum(told_errors + slack, found.low))
    assert np.all(models.screened(inputs, ("cost",))["cost"].low == -np.inf)
    drawn = OutcomeTransform.LOGIT.forward(found.samples(np.array([-9.0, 9.0])))
    assert np.all(drawn >= found.low - 1e-9)
    assert np.all(drawn <= found.high + 1e-9)


def test_noise_widens_the_bounds_and_never_crosses_them() -> None:
    prediction = Prediction(OutcomeTransform.LOGIT, np.zeros(2), np.ones(2))
    shallower, deeper = np.array([[True, False], [True, False]]), np.array([[False, False], [False, True]])
    bounded = within(prediction, np.array([-1.0, 0.5]), (shallower, deeper), 0.1)
    assert bounded.low == pytest.approx([0.4, -np.inf])
    assert bounded.high == pytest.approx([np.inf, 0.6])
    crossed = within(prediction, np.array([2.0, -2.0]), (np.array([[True], [False]]), np.array([[False], [True]])), 0.1)
    assert crossed.low == pytest.approx([1.9])
    assert crossed.high == pytest.approx([1.9])


@pytest.mark.parametrize("scale", OutcomeTransform)
def test_scales_come_back(scale: OutcomeTransform) -> None:
    values = np.array([0.002, 0.3, 0.99])
    np.testing.assert_allclose(scale.back(scale.forward(values)), values)
    step = 1e-6
    rate = (scale.back(scale.forward(values) + step) - values) / step
    np.testing.assert_allclose(scale.rate(values), rate, rtol=1e-4)


def test_scales_are_chosen_by_what_a_metric_is() -> None:
    values = np.array([0.1, 0.2])
    names = ("top1_error", "latency_ms", "cost", "loss")
    assert [OutcomeTransform.of(name, values) for name in names] == [
        OutcomeTransform.LOGIT,
        OutcomeTransform.LOG,
        OutcomeTransform.LOG,
        OutcomeTransform.PLAIN,
    ]
    assert OutcomeTransform.of("latency_ms", np.array([0.0, 1.0])) is OutcomeTransform.PLAIN


def test_violations_are_those_of_the_bounds() -> None:
    problem = layered_problem()
    drawn, scales = {"top1_error": np.array([[0.10, 0.15, 0.30]])}, {"top1_error": OutcomeTransform.LOGIT}
    np.testing.assert_allclose(violations(problem.bounds, drawn, scales, {"top1_error": None}), [[0.0, 0.0, 1.0]])


def test_nothing_counts_beyond_a_bound() -> None:
    losses = np.array([[0.1, 0.5], [0.12, 0.4]])
    np.testing.assert_allclose(reference_point(layered_problem(), losses, losses), [0.15, 1.0])


def test_without_a_reference_point_the_front_gives_one() -> None:
    problem = Problem(layered_problem().space, {"a": "minimize", "b": "maximize"}, {"b": ">= 1"})
    losses = np.array([[0.0, -3.0], [1.0, -5.0]])
    np.testing.assert_allclose(reference_point(problem, losses, losses), [1.1, -2.8])
