"""`moco sensitivity`: what it writes and prints, that its groups can be searched, and one line for bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from moco.analysis.sensitivity.layer_sensitivity import Levels, features, read_sensitivity
from moco.app.sensitivity import sensitivity_table
from moco.experiment.build import build_job
from moco.experiment.loading import load_experiment
from moco.experiment.sensitivity import studied
from moco.run.job import trace
from moco.run.progress import StudyProgress
from tests.app import tiny
from tests.app.tiny import moco, one_line, write

OWN = """
import torch
from torch import nn


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 8, 3), nn.Conv2d(1, 8, 3)
        self.linear = nn.Linear(8, 10)

    def forward(self, images):
        features = self.conv1(images) if images.mean() < 9 else self.conv2(images)
        return self.linear(features.mean((2, 3)))
"""
FEW = Levels(keep=(1.0, 0.5), weight_bits=(8, 4), activation_bits=())


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Any:
    """A study by the command line: its folder and what was printed."""
    folder = tmp_path_factory.mktemp("study")
    path = tiny.write(folder / "tiny.yaml", model={"weights": str(weights)})
    result = moco("sensitivity", path, "--out", folder / "out", "--images", "16")
    assert result.exit_code == 0, result.output
    return path, folder / "out", result.stdout


def test_the_folder_holds_the_study_its_page_and_its_groups(done: Any) -> None:
    _, out, _ = done
    study = read_sensitivity(out / "sensitivity.json")

    assert {path.name for path in out.iterdir()} == {"sensitivity.json", "sensitivity.html", "groups.yaml"}
    assert study.images == 16
    assert study.direction == "KL(original || compressed)"
    assert study.whole_runs is None
    assert len(features(study)["conv1"]) == 10 + 8 + 8 + 1
    assert len(features(study)["linear"]) == 8 + 8 + 1


def test_the_page_fetches_nothing_and_names_every_layer(done: Any) -> None:
    _, out, _ = done
    page = (out / "sensitivity.html").read_text(encoding="utf-8")
    study = read_sensitivity(out / "sensitivity.json")

    assert "default-src 'none'" in page
    assert "src=" not in page.split("<script>", maxsplit=1)[0]
    for layer in study.layers:
        assert f'<th scope="row">{layer}</th>' in page
    for part in ("curves-chart", "keep-chart", "weight_bits-chart", "activation_bits-chart"):
        assert f'id="{part}"' in page
    assert "16 training images" in page


def test_the_table_and_the_groups_are_printed(done: Any) -> None:
    _, out, printed = done
    study = read_sensitivity(out / "sensitivity.json")

    for layer in study.layers:
        assert any(layer in line and line.count("│") > 4 for line in printed.splitlines())
    assert (out / "groups.yaml").read_text(encoding="utf-8") in printed
    assert str(out / "sensitivity.html") in printed.replace("\n", "")


def test_the_groups_can_be_pasted_into_the_experiment_and_hold_every_layer_once(done: Any) -> None:
    path, out, _ = done
    suggested = yaml.safe_load((out / "groups.yaml").read_text(encoding="utf-8"))["space"]
    study = read_sensitivity(out / "sensitivity.json")
    placed = [layer for layers in suggested["groups"].values() for layer in layers] + suggested.get("ignore", [])
    assert sorted(placed) == sorted(study.layers)

    whole = yaml.safe_load(path.read_text(encoding="utf-8"))
    whole["space"].update(suggested)
    pasted = path.with_name("pasted.yaml")
    pasted.write_text(yaml.safe_dump(whole), encoding="utf-8")
    space = trace(build_job(load_experiment(pasted, ()), path.parent / "run")).space
    assert {group.name for group in space.groups} == set(suggested["groups"])
    assert suggested["groups"]["others"] == ["linear"]
    assert all(f"{name}.keep" in space.distributions for name in suggested["groups"] if name != "others")


def test_ignored_layers_are_neither_studied_nor_grouped(experiment: Any) -> None:
    path = experiment(space={"ignore": ["layer1.*", "conv1"]})
    study = studied(load_experiment(path, ()), 4, levels=FEW)

    assert study.sensitivity.layers == (
        "layer2.0.conv1",
        "layer2.0.conv2",
        "layer2.1.conv1",
        "layer2.1.conv2",
        "linear",
    )
    assert yaml.safe_load(study.yaml)["space"]["ignore"][:2] == ["layer1.*", "conv1"]


def test_without_pruning_groups_are_those_of_weight_bits(experiment: Any) -> None:
    path = experiment(space={"filter_pruning": None})
    study = studied(load_experiment(path, ()), 4, count=2, levels=FEW)

    assert set(study.layers) == {"g1", "g2"}
    assert sum(map(len, study.layers.values())) + len(study.ignored) == len(study.sensitivity.layers)


def test_a_network_that_cannot_be_cut_is_said_to_run_whole(experiment: Any, tmp_path: Path) -> None:
    (tmp_path / "branching_of_mine.py").write_text(OWN, encoding="utf-8")
    path = experiment(model={"name": None, "weights": None, "import": "branching_of_mine:Branching"})
    study = studied(load_experiment(path, (), allow_import=True), 4, modules=tmp_path, levels=FEW)

    assert str(sensitivity_table(study).caption).startswith("the network was run whole each time: torch.fx cannot")


def test_progress_is_plain_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 4.0, 11.0, 12.0])
    monkeypatch.setattr("moco.run.progress.time.monotonic", lambda: next(clock))
    with StudyProgress(Console(width=120)) as progress:
        for done in (1, 2, 3):
            progress(done, 4)
    assert capsys.readouterr().out == "sensitivity: 2 of 4 networks, at most about 14 s left\n"


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--images", "33"), "--images: expected 1 to 32, the size of data.splits.calibration, got 33"),
        (("--images", "0"), "--images: expected 1 to 32"),
        (("--groups", "99", "--images", "1"), "expected 1 to"),
        (("--set", "space.ignore=[layer9.*]"), "space.ignore: 'layer9.*' matches no layer"),
        (("--set", "model.name=digits_resent"), "digits_resnet"),
        (("--set", "spice.groups=per-layer"), "space"),
    ],
)
def test_bad_input_ends_in_one_line(experiment: Any, tmp_path: Path, options: tuple[str, ...], line: str) -> None:
    out = tmp_path / "out"
    assert line in one_line(moco("sensitivity", experiment(), "--out", out, *options), 2)
    assert not out.exists()


def test_a_folder_that_cannot_be_written_and_an_import_that_is_not_allowed_end_in_one_line(
    experiment: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert "cannot be written" in one_line(
        moco("sensitivity", experiment(), "--images", "1", "--out", tmp_path / "file" / "out"), 2
    )
    path = experiment(model={"name": None, "weights": None, "import": "branching_of_mine:Branching"})
    assert "--allow-import" in one_line(moco("sensitivity", path, "--out", tmp_path / "out"), 2)


def test_only_the_parameters_that_are_asked_for_are_measured(tmp_path: Path) -> None:
    path = write(tmp_path / "tiny.yaml")
    result = moco("sensitivity", path, "--out", tmp_path / "out", "--images", 8, "--parameters", "keep,int8")
    assert result.exit_code == 0, result.output
    curves = json.loads((tmp_path / "out" / "sensitivity.json").read_text(encoding="utf-8"))["curves"]
    assert {curve["parameter"] for curve in curves} == {"keep", "int8"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [("keep,weight_bit", "did you mean 'weight_bits'"), ("int8", "layer groups are found by 'keep'")],
)
def test_parameters_that_are_unknown_or_leave_no_groups_are_refused(
    tmp_path: Path, parameters: str, message: str
) -> None:
    path = write(tmp_path / "tiny.yaml")
    assert message in one_line(moco("sensitivity", path, "--parameters", parameters), 2)
