"""Names of classes, size and normalisation are in all that a search delivers; copies of images stop it at its start."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

import moco as library
from moco.data import InputDescription, load_data
from moco.models import build_model
from tests.app.tiny import moco, one_line, read
from tests.data.image_files import parquet_file

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DESCRIPTION = {"classes": list(NAMES), "channels": 1, "size": [8, 8], "mean": [0.0], "std": [1.0]}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The digits as grey files with names of their classes."""
    folder, sets = tmp_path_factory.mktemp("files"), load_data("digits")
    paths = {}
    for part, images in (("train", sets.train), ("test", sets.test)):
        pixels = (images.images()[:, 0] * 255).round().astype(np.uint8)
        labels = images.labels.tolist()
        paths[part] = str(parquet_file(folder / part, [Image.fromarray(one) for one in pixels], labels, NAMES))
    return paths


@pytest.fixture
def described(experiment: Any, files: dict[str, str]) -> Path:
    return Path(experiment(data={"source": "parquet", "normalize": {"mean": [0.0], "std": [1.0]}, **files}))


@pytest.mark.slow
def test_classes_and_images_are_described_in_all_that_is_delivered(described: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = moco("search", described, "--out", run, "--set", "budget.trials=3")
    assert result.exit_code == 0, result.output

    assert read(run / "result.json")["description"] == DESCRIPTION
    assert read(run / "manifest.json")["data"]["description"] == DESCRIPTION
    for file in run.glob("**/model.onnx"):
        known = onnxruntime.InferenceSession(file).get_modelmeta().custom_metadata_map
        assert {name: json.loads(known[f"moco.{name}"]) for name in DESCRIPTION} == DESCRIPTION
    card = (run / "best" / "card.md").read_text(encoding="utf-8")
    assert "- Images: 1 channel, 8x8 pixels (height x width)" in card
    assert "- Classes, by output: 0 zero, 1 one, 2 two" in card
    loaded = library.load_network(build_model("digits_resnet", 10), run / "best", torch.zeros(1, 1, 8, 8))
    assert loaded.input_description == InputDescription(NAMES, 1, (8, 8), (0.0,), (1.0,))
    trials, best = read(run / "trials.json"), read(run / "result.json")["best"]
    assert trials[best["trial"]]["evaluation"]["artifact_sha256"] == best["sha256"], "described before it is scored"

    again = moco("search", described, "--out", run, "--resume", "--set", "budget.trials=4")
    assert again.exit_code == 0, again.output


@pytest.mark.slow
def test_a_search_of_an_older_moco_goes_on_with_files_that_say_nothing(
    described: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as older:
        older.setattr(InputDescription, "of", staticmethod(lambda _images: InputDescription()))
        assert moco("search", described, "--out", run, "--set", "budget.trials=2").exit_code == 0
    assert "description" not in read(run / "manifest.json")["data"]

    assert moco("search", described, "--out", run, "--resume", "--set", "budget.trials=3").exit_code == 0

    assert not onnxruntime.InferenceSession(run / "best" / "model.onnx").get_modelmeta().custom_metadata_map


@pytest.mark.slow
def test_workers_describe_their_files_too(described: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = ["workers=2", "budget.trials=2"]
    result = moco("search", described, "--out", run, *(part for one in settings for part in ("--set", one)))
    assert result.exit_code == 0, result.output

    known = onnxruntime.InferenceSession(run / "best" / "model.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(known["moco.classes"]) == list(NAMES)


def test_a_copied_test_set_is_refused_before_anything_is_measured(
    experiment: Any, files: dict[str, str], tmp_path: Path
) -> None:
    """Seen: a test set that was copied from the training set was certified."""
    shutil.copy(files["train"], tmp_path / "renamed.parquet")
    sections = {"source": "parquet", "train": files["train"], "test": str(tmp_path / "renamed.parquet")}
    line = one_line(moco("search", experiment(data=sections), "--out", tmp_path / "run"), 1)
    assert "hold the same images" in line

    rows = load_data("digits").train
    pixels = (rows.images()[::-1, 0] * 255).round().astype(np.uint8)
    images = [Image.fromarray(one) for one in pixels]
    parquet_file(tmp_path / "reordered.parquet", images, rows.labels[::-1].tolist(), NAMES)
    sections["test"] = str(tmp_path / "reordered.parquet")
    line = one_line(moco("search", experiment(data=sections), "--out", tmp_path / "run"), 1)
    assert "are also in the training set" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("channels", "has"), [(3, 3), (None, 1)])
def test_channels_that_the_network_does_not_take_are_one_line(
    experiment: Any, files: dict[str, str], tmp_path: Path, channels: int | None, has: int
) -> None:
    name = "digits_resnet" if channels == 3 else "cifar_resnet20"
    path = experiment(model={"name": name, "weights": None}, data={"source": "parquet", "channels": channels, **files})
    line = one_line(moco("search", path, "--out", tmp_path / "run"), 1)
    assert f"the network takes images of {4 - has} channel" in line
    assert f"have the shape ({has}, 8, 8): set data.channels: {4 - has}" in line


def test_labels_that_start_at_1_are_told_of_and_searched(
    experiment: Any, files: dict[str, str], tmp_path: Path
) -> None:
    paths = {}
    for part, images in (("train", load_data("digits").train), ("test", load_data("digits").test)):
        pixels = (images.images()[:, 0] * 255).round().astype(np.uint8)
        labels = (images.labels + 1).tolist()
        paths[part] = str(parquet_file(tmp_path / part, [Image.fromarray(one) for one in pixels], labels))
    run = tmp_path / "run"

    result = moco("search", experiment(data={"source": "parquet", **paths}), "--out", run, "--set", "budget.trials=2")

    assert result.exit_code == 0, result.output
    found = read(run / "result.json")
    assert any("numbered as classes 0 to 9" in line and "1 = 0, 2 = 1" in line for line in found["warnings"])
    assert found["reference"]["top1_error"] < 0.1
