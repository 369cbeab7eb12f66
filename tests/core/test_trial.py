from __future__ import annotations

import json

import pytest

from moco.trial import Evaluation, MetricValue, Outcome, Suggestion, Trial, TrialState

POINT = {"keep": 0.5}


def test_an_evaluation_survives_json() -> None:
    evaluation = Evaluation(
        metrics={"top1_error": MetricValue(0.1, 0.01), "size_mb": MetricValue(1.5)},
        samples={"latency_ms": (1.0, 1.25, 0.1 + 0.2)},
        seconds={"export": 0.02},
        artifact_sha256="00ff",
        details={"warnings": ["busy"]},
    )
    assert Evaluation.from_json(json.loads(json.dumps(evaluation.to_json()))) == evaluation


@pytest.mark.parametrize(
    ("violations", "feasible"), [((), True), ((0.0, -1.0), True), ((1e-9, -1.0), False), ((-1.0, 0.5), False)]
)
def test_feasible_is_no_violation_above_zero(violations: tuple[float, ...], feasible: bool) -> None:
    assert Outcome((1.0,), violations=violations).feasible is feasible


@pytest.mark.parametrize("state", [TrialState.REJECTED, TrialState.FAILED])
def test_a_trial_without_result_is_never_feasible(state: TrialState) -> None:
    assert not Trial(0, Suggestion(0, POINT), state, POINT).feasible


def test_a_complete_trial_is_feasible_by_its_outcome() -> None:
    def trial(violation: float) -> Trial:
        outcome = Outcome((1.0,), (None,), (violation,))
        return Trial(0, Suggestion(0, POINT), TrialState.COMPLETE, POINT, outcome=outcome)

    assert trial(0.0).feasible
    assert not trial(0.1).feasible


def test_origin_names_the_start_or_the_search() -> None:
    start = Suggestion(-1, POINT, {"start": "ladder 0.5"})
    assert Trial(0, start, TrialState.FAILED, POINT).origin == "ladder 0.5"
    assert Trial(0, Suggestion(0, POINT), TrialState.FAILED, POINT).origin == "search"
