"""Every protocol end to end: its score orders the trials, its front and hypervolume are told, the report is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moco import pareto
from tests.app.tiny import moco, read

PLAIN = {"floor": None, "weights": None}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "objectives", "text"),
    [
        (
            {"protocol": "galen", "target": 0.9, "bounded": False},
            ["top1_error", "cost"],
            "most top-1 accuracy with latency_ms close to 0.9 of the reference's cost",
        ),
        (
            {"protocol": "two-stage", "constraints": {"size_mb": "<= 1x"}},
            ["top1_error", "cost"],
            "most top-1 accuracy and least flops, weighed equally, with size_mb <= ",
        ),
        (
            {"protocol": "hybrid", "metric": "size_mb", "target": "0.5x"},
            ["top1_error", "cost"],
            "most top-1 accuracy, less what size_mb misses its target of 0.5x",
        ),
        (
            {"protocol": "front", "objectives": {"throughput_ips": "maximize", "size_mb": "minimize"}},
            ["throughput_ips", "size_mb"],
            "most throughput_ips and least size_mb",
        ),
        ({"protocol": "front", "objectives": {"latency_ms": "minimize"}}, ["latency_ms"], "least latency_ms"),
    ],
    ids=["galen", "two-stage", "hybrid", "front", "front of one"],
)
def test_it_searches_a_network(
    experiment: Any, tmp_path: Path, objective: dict[str, Any], objectives: list[str], text: str
) -> None:
    run = tmp_path / "run"
    yaml = experiment(objective={**PLAIN, **objective}, searcher={"name": "nsga2"}, budget={"trials": 5})
    done = moco("search", yaml, "--out", run)
    assert done.exit_code == 0, done.output
    result, trials = read(run / "result.json"), read(run / "trials.json")
    assert result["objective"]["text"].startswith(text)
    assert result["objectives"] == objectives
    feasible = [trial for trial in trials if trial["feasible"]]
    assert result["best"]["score"] == max(trial["score"] for trial in feasible)
    losses = [entry["losses"] for entry in result["front"]]
    assert len(losses) == int(pareto.non_dominated([trial["losses"] for trial in feasible]).sum())
    point = result["hypervolume"]["reference_point"]
    assert result["hypervolume"]["value"] == pytest.approx(pareto.hypervolume(losses, point))
    if objectives[0] == "throughput_ips":
        assert point[0] == -result["reference"]["throughput_ips"]
    assert (run / "report.html").is_file()
    assert (run / "best" / "card.md").is_file()
