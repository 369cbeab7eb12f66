"""Folders and parquet files of images as users have them: grey, deep, transparent, not square, of several sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from moco.data import DataSets, Normalization, SourceOptions, load_data
from moco.errors import ConfigError, DataError
from tests.data.image_files import folder, parquet_file, picture

RGB_STATISTICS = Normalization((0.4, 0.5, 0.6), (0.2, 0.2, 0.3))


def sets(tmp_path: Path, source: str, mode: str, test_mode: str | None = None, **options: Any) -> DataSets:
    """Two classes of two pictures each, of the modes, from a source."""
    normalize = options.pop("normalize", None)
    paths = {}
    for number, (part, kind) in enumerate((("train", mode), ("test", test_mode or mode))):
        images = [picture(10 * number + seed, kind) for seed in range(4)]
        if source == "parquet":
            paths[part] = parquet_file(tmp_path / f"{part}.parquet", images, [0, 0, 1, 1])
        else:
            suffix = "png" if kind in ("1", "L", "LA", "I;16", "P", "RGB", "RGBA") else "tiff"
            paths[part] = folder(tmp_path / part, {"ant": images[:2], "bee": images[2:]}, suffix)
    return load_data(source, SourceOptions(**paths, **options), normalize)


@pytest.mark.parametrize("source", ["imagefolder", "parquet"])
@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("1", 1), ("I;16", 1), ("RGB", 3), ("P", 3), ("RGBA", 4)])
def test_channels_and_size_are_those_of_the_files(tmp_path: Path, source: str, mode: str, channels: int) -> None:
    found = sets(tmp_path, source, mode)

    assert found.train.shape == found.test.shape == (channels, 6, 8)
    images = found.train.images()
    assert 0 <= images.min() < images.max() <= 1
    assert images.std() > 0.1


@pytest.mark.parametrize("source", ["imagefolder", "parquet"])
def test_sixteen_bit_images_are_scaled_not_white(tmp_path: Path, source: str) -> None:
    """Case c28: a gray PNG of 16 bits arrived as all ones."""
    images = sets(tmp_path, source, "I;16").train.images(np.array([1]))

    assert np.array_equal(images[0, 0], np.asarray(picture(1, "I;16")).astype(np.float32) / np.float32(65535))


def test_grey_files_say_so_and_coloured_ones_say_nothing(tmp_path: Path) -> None:
    (note,) = sets(tmp_path / "a", "imagefolder", "L").train.notes

    assert note.endswith("all images are grey, so the network gets 1 channel; data.channels: 3 reads them as RGB")
    assert sets(tmp_path / "b", "imagefolder", "RGB").train.notes == ()


@pytest.mark.parametrize(("mode", "channels"), [("L", 3), ("RGB", 1), ("RGB", 4), ("RGBA", 3), ("LA", 2)])
def test_channels_that_are_asked_for_are_given(tmp_path: Path, mode: str, channels: int) -> None:
    found = sets(tmp_path, "imagefolder", mode, channels=channels)

    assert found.train.images().shape[1] == channels
    assert found.train.notes == ()


def test_statistics_of_three_channels_make_grey_files_rgb(tmp_path: Path) -> None:
    assert sets(tmp_path, "imagefolder", "L", normalize=RGB_STATISTICS).train.shape == (3, 6, 8)


def test_files_of_several_kinds_are_rgb_and_say_so(tmp_path: Path) -> None:
    found = sets(tmp_path, "parquet", "L", "RGB")

    assert found.train.shape == found.test.shape == (3, 6, 8)
    assert found.notes[0].endswith("test.parquet 3: all are read as RGB")
    mixed = {"ant": [picture(1, "L")], "bee": [picture(2)]}
    images = load_data(
        "imagefolder", SourceOptions(train=folder(tmp_path / "a", mixed), test=folder(tmp_path / "b", mixed))
    ).train
    assert images.shape == (3, 6, 8)
    assert "several kinds (1 grey, 1 RGB): all are read as RGB; see data.channels" in images.notes[0]


def test_a_number_of_channels_that_no_file_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.channels: 5 asked, images in files have 1 \(grey\), 2"):
        sets(tmp_path, "imagefolder", "RGB", channels=5)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_a_range_that_is_not_known_is_refused_at_the_start(tmp_path: Path, mode: str) -> None:
    with pytest.raises(
        DataError, match=r"train, row 0: the image holds .* whose range is not known; store it with 8 or 16 bits"
    ):
        sets(tmp_path, "imagefolder", mode)


def test_several_sizes_are_one_line_that_says_what_to_set(tmp_path: Path) -> None:
    classes = {"ant": [picture(n, height=6 + n % 2) for n in range(3)], "bee": [picture(9, height=40, width=30)]}
    options = SourceOptions(train=folder(tmp_path, classes), test=tmp_path)
    expected = (
        r"the images have 3 sizes \(height x width\): 6x8 \(2, first in row 0\), 7x8 \(1, first in row 1\), "
        r"40x30 \(1, first in row 3\); all must have one: set data\.resize, such as \[6, 8\], or a number"
    )

    with pytest.raises(DataError, match=expected):
        load_data("imagefolder", options)


def test_several_sizes_are_resized_to_one(tmp_path: Path) -> None:
    classes = {"ant": [picture(1)], "bee": [picture(2, height=40, width=30)]}
    paths = {"train": folder(tmp_path / "a", classes), "test": folder(tmp_path / "b", classes)}

    images = load_data("imagefolder", SourceOptions(**paths, resize=(10, 12), crop=(10, 11))).train

    assert images.images().shape == (2, 3, 10, 11)


def test_an_image_smaller_than_the_crop_is_refused_with_its_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train, row 0: the image is 6x8 pixels .* data\.crop asks for 7x7"):
        sets(tmp_path, "imagefolder", "RGB", crop=7)


def test_a_file_that_is_no_image_is_refused_with_its_row(tmp_path: Path) -> None:
    root = folder(tmp_path, {"ant": [picture(1)], "bee": [picture(2)]})
    (root / "bee" / "001.png").write_bytes(b"not an image")

    with pytest.raises(DataError, match="row 2: the image cannot be decoded"):
        load_data("imagefolder", SourceOptions(train=root, test=root))


def test_pixels_are_those_that_torchvision_reads(tmp_path: Path) -> None:
    found = sets(tmp_path, "imagefolder", "RGB").test.images(np.array([3]))

    expected = np.asarray(Image.open(tmp_path / "test" / "bee" / "001.png")).transpose(2, 0, 1)
    assert np.array_equal(found[0], expected.astype(np.float32) / np.float32(255))
