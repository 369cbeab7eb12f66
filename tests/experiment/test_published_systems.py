"""The experiments of the published systems: every file is an experiment with a plan, and its search runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moco.compression.policy_file import policy_file
from moco.experiment.build import plan_of
from moco.experiment.loading import Experiment, load_experiment
from moco.policy import Policy
from moco.stages.staged import StagedExperiment, is_staged, staged_experiment
from tests.app.tiny import moco, one_line

FOLDER = Path(__file__).resolve().parents[2] / "experiments"
IMAGES = 5000  # in the test file of CIFAR-10 that is at hand
FILES = [path for path in sorted(FOLDER.glob("s[12345]/*.yaml")) if not is_staged(path)]
STAGED = [path for path in sorted(FOLDER.glob("s[12345]/*.yaml")) if is_staged(path)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_is_an_experiment_with_a_plan(path: Path, tmp_path: Path) -> None:
    experiment = load_experiment(path)
    assert experiment.name == path.stem
    splits = experiment.data.splits
    assert splits.search + splits.certification <= IMAGES
    assert plan_of(experiment, tmp_path).recording.config["searcher"]["name"] == experiment.searcher.name


@pytest.mark.parametrize("path", STAGED, ids=lambda path: path.stem)
def test_each_of_its_stages_has_a_plan(path: Path, tmp_path: Path) -> None:
    found = staged_experiment(path)
    assert (found.name, len(found.stages)) == (path.stem, 3)
    best = tmp_path / "best"
    for stage, experiment in zip(found.stages, _as_searched(found, best), strict=True):
        plan = plan_of(experiment, tmp_path)
        assert plan.data.search + plan.data.certification <= IMAGES
        assert len(plan.space.options.methods) == stage.number
        assert plan.space.base_weights == (None if stage.number == 1 else best / "network.safetensors")


def _soon_learning(experiment: Experiment) -> list[str]:
    """What lets its searcher learn from two trials; nothing where it learns nothing."""
    options = experiment.plugins.searcher.options
    begins = [name for name in ("warmup", "actors", "startup") if hasattr(options, name)]
    return [f"searcher.{name}=2" for name in begins[:1]]


def _as_searched(found: StagedExperiment, best: Path) -> list[Experiment]:
    first, *others = found.stages
    return [first.alone, *(found.above(stage, best) for stage in others)]


@pytest.mark.slow
@pytest.mark.timeout(900)  # three searches
@pytest.mark.parametrize("path", [path for path in STAGED if path.stem != "digits_stages"], ids=lambda path: path.stem)
@pytest.mark.usefixtures("cifar10")
def test_its_stages_are_searched_one_above_the_other(path: Path, tmp_path: Path) -> None:
    """Three trials a stage, of which what learns decides the last, without floors and with next to no training."""
    stages = staged_experiment(path).stages
    overrides = [*FEW, *_soon_learning(stages[0].alone)]
    for stage in stages:
        protocol = json.dumps({**stage.sections["objective"], "constraints": {}})
        overrides.append(f"stages.{stage.name}.objective={protocol}")
        steps = [{s.name: {"epochs": 0.005, "batch_size": 32}} if s.options else s.name for s in stage.alone.recovery]
        overrides.append(f"stages.{stage.name}.recovery={json.dumps(steps)}")
    said = moco("search", path, "--out", tmp_path / "run", *_set(*overrides))
    assert said.exit_code == 0, said.output
    found = json.loads((tmp_path / "run" / "stages.json").read_text())
    assert (len(found["stages"]), found["delivered"]) == (3, "stage-3-bits/best")
    trials = json.loads((tmp_path / "run" / "stage-3-bits" / "trials.json").read_text())
    assert any("before_recovery" in trial["evaluation"]["details"] for trial in trials if trial["evaluation"])


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


def _base(experiment: Experiment, folder: Path) -> Path:
    """What the first of two searches may have found: a layer pruned, or in int8."""
    assert experiment.space.base is not None
    first = Path(experiment.space.base).parents[1].name
    setting = {"filter_pruning": {"keep": 8, "of": 16}} if first == "s3_p" else {"precision": "int8"}
    path = folder / "policy.json"
    path.write_text(json.dumps(policy_file(Policy.of({"layer1.0.conv1": setting}), "cifar_resnet20")), encoding="utf-8")
    return path


def test_a_base_that_no_search_has_found_yet_is_one_line(tmp_path: Path) -> None:
    line = one_line(moco("search", FOLDER / "s3" / "resnet20_p_then_q.yaml", "--out", tmp_path / "run"), 1)
    assert line.startswith("space.base: ")
    assert line.endswith("runs/s3_p/best/policy.json: expected a policy in JSON: No such file or directory")


def _set(*overrides: str) -> list[str]:
    return [word for override in overrides for word in ("--set", override)]


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
@pytest.mark.usefixtures("cifar10")
def test_its_search_runs(path: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Three trials, of which what learns decides the last, on a few images and with next to no training."""
    experiment = load_experiment(path)
    overrides = [*FEW, *_soon_learning(experiment)]
    if experiment.space.sensitivity is not None:
        overrides.append(f"space.sensitivity={request.getfixturevalue('sensitivity')}")
    if experiment.space.base is not None:
        overrides.append(f"space.base={_base(experiment, tmp_path)}")
    steps = [step.name for step in experiment.recovery]
    for place, step in enumerate(experiment.recovery):
        if "epochs" in step.options:
            steps[place] = f"{{{step.name}: {{epochs: 0.005, batch_size: 32}}}}"
    said = moco("search", path, "--out", tmp_path / "run", *_set(*overrides, f"recovery=[{', '.join(steps)}]"))
    assert said.exit_code in {0, 3}, said.output  # on 60 images the floor or the budget may well be missed
    assert (tmp_path / "run" / "result.json").exists()
