"""`moco init`: what is found and guessed, that the file loads and runs, and what is refused."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from safetensors.torch import save_file

from moco.experiment.loading import load_experiment
from moco.first_experiment.floor import floor_for
from moco.first_experiment.images import FoundImages, FoundSet
from moco.models import build_model
from tests.app.tiny import moco, one_line, read


def png(seed: int, size: tuple[int, int] = (8, 8), label: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 120, (size[1], size[0], 3), dtype=np.uint8)
    pixels[:, :, label % 3] += 120
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def folders(root: Path, parts: Iterable[str] = ("train", "test"), images: int = 30, **size: Any) -> Path:
    for part in parts:
        for label, name in enumerate(("cat", "dog")):
            (root / part / name).mkdir(parents=True)
            for n in range(images):
                (root / part / name / f"{part}_{n}.png").write_bytes(
                    png(n + 100 * (part == "test"), label=label, **size)
                )
    return root


def parquet(path: Path, image: str = "image", label: str = "label", rows: int = 8) -> Path:
    labels = [n % 2 for n in range(rows)]
    images = [{"bytes": png(n, label=label), "path": None} for n, label in enumerate(labels)]
    pq.write_table(pa.table({"id": [str(n) for n in range(rows)], image: images, label: labels}), path)
    return path


def written(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    load_experiment(path, allow_import=True)
    return found


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_what_it_writes_runs(tmp_path: Path) -> None:
    folders(tmp_path / "pets")
    done = moco("init", "pets", "--out", "pets.yaml")
    assert done.exit_code == 0, done.output
    sets = {
        "model.train.epochs": 1, "budget.trials": 2, "target.timing.seconds_batch1": 0.005,
        "target.timing.seconds_batch32": 0.005, "certificate.seconds": 0.02, "objective.floor": "-90 pp",
    }  # fmt: skip
    given = [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]
    searched = moco("search", "pets.yaml", *given)
    assert searched.exit_code in {0, 3}, searched.output
    assert read(tmp_path / "runs" / "pets" / "result.json")["trials"] == 2


def test_folders_are_found_and_what_is_guessed_is_said(tmp_path: Path) -> None:
    folders(tmp_path / "pets" / "images", ("training", "val"), 3)
    done = moco("init", "pets")
    text = (tmp_path / "experiment.yaml").read_text(encoding="utf-8")
    data = written(tmp_path / "experiment.yaml")
    assert data["name"] == "pets"
    sets = {"source": "imagefolder", "train": "pets/images/training", "test": "pets/images/val"}
    assert sets.items() <= data["data"].items()
    assert data["model"] == {"name": "cifar_resnet20", "train": {"epochs": 15, "batch_size": 1}}
    for line in ("6 training images in 2 classes in pets/images/training, 8x8 pixels", "stands for yours (--model)"):
        assert line in text
        assert line in done.stdout
    assert done.stdout.splitlines()[-1] == "experiment.yaml is written: read it, then moco search experiment.yaml"


def test_images_of_several_sizes_are_cut_to_one(tmp_path: Path) -> None:
    folders(tmp_path / "train", ("x",), 2, size=(20, 30))
    folders(tmp_path / "test", ("x",), 2, size=(40, 25))
    assert moco("init").exit_code == 0
    assert {"resize": 20, "crop": 20}.items() <= written(tmp_path / "experiment.yaml")["data"].items()


def test_parquet_files_are_found_with_their_columns(tmp_path: Path) -> None:
    parquet(tmp_path / "train-00000-of-00001.parquet", "picture", "animal")
    parquet(tmp_path / "test.parquet", "picture", "animal")
    assert moco("init", "--model", "resnet18").exit_code == 0
    data = written(tmp_path / "experiment.yaml")
    assert data["data"] == {
        "source": "parquet", "train": "train-00000-of-00001.parquet", "test": "test.parquet",
        "image_column": "picture", "label_column": "animal",
    }  # fmt: skip
    assert data["model"] == {"name": "resnet18", "train": {"epochs": 15, "batch_size": 1}}


def test_weights_tell_their_network_and_its_classes(tmp_path: Path) -> None:
    parquet(tmp_path / "train.parquet")
    parquet(tmp_path / "test.parquet")
    save_file(build_model("cifar_resnet32", 7).state_dict(), tmp_path / "mine.safetensors")
    assert moco("init").exit_code == 0
    assert written(tmp_path / "experiment.yaml")["model"] == {
        "name": "cifar_resnet32", "weights": "mine.safetensors", "num_classes": 7,
    }  # fmt: skip


@pytest.mark.parametrize(("network", "channels"), [("digits_resnet", 1), ("cifar_resnet20", None)])
def test_images_have_the_channels_that_the_network_takes(tmp_path: Path, network: str, channels: int | None) -> None:
    folders(tmp_path / "pets", images=2)
    assert moco("init", "pets", "--model", network).exit_code == 0
    assert written(tmp_path / "experiment.yaml")["data"].get("channels") == channels


def test_given_names_are_taken(tmp_path: Path) -> None:
    train, test = parquet(tmp_path / "a.parquet"), parquet(tmp_path / "b.parquet")
    given = ("--train", train, "--test", test, "--model", "my.module:network", "--out", "deep/mine.yaml")
    done = moco("init", *given, "--json")
    data = written(tmp_path / "deep" / "mine.yaml")
    assert (data["name"], data["model"]) == ("mine", {"import": "my.module:network"})
    assert data["data"] == {"source": "parquet", "train": "../a.parquet", "test": "../b.parquet"}
    assert '"next": "moco search deep/mine.yaml --allow-import"' in done.stdout


def test_without_images_it_is_the_digits(tmp_path: Path) -> None:
    done = moco("init")
    assert "guessed: no images found here" in done.stdout
    data = written(tmp_path / "experiment.yaml")
    assert (data["data"], data["model"]["name"]) == ({"source": "digits"}, "digits_resnet")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("nowhere",), "nowhere: no such folder or file"),
        (("empty",), "empty: no training and test set found; expected folders train/ and test/ with a folder a class"),
        (("--train", "empty"), "only one is given; name the other with --test"),
        (("--train", "empty", "--test", "empty"), "empty: expected a folder of images for each class, found none"),
        (("--train", "x.txt", "--test", "x.txt"), "x.txt: expected a folder of images or a parquet file"),
        (("--model", "resnet1"), "--model: unknown model 'resnet1'; did you mean 'resnet"),
        (("--weights", "x.txt"), "x.txt: not a readable safetensors file"),
        (("--out", "x.txt"), "x.txt: exists already and is not overwritten; choose another --out"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_and_nothing_is_written(tmp_path: Path, arguments: Any, line: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.txt").write_text("kept", encoding="utf-8")
    done = moco("init", *arguments)
    assert line in one_line(done, done.exit_code or 1)
    assert done.exit_code in {1, 2}
    assert not (tmp_path / "experiment.yaml").exists()
    assert (tmp_path / "x.txt").read_text(encoding="utf-8") == "kept"


def test_weights_of_no_known_network_ask_for_its_name(tmp_path: Path) -> None:
    save_file(build_model("cifar_resnet20", 7).layer1.state_dict(), tmp_path / "mine.safetensors")
    assert "name it with --model" in one_line(moco("init"), 2)


def test_few_test_images_get_a_floor_that_they_can_certify(tmp_path: Path) -> None:
    folders(tmp_path / "few", images=20)
    done = moco("init", "few", "--out", "few.yaml")
    assert "guessed: a floor of -10 pp: 40 test images can hardly certify one of -2 pp" in done.output
    assert written(tmp_path / "few.yaml")["objective"]["floor"] == "-10 pp"


@pytest.mark.parametrize(("images", "points"), [(40, 10), (300, 5), (700, 3), (5000, 2)])
def test_a_floor_is_what_the_images_left_for_the_certificate_can_show(images: int, points: int) -> None:
    """Margins of 1.8, 1.1, 0.9 ... points, by W02's formula, from what a search split of at most 1,000 leaves."""
    test = FoundSet(Path("test"), images, 2, frozenset(), frozenset())
    assert floor_for(FoundImages("imagefolder", test, test)).points == points


def test_a_floor_that_the_images_cannot_show_is_refused_before_the_network_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders(tmp_path / "few", images=20)
    moco("init", "few", "--out", "few.yaml")
    monkeypatch.setattr("moco.models.trained.train", lambda *_, **__: pytest.fail("it was trained"))
    done = moco("search", "few.yaml", "--set", "objective.floor=-2 pp")
    line = one_line(done, 2)
    assert "cannot be certified" in line
    assert "a smaller data.splits.search leaves more" in line
