"""A search that may leave branches out: delivered, read back, shown; and a network that has none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import moco as library
from moco.compression.policy_file import read_policy
from moco.compression.policy_settings import branches_gone_of
from moco.models import build_model
from tests.app.tiny import moco, write

DEPTH = {"depth": {"keep": [0.3, 1.0]}, "filter_pruning": None, "quantization": {"precision": ["int8"]}}


@pytest.mark.slow
def test_a_search_over_depth_is_delivered_and_read_back(tmp_path: Path) -> None:
    floor, out = {"floor": "-90 pp"}, tmp_path / "run"
    result = moco(
        "search", write(tmp_path / "e.yaml", space=DEPTH, objective=floor, budget={"trials": 6}), "--out", out
    )
    assert result.exit_code == 0, result.output
    assert "branches 0 1 2 3" in " ".join(result.output.split())
    policy = read_policy(out / "best" / "policy.json")
    assert branches_gone_of(policy)  # it costs least, and the floor lets it
    loaded = library.load_network(build_model("digits_resnet", 10), out / "best", torch.zeros(2, 1, 8, 8))
    stated = json.loads((out / "result.json").read_text())["best"]["metrics"]["parameters"]
    stated = stated["value"] if isinstance(stated, dict) else stated
    assert sum(parameter.numel() for parameter in loaded.parameters()) == stated
    assert "left out" in (out / "report.html").read_text()
    assert "left out" in (out / "best" / "card.md").read_text()
    said = moco("profile", tmp_path / "e.yaml", "--policy", out / "best" / "policy.json")
    assert said.exit_code == 0, said.output


def test_a_network_without_branches_and_no_other_method_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "net_without_branches.py").write_text(
        "from torch import nn\n"
        "def net():\n"
        "    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10))\n"
    )
    model = {"name": None, "import": "net_without_branches:net"}
    only = {"depth": {}, "filter_pruning": None, "quantization": None}
    path = write(tmp_path / "e.yaml", model=model, space=only)
    result = moco("search", path, "--out", tmp_path / "run", "--allow-import")
    said = [line for line in result.output.splitlines() if line.startswith("moco: ")]
    assert result.exit_code == 1, result.output
    assert len(said) == 1
    assert "residual branch" in said[0]
