"""A sibling that its user allows to be delivered is a candidate for the certificate like any trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import moco
from moco.models import build_model
from tests.app import tiny


@pytest.mark.slow
def test_a_sibling_that_is_best_is_certified_and_delivered_by_its_own_name(
    experiment: Any, weights: Path, tmp_path: Path
) -> None:
    sibling = {"model": "digits_resnet", "weights": str(weights), "options": {"shortcut": "A"}, "candidate": True}
    sections = {"searcher": {"start": "reference"}, "baselines": [sibling]}
    out = tmp_path / "run"
    done = tiny.moco("search", experiment(**sections, budget={"trials": 1}), "--out", out)
    assert done.exit_code == 0, done.output
    result, policy = tiny.read(out / "result.json"), tiny.read(out / "best" / "policy.json")
    best = result["best"]
    assert (best["origin"], best["network"], best["trial"]) == ("digits_resnet int8", "digits_resnet", 2)
    assert (result["trials"], result["given"], result["certificate"]["holds"]) == (3, 2, True)
    assert result["certificate"]["attempts"][-1]["trial"] == 2
    assert best["sha256"] == next(r["sha256"] for r in result["rivals"] if r["name"] == "digits_resnet int8")
    assert not any(rival["better"] for rival in result["rivals"])
    assert "the sibling 'digits_resnet int8', not of the search" in " ".join(done.output.split())
    assert policy["groups"]["linear"] == {"precision": "int8"}
    assert [trial["origin"] for trial in tiny.read(out / "trials.json")][1:] == ["digits_resnet", "digits_resnet int8"]
    loaded = moco.load_network(build_model("digits_resnet", 10), out / "best", torch.zeros(2, 1, 8, 8))
    assert loaded(torch.zeros(1, 1, 8, 8)).shape == (1, 10)

    again = tiny.moco("search", experiment(**sections, budget={"trials": 2}), "--out", out, "--resume")
    assert again.exit_code == 0, again.output
    assert tiny.read(out / "result.json")["best"]["network"] == "digits_resnet"


@pytest.mark.slow
def test_a_sibling_is_only_shown_unless_its_user_allows_more(experiment: Any, weights: Path, tmp_path: Path) -> None:
    sections = {"searcher": {"start": "reference"}, "baselines": [{"model": "digits_resnet", "weights": str(weights)}]}
    done = tiny.moco("search", experiment(**sections, budget={"trials": 1}), "--out", tmp_path / "run")
    result = tiny.read(tmp_path / "run" / "result.json")
    assert (result["best"]["trial"], result["trials"], "network" in result["best"]) == (0, 1, False)
    assert [rival["better"] for rival in result["rivals"]] == [False, True]
    assert "Without a search, the baseline 'digits_resnet int8' does better" in " ".join(done.output.split())
