"""What MLflow is told keeps to its limits and says what the trial says."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from moco.run_folder.manifest import DataRecord, Manifest
from moco.tracking import mlflow_values as values
from moco.trial import MetricValue, Suggestion, Trial, TrialState
from tests.tracking import made_trials


def test_a_configuration_is_flattened_to_paths_and_its_plain_lists_stay_whole() -> None:
    tree = {"space": {"keep": [0.3, 1.0], "groups": "per-block"}, "starts": [{"name": "a"}, {"name": "b"}], "none": {}}

    assert dict(values.flattened(tree)) == {
        "space.keep": [0.3, 1.0],
        "space.groups": "per-block",
        "starts.0.name": "a",
        "starts.1.name": "b",
        "none": {},
    }


def test_texts_are_cut_to_what_a_server_takes() -> None:
    params = values.as_params({"k" * 300: "v" * 7000, "short": 0.5})
    tags = values.as_tags({"reason": "x" * 9000, "absent": None})

    assert [(len(name), len(text)) for name, text in params.items()] == [(250, 6000), (5, 3)]
    assert params["k" * 250].endswith("…")
    assert {name: len(text) for name, text in tags.items()} == {"reason": 8000}


@pytest.mark.parametrize(
    ("name", "accepted"),
    [("layer1.0.conv1:keep", "layer1.0.conv1_keep"), ("/a//b/../c", "a/c"), ("..", "_"), ("größe 1", "größe 1")],
)
def test_names_are_made_such_as_mlflow_accepts(name: str, accepted: str) -> None:
    assert list(values.as_params({name: 1})) == [accepted]


def test_only_finite_numbers_are_metrics_and_truth_is_one() -> None:
    given = {"a": 1, "b": True, "c": math.nan, "d": math.inf, "e": None, "f": "text", "g": [1]}

    assert values.as_metrics(given) == {"a": 1.0, "b": 1.0}


def test_a_complete_trial_shows_its_metrics_losses_violations_and_score() -> None:
    trial = made_trials.trial(1, made_trials.problem())
    assert trial.evaluation is not None
    assert trial.outcome is not None

    numbers = values.trial_metrics(trial, ["top1_error", "cost"])

    assert numbers["latency_ms"] == trial.evaluation.metrics["latency_ms"].value
    assert numbers["sem/latency_ms"] == 0.01
    assert numbers["loss/cost"] == trial.outcome.losses[1]
    assert numbers["violation/0"] == trial.outcome.violations[0]
    assert numbers["score"] == trial.score
    assert numbers["feasible"] == float(trial.feasible)
    assert numbers["seconds/score"] == 0.9
    assert "sem/cost" not in numbers


def test_losses_without_names_are_numbered() -> None:
    numbers = values.trial_metrics(made_trials.trial(1, made_trials.problem()), [])

    assert {"loss/0", "loss/1"} <= set(numbers)


def test_a_rejected_trial_has_its_reason_and_no_claim_about_feasibility() -> None:
    trial = Trial(3, Suggestion(2, {"keep": 0.5}), TrialState.REJECTED, {"keep": 0.5}, reason="not legal", seconds=0.1)

    assert values.trial_metrics(trial, []) == {"seconds": 0.1}
    assert values.trial_params(trial) == {"keep": "0.5"}
    assert values.trial_tags(trial) == {
        "moco.trial": "3",
        "moco.state": "rejected",
        "moco.origin": "search",
        "moco.reason": "not legal",
        "moco.distinct": "true",
    }


def test_a_sem_that_is_not_known_is_left_out() -> None:
    assert MetricValue(1.0).sem is None
    assert values.as_metrics({"sem/x": MetricValue(1.0).sem}) == {}


def test_a_search_is_tagged_with_its_classes() -> None:
    described = {"classes": ["ant", "bee"], "size": [8, 8]}
    tags = values.search_tags(Manifest(data=DataRecord(description=described)))

    assert (tags["moco.classes"], tags["moco.size"]) == ('["ant", "bee"]', "[8, 8]")


def test_errors_before_recovery_are_in_a_folder_and_absent_where_nobody_looked() -> None:
    trial = made_trials.trial(1, made_trials.problem())
    assert trial.evaluation is not None
    looked = replace(trial.evaluation, details={"before_recovery": {"top1_error": 0.5, "top5_error": 0.125}})

    numbers = values.trial_metrics(replace(trial, evaluation=looked), ["top1_error", "cost"])

    assert (numbers["before_recovery/top1_error"], numbers["before_recovery/top5_error"]) == (0.5, 0.125)
    assert not [name for name in values.trial_metrics(trial, ["top1_error", "cost"]) if "recovery" in name]
