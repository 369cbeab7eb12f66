"""One trained network and one finished search for all tests of the application."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from moco.data import load_data
from moco.data.sources import SourceOptions
from moco.export import template
from moco.models import build_model
from moco.models.trained import network_hash
from moco.models.training import TrainingPlan, train
from tests.app import tiny

EXPORTED: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def _exported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same network is exported once for all tests: a second or two less for each search."""
    export = template.export_graph

    def exported(network: nn.Module, example: torch.Tensor) -> onnx.ModelProto:
        key = f"{network_hash(network)} {tuple(example.shape[1:])}"
        if key not in EXPORTED:
            EXPORTED[key] = export(network, example)
        copy = onnx.ModelProto()
        copy.CopyFrom(EXPORTED[key])
        return copy

    monkeypatch.setattr(template, "export_graph", exported)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a digits network that gets most test images right."""
    rows = load_data("digits", SourceOptions(), None).train
    network = build_model("digits_resnet", 10)
    train(network, rows.images(), rows.labels.copy(), plan=TrainingPlan(epochs=5), seed=0)
    path = tmp_path_factory.mktemp("weights") / "digits.safetensors"
    save_file(network.state_dict(), path)
    return path


@pytest.fixture
def experiment(tmp_path: Path, weights: Path) -> Any:
    """Writes a tiny experiment with some of its sections changed."""

    def written(**sections: Any) -> Path:
        sections.setdefault("model", {"name": "digits_resnet", "weights": str(weights)})
        return tiny.write(tmp_path / "tiny.yaml", **sections)

    return written


@pytest.fixture(scope="session")
def finished_yaml(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Path:
    """The experiment of the finished search."""
    path, network = tmp_path_factory.mktemp("finished") / "tiny.yaml", {"weights": str(weights)}
    return tiny.write(path, model=network, baselines=["quantize_static"])


@pytest.fixture(scope="session")
def finished(finished_yaml: Path) -> Path:
    """The run folder of a finished search; for reading only."""
    out = finished_yaml.parent / "run"
    result = tiny.moco("search", finished_yaml, "--out", out)
    assert result.exit_code == 0, result.output
    (out.parent / "stdout.txt").write_text(result.stdout, encoding="utf-8")
    return out
