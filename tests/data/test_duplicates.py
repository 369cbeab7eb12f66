"""Images that stand in two splits, or twice: a few are warned of, many are refused."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from moco.data import DataSets, SourceOptions, load_data
from moco.data.decoding import of_pixels
from moco.data.sources import as_data_sets
from moco.data.split_data import DataSpec, SplitData, split_data
from moco.errors import DataError
from tests.data.image_files import folder, parquet_file, picture

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (1200, 1, 4, 4), dtype=np.uint8)
LABELS = np.arange(1200) % 4


def split(sets: DataSets, allowed: bool = False) -> SplitData:
    return split_data(DataSpec("python", calibration=4, allow_duplicates=allowed), sets)


def of_rows(train: Sequence[int] | np.ndarray, test: Sequence[int] | np.ndarray) -> DataSets:
    """Sets in memory of these rows of the same images."""
    return DataSets(*(of_pixels(name, PIXELS[r], LABELS[r], 4, None) for name, r in (("a", train), ("b", test))))


def test_images_of_their_own_say_nothing() -> None:
    assert split(of_rows(range(600), range(600, 1200))).warnings == ()


def test_a_copied_test_set_is_refused_in_any_order() -> None:
    expected = (
        r"^600 of 600 images of b that are scored are also in the training set a \(100\.00%, the first in row 0\): "
        r"accuracy on images that a network was trained on says nothing; take them out, or set data\.allow_duplicates"
    )
    with pytest.raises(DataError, match=expected):
        split(of_rows(range(600), RNG.permutation(600)))


def test_a_partly_copied_test_set_is_refused_and_a_few_copies_are_warned_of() -> None:
    with pytest.raises(
        DataError, match=r"^7 of 600 images of b .* \(1\.17%, the first in row 0\).*above 1% is refused"
    ):
        split(of_rows(range(600), range(593, 1193)))

    (warning,) = split(of_rows(range(600), range(594, 1194))).warnings

    assert warning.startswith("6 of 600 images of b that are scored are also in the training set a (1.00%")


def test_copies_can_be_allowed() -> None:
    (warning,) = split(of_rows(range(600), range(300, 900)), allowed=True).warnings

    assert warning.startswith("300 of 600 images")


def test_an_image_of_the_search_split_that_certifies_too_is_found() -> None:
    twice = [*range(600, 900), *range(600, 900)]

    with pytest.raises(DataError, match=r"certification images of b are also among its search images"):
        split(of_rows(range(600), twice))


def test_an_image_that_certifies_twice_is_found() -> None:
    data = split(of_rows(range(600), [*range(600, 1196), 600, 601, 602, 603]), allowed=True)

    assert len(data.warnings) in (1, 2), "of four pairs, some stand in one split and some in both"
    assert all("certification images of b" in warning for warning in data.warnings)


@pytest.mark.parametrize("source", ["imagefolder", "parquet"])
def test_files_are_compared_by_content_whatever_their_names(tmp_path: Path, source: str) -> None:
    images = [picture(seed) for seed in range(8)]
    if source == "parquet":
        train = parquet_file(tmp_path / "a.parquet", images, [0, 1] * 4)
        test = parquet_file(tmp_path / "b.parquet", images[::-1], [1, 0] * 4)
    else:
        train = folder(tmp_path / "a", {"ant": images[::2], "bee": images[1::2]})
        test = folder(tmp_path / "b", {"ant": [], "bee": []})
        for number, file in enumerate(sorted(train.glob("*/*.png"), reverse=True)):
            shutil.copy(file, test / file.parent.name / f"renamed_{number}.png")
    sets = load_data(source, SourceOptions(train=train, test=test))

    with pytest.raises(DataError, match="8 of 8 images of"):
        split(sets)


def test_only_files_of_one_length_are_read(tmp_path: Path) -> None:
    paths = {
        part: folder(tmp_path / part, {"ant": [picture(seed, height=side)], "bee": [picture(seed + 1, height=side)]})
        for part, seed, side in (("train", 0, 6), ("test", 5, 9))
    }
    sets = load_data("imagefolder", SourceOptions(**paths, crop=6))
    shutil.rmtree(tmp_path / "train")

    assert split_data(DataSpec("python", calibration=1, search=1, certification=1), sets).warnings == ()


def test_sets_from_python_are_compared() -> None:
    images, labels = torch.from_numpy(PIXELS[:40]).float(), torch.from_numpy(LABELS[:40])
    train, test = TensorDataset(images, labels), TensorDataset(images.flip(0), labels.flip(0))

    with pytest.raises(DataError, match="40 of 40 images of test that are scored are also in the training set train"):
        split(as_data_sets(train, test))
