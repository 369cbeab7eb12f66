"""Sources by name: digits, torchvision's sets and folders, and the options that each takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from moco.data import Normalization, SourceOptions, load_data
from moco.errors import ConfigError, DataError
from moco.models.torchvision_shim import import_torchvision

import_torchvision()


def folder(root: Path, side: int = 8) -> Path:
    for label, name in enumerate(("ant", "bee")):
        (root / name).mkdir(parents=True)
        for index in range(2):
            pixels = np.full((side, side + 2, 3), 100 * label + index, dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index}.png")
    return root


def test_digits_are_split_by_class_and_always_alike() -> None:
    sets = load_data("digits")

    assert (len(sets.train), len(sets.test)) == (1000, 797)
    assert (sets.train.shape, sets.train.classes) == ((1, 8, 8), 10)
    assert sets.train.content_hash == load_data("digits").train.content_hash
    assert np.ptp(np.bincount(sets.test.labels)) <= 5


def test_digits_are_real_images_in_the_unit_range_and_in_one_part_only() -> None:
    sets = load_data("digits")
    both = np.concatenate([sets.train.images(), sets.test.images()]).reshape(1797, 64)

    assert (both.min(), both.max()) == (0.0, 1.0)
    assert len(np.unique(both, axis=0)) == 1797


def test_digits_can_be_normalised() -> None:
    images = load_data("digits", normalize=Normalization((0.5,), (0.5,))).test.images()

    assert (images.min(), images.max()) == (-1.0, 1.0)


def test_a_folder_of_images_is_read_by_class(tmp_path: Path) -> None:
    options = SourceOptions(train=folder(tmp_path / "a"), test=folder(tmp_path / "b", side=12), resize=8, crop=6)

    sets = load_data("imagefolder", options)

    assert sets.train.labels.tolist() == [0, 0, 1, 1]
    assert sets.train.shape == sets.test.shape == (3, 6, 6)
    assert np.allclose(sets.test.images()[:, 0, 0, 0] * 255, [0, 1, 100, 101])


def test_a_folder_without_classes_is_refused(tmp_path: Path) -> None:
    options = SourceOptions(train=tmp_path, test=tmp_path, resize=8, crop=8)

    with pytest.raises(DataError, match="expected one folder of images a class"):
        load_data("imagefolder", options)


class FakeCIFAR10:
    """Stands in for torchvision's class, whose files need a network."""

    def __init__(self, root: str, train: bool, download: bool) -> None:
        assert download
        self.data = np.full((4, 32, 32, 3), 255 if train else 51, dtype=np.uint8)
        self.targets = [0, 1, 2, 9]


def test_cifar10_comes_from_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.datasets.CIFAR10", FakeCIFAR10)

    sets = load_data("cifar10", SourceOptions(root=tmp_path))

    assert sets.train.labels.tolist() == [0, 1, 2, 9]
    assert sets.test.images(np.array([3])).shape == (1, 3, 32, 32)
    assert np.allclose(sets.test.images(), 0.2)


def test_cifar10_that_cannot_be_downloaded_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_args: Any, **_options: Any) -> None:
        raise OSError("no route")

    monkeypatch.setattr("torchvision.datasets.CIFAR10", offline)

    with pytest.raises(DataError, match=r"CIFAR-10 is not in .* and cannot be downloaded: no route"):
        load_data("cifar10", SourceOptions(root=tmp_path))


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("digit", SourceOptions(), r"data\.source: unknown source 'digit'; did you mean 'digits'\?"),
        ("parquet", SourceOptions(train="a"), r"data\.test: the source 'parquet' needs it"),
        ("digits", SourceOptions(root="a"), r"data\.root: the source 'digits' has no such option"),
        ("cifar10", SourceOptions(), r"data\.root: the source 'cifar10' needs it"),
    ],
)
def test_a_source_that_cannot_be_opened_is_refused_with_the_key(
    source: str, options: SourceOptions, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_data(source, options)
