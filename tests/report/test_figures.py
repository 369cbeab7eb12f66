"""Figures hold the numbers they are said to show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import plotly.graph_objects as go
import pytest

from moco.report.figures import hypervolume_figure, policy_figure, score_figure, seconds_figure
from moco.report.front import Cloud, front_figure, panels
from moco.run_folder.manifest import LayerRecord
from moco.run_folder.result import Result
from moco.run_folder.trial_record import TrialRecord
from moco.trial import Evaluation, MetricValue
from tests.report import example_run

OBJECTIVES = ("top1_error", "cost")
NOTHING = Result(experiment="made", searcher="random", seed=0, reference={}, trials=0)


def a_trial(number: int, error: float = 0.1, cost: float = 0.5, **changes: Any) -> TrialRecord:
    measured = changes.pop("metrics", {"top1_error": error, "cost": cost})
    evaluation = Evaluation({name: MetricValue(value) for name, value in measured.items()})
    trial = TrialRecord(
        number=number, state="complete", feasible=True, score=-cost, losses=(error, cost), evaluation=evaluation
    )
    return replace(trial, **changes)


def a_cloud(*trials: TrialRecord, **changes: Any) -> Cloud:
    return replace(Cloud(trials, None, {}, {"top1_error": 0.08, "latency_ms": 1.0}, []), **changes)


def trace(figure: go.Figure, name: str) -> Any:
    return next(trace for trace in figure.data if trace.name == name)


def test_the_best_score_never_falls_and_reaches_the_last_trial() -> None:
    trials = [a_trial(0, cost=0.5), a_trial(1, cost=0.3), a_trial(2, cost=0.4), a_trial(3, feasible=False)]
    figure = score_figure(trials)
    assert figure is not None
    assert list(trace(figure, "best so far").y) == [-0.5, -0.3, -0.3, -0.3]
    assert list(trace(figure, "best so far").x) == [0, 1, 2, 3]


def test_infeasible_scores_are_not_drawn() -> None:
    assert score_figure([a_trial(0, feasible=False, score=-50.0)]) is None


def test_hypervolume_grows_by_hand_computed_boxes() -> None:
    trials = [a_trial(0, 0.5, 0.5), a_trial(1, 0.9, 0.9, feasible=False), a_trial(2, 0.25, 0.75)]
    figure = hypervolume_figure(trials, [1.0, 1.0])
    assert figure is not None
    assert list(figure.data[0].y) == pytest.approx([0.25, 0.25, 0.3125])


def test_hypervolume_needs_a_reference_point() -> None:
    assert hypervolume_figure([a_trial(0)], None) is None


def test_bars_show_channels_kept_by_precision() -> None:
    layers = [LayerRecord(name="a", out_channels=16), LayerRecord(name="b", out_channels=8, group="a2")]
    policy = {"a": {"filter_pruning": {"keep": 12, "of": 16}, "precision": "int8"}}
    figure = policy_figure(layers, policy)
    assert figure is not None
    assert (list(trace(figure, "kept, int8").y), list(trace(figure, "kept, float32").y)) == ([12], [8])
    assert list(trace(figure, "removed").y) == [16, 8]


def test_a_coupled_layer_follows_the_channels_of_its_group_but_not_its_precision() -> None:
    layers = [LayerRecord(name="b", out_channels=16, group="a")]
    figure = policy_figure(layers, {"a": {"filter_pruning": {"keep": 4, "of": 16}, "precision": "int8"}})
    assert figure is not None
    assert list(trace(figure, "kept, float32").y) == [4]


def test_a_layer_in_a_branch_that_is_left_out_keeps_no_channel() -> None:
    layers = [LayerRecord(name="block.a", out_channels=16), LayerRecord(name="b", out_channels=8)]
    figure = policy_figure(layers, {"block": {"depth": {"removed": ["block.a"]}}})
    assert figure is not None
    assert list(trace(figure, "kept, float32").y) == [0, 8]


def test_stages_stand_in_their_order_without_the_total_and_absent_ones() -> None:
    figure = seconds_figure({"total": 10.0, "score": 6.0, "compress": 3.0, "measure": None})
    assert figure is not None
    assert list(figure.data[0].y) == ["compress", "score"]
    assert "60 %" in figure.data[0].text[1]


def test_no_stage_no_figure() -> None:
    assert seconds_figure({"total": 1.0}) is None


def test_the_front_joins_the_feasible_networks_that_none_beats() -> None:
    trials = [
        a_trial(0, 0.10, 0.5),
        a_trial(1, 0.12, 0.3),
        a_trial(2, 0.13, 0.6),
        a_trial(3, 0.01, 0.1, feasible=False),
    ]
    front = trace(front_figure(a_cloud(*trials), "cost", 300, main=True), "front")
    assert list(zip(front.x, front.y, strict=True)) == [(0.3, 88.0), (0.5, 90.0)]


def test_throughput_is_better_to_the_right() -> None:
    fast, slow = ({"top1_error": error, "throughput_ips": ips} for error, ips in ((0.1, 200.0), (0.2, 100.0)))
    cloud = a_cloud(a_trial(0, metrics=fast), a_trial(1, metrics=slow))
    assert list(trace(front_figure(cloud, "throughput_ips", 300, main=True), "front").x) == [200.0]


def test_infeasible_trials_are_crosses_and_the_chosen_one_is_a_star() -> None:
    cloud = a_cloud(a_trial(0), a_trial(1, 0.11, feasible=False), chosen=0)
    figure = front_figure(cloud, "cost", 300, main=True)
    assert trace(figure, "infeasible").marker.symbol == "x-thin"
    assert (trace(figure, "chosen").marker.symbol, list(trace(figure, "chosen").x)) == ("star", [0.5])


def test_a_broken_network_is_pinned_to_the_lower_edge_and_tells_its_accuracy() -> None:
    cloud = a_cloud(a_trial(0, 0.09), a_trial(1, 0.9, feasible=False))
    below = trace(front_figure(cloud, "cost", 300, main=True), "far below")
    assert below.y[0] > 80
    assert "top-1 10.00 %" in below.hovertext[0]


def test_duplicates_and_failures_are_not_drawn() -> None:
    trials = [a_trial(0), a_trial(1, distinct=False), a_trial(2, state="failed", metrics={})]
    assert [trial.number for trial in Cloud.of(NOTHING, trials).trials] == [0]


def test_baselines_and_reference_are_labelled() -> None:
    figure = front_figure(a_cloud(a_trial(1, 0.2, 0.3), baselines={1: "int8"}), "cost", 300, main=True)
    assert {note.text for note in figure.layout.annotations} == {"reference", "int8"}


def test_hover_escapes_names_of_layers() -> None:
    trial = a_trial(0, policy={"<a href=x>": {"precision": "int8"}})
    hovers = trace(front_figure(a_cloud(trial), "cost", 300, main=True), "feasible").hovertext
    assert "<a" not in hovers[0]
    assert "&lt;a" in hovers[0]


def test_panels_are_the_other_objectives_then_what_was_measured() -> None:
    records = [replace(TrialRecord.from_json(entry), objectives=OBJECTIVES) for entry in example_run.trials()]
    assert panels(Cloud.of(NOTHING, records), OBJECTIVES) == ["cost", "latency_ms", "throughput_ips", "size_mb"]
