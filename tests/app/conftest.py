"""One trained network and one finished search for all tests of the application."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from moco.data import load_data
from moco.data.sources import SourceOptions
from moco.models import build_model
from moco.models.training import TrainingPlan, train
from tests.app import tiny


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
    return tiny.write(tmp_path_factory.mktemp("finished") / "tiny.yaml", model={"weights": str(weights)})


@pytest.fixture(scope="session")
def finished(finished_yaml: Path) -> Path:
    """The run folder of a finished search; for reading only."""
    out = finished_yaml.parent / "run"
    result = tiny.moco("search", finished_yaml, "--out", out)
    assert result.exit_code == 0, result.output
    (out.parent / "stdout.txt").write_text(result.stdout, encoding="utf-8")
    return out
