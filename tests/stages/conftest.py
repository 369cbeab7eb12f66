"""One trained network, and one experiment in stages that came to its end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from safetensors.torch import save_file

from moco.data import load_data
from moco.data.sources import SourceOptions
from moco.models import build_model
from moco.models.training import TrainingPlan, train
from moco.run_folder.stages import StagesRecord
from moco.stages.search import search_in_stages
from moco.stages.staged import staged_experiment
from tests.stages import small


@dataclass(frozen=True)
class Finished:
    """An experiment in stages with what it found."""

    path: Path
    out: Path
    record: StagesRecord


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a digits network that gets most test images right."""
    rows = load_data("digits", SourceOptions(), None).train
    network = build_model("digits_resnet", 10)
    train(network, rows.images(), rows.labels.copy(), plan=TrainingPlan(epochs=3), seed=0)
    path = tmp_path_factory.mktemp("weights") / "digits.safetensors"
    save_file(network.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Finished:
    """Channels, trained on; then single weights and bits, left as they come; for reading only."""
    folder = tmp_path_factory.mktemp("finished")
    path = small.write_trained(folder, weights)
    record = search_in_stages(staged_experiment(path), folder / "run", folder=folder)
    return Finished(path, folder / "run", record)
