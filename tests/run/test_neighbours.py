"""Networks near a trial's: not tried yet, one parameter away, with exact costs and the metrics that others tell of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from optuna.distributions import FloatDistribution, IntDistribution

from moco.policy import Policy
from moco.run.neighbours import FIRST_ID, MOST_VALUES, Neighbours, suggested
from moco.space import SearchSpace
from moco.trial import Evaluation, MetricValue, Point, Suggestion, Trial, TrialState

WIDTHS = (4, 8)


@dataclass(frozen=True)
class Layers:
    """A codec of two widths and of bits that make nothing smaller but the file."""

    def policy(self, point: Point) -> Policy:
        return Policy.of(dict(point))

    def point(self, policy: Policy) -> Point:
        return policy.settings

    def cost(self, policy: Policy) -> Mapping[str, float]:
        first, second, bits = (policy.settings[name] for name in ("first", "second", "bits"))
        return {"macs": 1e6 * first * second, "parameters": 1e3 * first * second, "bops": 1e6 * first * second * bits}

    def n_policies(self) -> int | None:
        return None


SPACE = SearchSpace(
    {"first": IntDistribution(1, 16), "second": IntDistribution(1, 16), "bits": IntDistribution(4, 8)},
    neutral={"first": 16, "second": 16, "bits": 8},
    codec=Layers(),
)


def true_ms(point: Point) -> float:
    """It falls as a power of what is computed."""
    return float((point["first"] * point["second"]) ** 0.7)


def tried(number: int, point: Point) -> Trial:
    policy = SPACE.canonical(point)
    error = min(1.0, 0.05 * (256 / (point["first"] * point["second"])))
    metrics = {"latency_ms": true_ms(point), "top1_error": error, "idle": 0.0, **SPACE.cost(policy)}
    evaluation = Evaluation({name: MetricValue(value) for name, value in metrics.items()}, {"latency_ms": (1.0,)})
    return Trial(number, Suggestion(number, point), TrialState.COMPLETE, point, policy, evaluation)


def known(trial: Trial) -> Evaluation:
    assert trial.evaluation is not None
    return trial.evaluation


POINTS = [{"first": a, "second": b, "bits": 8} for a in WIDTHS for b in (4, 8, 12, 16)]
TRIALS = [tried(number, point) for number, point in enumerate(POINTS)]


def test_neighbours_differ_in_one_parameter_and_were_not_tried() -> None:
    base = TRIALS[5]
    found = list(Neighbours(SPACE, TRIALS, known).of(base))

    assert {sum(one.point[name] != base.point[name] for name in base.point) for one in found} == {1}
    assert {one.policy for one in found}.isdisjoint({trial.policy for trial in TRIALS})
    assert len({one.policy for one in found}) == len(found) == 14 + 12  # of 16 widths each; 2 and 4 of them were tried
    assert {one.point["bits"] for one in found} == {8}  # the weights in other bits are no other network


def test_their_costs_are_exact_and_their_times_those_of_their_likes() -> None:
    for one in Neighbours(SPACE, TRIALS, known).of(TRIALS[5]):
        assert one.policy is not None
        costs = SPACE.cost(one.policy)
        assert {name: known(one).metrics[name].value for name in costs} == costs
        if 3 <= one.point["first"] <= 10 and 3 <= one.point["second"] <= 16:  # near what was tried
            assert known(one).metrics["latency_ms"].value == pytest.approx(true_ms(one.point), rel=0.05)
        assert known(one).metrics["top1_error"].value <= 1.0
        assert known(one).metrics["idle"].value == 0.0  # has no logarithm, so it is the trial's own
        assert not known(one).samples


def test_of_too_few_trials_nothing_is_said() -> None:
    assert not list(Neighbours(SPACE, TRIALS[:7], known).of(TRIALS[5]))


def test_a_point_that_was_executed_off_the_grid_has_neighbours_too() -> None:
    space = SearchSpace(
        {**SPACE.distributions, "second": FloatDistribution(1, 8)},
        neutral={**SPACE.neutral, "second": 8},
        codec=Layers(),
    )
    found = list(Neighbours(space, TRIALS, known).of(TRIALS[3]))  # its second width is 16
    assert found[0].point["second"] == 8
    assert len(found) >= MOST_VALUES
    for one in found:
        space.check(one.point)


def test_a_suggestion_says_beside_which_trial_it_is_and_is_no_start() -> None:
    found = next(Neighbours(SPACE, TRIALS, known).of(TRIALS[5]))
    suggestion = suggested(found, 3)
    trial = Trial(9, suggestion, TrialState.COMPLETE, found.point)

    assert suggestion.id == FIRST_ID - 3
    assert suggestion.notes == {"neighbour_of": 5}
    assert (trial.origin, trial.is_start, suggestion.counted) == ("search", False, True)
