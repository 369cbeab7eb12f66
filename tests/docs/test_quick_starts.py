"""The quick starts of README.md: the experiment is one, and the lines of Python do what they say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import moco
from moco.experiment.loading import experiment_of
from tests.app.tiny import moco as command
from tests.app.tiny import read
from tests.docs.pages import blocks

README = "../README.md"


def test_the_experiment_has_the_keys_of_one() -> None:
    [text] = blocks(README, "yaml")
    experiment = experiment_of(yaml.safe_load(text))
    assert (experiment.name, experiment.plugins.objective.name) == ("mine", "accuracy-guaranteed")


def test_every_command_that_is_shown_is_one() -> None:
    lines = [line.split() for text in blocks(README, "sh") for line in text.splitlines()]
    shown = {words[1] for words in lines if words[0] == "moco"}
    assert {
        "search",
        "report",
        "repair",
        "profile",
        "apply",
        "sensitivity",
        "payoff",
        "correlate",
        "sweep",
        "distill",
        "reproduce",
        "demo",
        "doctor",
        "compare",
        "init",
    } == shown
    assert [name for name in shown if command(name, "--help").exit_code != 0] == []


def test_a_searcher_runs_on_any_function(capsys: pytest.CaptureFixture[str]) -> None:
    _, text = blocks(README, "python")

    def evaluate(point: Mapping[str, Any]) -> dict[str, float]:
        return {"top1_error": 0.2 * (1 - point["layer1.keep"]), "cost": point["layer1.keep"] * point["layer1.bits"]}

    given: dict[str, Any] = {"moco": moco, "evaluate": evaluate}
    exec(compile(text.replace("trials=100", "trials=12"), README, "exec"), given)
    assert given["result"].best.feasible
    assert "layer1.keep" in capsys.readouterr().out


@pytest.mark.slow
def test_what_the_python_lines_print_is_in_a_result(finished: Path) -> None:
    result = read(finished / "result.json")
    assert "top-1 accuracy" in result["certificate"]["statement"]
    assert "top1_error" in result["best"]["metrics"]
    assert any(key.startswith("samples_") for key in result["retimed"]["latency_ms"]), "the raw samples are there"
