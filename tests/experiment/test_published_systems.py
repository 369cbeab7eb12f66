"""The experiments of the published systems: every file is an experiment with a plan, and its search runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from moco.experiment.build import plan_of
from moco.experiment.loading import load_experiment
from tests.app.tiny import moco

FOLDER = Path(__file__).resolve().parents[2] / "experiments"
IMAGES = 5000  # in the test file of CIFAR-10 that is at hand
FILES = sorted(FOLDER.glob("s[1235]/*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_is_an_experiment_with_a_plan(path: Path, tmp_path: Path) -> None:
    experiment = load_experiment(path)
    assert experiment.name == path.stem
    splits = experiment.data.splits
    assert splits.search + splits.certification <= IMAGES
    assert plan_of(experiment, tmp_path).recording.config["searcher"]["name"] == experiment.searcher.name


FEW = (
    "data.splits={calibration: 32, search: 60, certification: 160}",
    "target.timing={seconds_batch1: 0.01, seconds_batch32: 0.02, slot_ms: 2.0}",
    "budget.trials=3",
    "certificate={attempts: 1, seconds: 0.05}",
    "tracking={mlflow: false, dashboard: false}",
    "store=false",
)


@pytest.fixture(scope="module")
def sensitivity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `moco sensitivity` says of the network of S3, on a few images."""
    out = tmp_path_factory.mktemp("s3")
    usual = ("space.sensitivity=null", "searcher=random", "recovery=[]")
    said = moco("sensitivity", FOLDER / "s3" / "resnet20_pq.yaml", "--out", out, "--images", "8", *_set(*usual, *FEW))
    assert said.exit_code == 0, said.output
    return out / "sensitivity.json"


def _set(*overrides: str) -> list[str]:
    return [word for override in overrides for word in ("--set", override)]


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
@pytest.mark.usefixtures("cifar10")
def test_its_search_runs(path: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Three trials, of which what learns decides the last, on a few images and with next to no training."""
    experiment = load_experiment(path)
    options = experiment.plugins.searcher.options
    begins = [name for name in ("warmup", "actors", "startup") if hasattr(options, name)]  # none: it learns nothing
    overrides = [*FEW, *(f"searcher.{name}=2" for name in begins[:1])]
    if experiment.space.sensitivity is not None:
        overrides.append(f"space.sensitivity={request.getfixturevalue('sensitivity')}")
    steps = [step.name for step in experiment.recovery]
    for place, step in enumerate(experiment.recovery):
        if "epochs" in step.options:
            steps[place] = f"{{{step.name}: {{epochs: 0.005, batch_size: 32}}}}"
    said = moco("search", path, "--out", tmp_path / "run", *_set(*overrides, f"recovery=[{', '.join(steps)}]"))
    assert said.exit_code in {0, 3}, said.output  # on 60 images the floor or the budget may well be missed
    assert (tmp_path / "run" / "result.json").exists()
