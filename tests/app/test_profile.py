"""`moco profile` beyond its one table: slow calls, layers, several runtimes, the page."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

import pytest

from moco.metrics import METRICS
from tests.app.tiny import moco, one_line, write

TWELVE = (
    *("top1_error", "top5_error", "parameters", "size_mb", "flops", "flop_per_s"),
    *("throughput_ips", "latency_ms", "load_ms", "init_s", "energy_j", "power_w"),
)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("profile") / "tiny.yaml")


@pytest.fixture(scope="module")
def whole(experiment: Path) -> dict[str, Any]:
    """A profile with all that may be asked for."""
    out = experiment.parent / "whole"
    done = moco("profile", experiment, "--runs", "200", "--deadline", "1000", "--layers", "--out", out)
    assert done.exit_code == 0, done.output
    assert "0 % of its calls" in done.stdout
    found: dict[str, Any] = json.loads((out / "profile.json").read_text(encoding="utf-8"))
    return {**found, "stdout": done.stdout, "page": (out / "profile.html").read_text(encoding="utf-8")}


def test_every_metric_is_in_the_file_and_null_where_it_cannot_be_measured(whole: dict[str, Any]) -> None:
    assert set(whole["metrics"]) == set(whole["reference"]) == set(METRICS)
    assert [name for name in TWELVE if whole["metrics"][name] is None] == ["energy_j", "power_w"]
    assert all(found is None or found["value"] is not None for found in whole["metrics"].values())


def test_flops_a_second_are_those_of_an_image_times_images_a_second(whole: dict[str, Any]) -> None:
    flops, rate, product = (whole["metrics"][name]["value"] for name in ("flops", "throughput_ips", "flop_per_s"))
    assert product == pytest.approx(flops * rate)


def test_slow_calls_are_quantiles_in_order_with_their_samples(whole: dict[str, Any]) -> None:
    names = ("latency_p50_ms", "latency_p95_ms", "latency_p99_ms", "latency_max_ms")
    values = [whole["reference"][name]["value"] for name in names]
    assert values == sorted(values)
    assert whole["tails"]["calls"] == 200
    assert whole["tails"]["missed"] == {"reference": 0.0, "network": 0.0}
    assert {len(of["network"]) for of in whole["tails"]["samples"].values()} == {20}


def test_the_sum_over_operators_stands_beside_the_whole_call(whole: dict[str, Any]) -> None:
    assert whole["layers_ms"] == pytest.approx(sum(layer["time_ms"] for layer in whole["layers"]))
    assert any(layer["kind"] == "Conv" for layer in whole["layers"])
    assert f"{len(whole['layers'])} operators take" in whole["stdout"]


def test_the_page_says_what_each_metric_is_in_three_groups(whole: dict[str, Any]) -> None:
    page = whole["page"]
    assert all(f">{title}</h2>" in page for title in ("How well it predicts", "Counted of the network"))
    assert ">Read from the device</h2>" in page
    assert all(escape(METRICS[name].description) in page for name in TWELVE)


def test_without_runs_no_slow_calls_are_made(experiment: Path) -> None:
    done = moco("profile", experiment, "--json")
    found = json.loads(done.stdout)
    assert found["tails"] is None
    assert found["layers"] is None
    assert found["metrics"]["latency_p99_ms"] is None


@pytest.mark.slow
def test_runtimes_stand_side_by_side_in_turn(experiment: Path, tmp_path: Path) -> None:
    done = moco("profile", experiment, "--targets", "onnxruntime, openvino", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "profile.json").read_text(encoding="utf-8"))
    first, second = found["side_by_side"]["latency_ms"]
    assert (first["runtime"], second["runtime"]) == ("onnxruntime", "openvino")
    assert first["ratio"] is None
    assert second["value"] == pytest.approx(first["value"] * second["ratio"]["value"])
    assert second["ratio"]["low"] <= second["ratio"]["value"] <= second["ratio"]["high"]
    assert len(first["samples_ms"]) == len(second["samples_ms"]) >= 15
    assert [profile["target"]["runtime"] for profile in found["profiles"]] == ["onnxruntime", "openvino"]
    assert "Side by side" in (tmp_path / "profile.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--targets", "onnxruntime,openvin"), "targets: unknown target 'openvin'; did you mean 'openvino'?"),
        (("--targets", "onnxruntime,onnxruntime"), "targets: 'onnxruntime' is given twice"),
        (("--targets", ","), "targets: expected names of runtimes"),
        (("--runs", "3"), "runs: expected 200 to 10,000,000 calls, got 3"),
        (("--deadline", "5"), "give --runs too"),
        (("--runs", "200", "--deadline", "0"), "deadline: expected milliseconds above 0, got 0"),
    ],
)
def test_what_cannot_be_looked_at_is_refused_in_one_line(
    experiment: Path, given: tuple[str, ...], message: str
) -> None:
    assert message in one_line(moco("profile", experiment, *given), 2)


@pytest.mark.slow
def test_a_bound_on_slow_calls_and_a_weight_on_flops_a_second_guide_a_search(tmp_path: Path) -> None:
    objective = {
        "weights": {"latency_p99_ms": 1, "size_mb": 1},
        "constraints": {"latency_p95_ms": "<= 1000", "flop_per_s": ">= 1"},
    }
    run = tmp_path / "run"
    done = moco("search", write(tmp_path / "tails.yaml", objective=objective, budget={"trials": 3}), "--out", run)
    assert done.exit_code in {0, 3}, done.output
    trials = json.loads((run / "trials.json").read_text(encoding="utf-8"))
    complete = [trial for trial in trials if trial["state"] == "complete"]
    assert all("latency_p99_ms" in trial["evaluation"]["metrics"] for trial in complete)
    assert "latency_p99_ms" in (run / "trials.csv").read_text(encoding="utf-8").splitlines()[0]


@pytest.mark.slow
def test_an_option_that_another_runtime_lacks_is_left_out_there(experiment: Path, tmp_path: Path) -> None:
    text = experiment.read_text(encoding="utf-8").replace("threads: 1", "threads: 1\n  optimise: none")
    other = tmp_path / "other.yaml"
    other.write_text(text, encoding="utf-8")
    done = moco("profile", other, "--targets", "openvino,onnxruntime", "--json")
    assert [of["target"].get("optimise") for of in json.loads(done.stdout)["profiles"]] == [None, "none"]
