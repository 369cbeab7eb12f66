"""A network of timm's by its name, through a whole search and back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import moco
from moco.models import build_model
from moco.optional import installed
from tests.app import tiny

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not installed("timm"), reason="timm is an extra")]

MODEL = {
    "name": "timm/test_efficientnet",
    "num_classes": 10,
    "options": {"in_chans": 1},
    "train": {"epochs": 2},
}


def test_a_network_of_timm_is_searched_by_name(tmp_path: Path) -> None:
    experiment = tiny.write(
        tmp_path / "e.yaml", model=MODEL, objective={"floor": "-99 pp"}, budget={"trials": 4}, certificate=None
    )

    result = tiny.moco("search", experiment, "--out", tmp_path / "run")

    assert result.exit_code == 0, result.output
    assert {trial["state"] for trial in tiny.read(tmp_path / "run" / "trials.json")} == {"complete"}
    assert "timm" in tiny.read(tmp_path / "run" / "manifest.json")["versions"]
    network = build_model("timm/test_efficientnet", 10, in_chans=1)
    images = torch.rand(4, 1, 8, 8)
    assert moco.load_network(network, tmp_path / "run" / "best", images)(images).shape == (4, 10)
