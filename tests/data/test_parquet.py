"""Parquet files: the usual layouts are read exactly, and what is wrong is named with its file and row."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from moco.data import Normalization, SourceOptions, load_data, parquet
from moco.data.decoding import Resizing
from moco.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
PIXELS = [RNG.integers(0, 256, (4, 6, 3), dtype=np.uint8) for _ in range(3)]


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


ENCODED: tuple[Any, ...] = tuple(png(pixels) for pixels in PIXELS)


def write(path: Path, images: Sequence[Any] = ENCODED, labels: Any = (0, 1, 2), **columns: Any) -> Path:
    pq.write_table(pa.table(columns or {"image": list(images), "label": list(labels)}), path)
    return path


def test_pixels_are_decoded_exactly(tmp_path: Path) -> None:
    images = parquet.load(write(tmp_path / "a.parquet"))

    assert images.shape == (3, 4, 6)
    assert images.classes == 3
    assert images.labels.tolist() == [0, 1, 2]
    expected = PIXELS[1].transpose(2, 0, 1).astype(np.float32) / 255
    assert np.array_equal(images.images(np.array([1]))[0], expected)


def test_a_struct_with_bytes_is_read(tmp_path: Path) -> None:
    structs = [{"bytes": data, "path": None} for data in ENCODED]

    images = parquet.load(write(tmp_path / "a.parquet", img=structs, fine_label=[2, 0, 1]))

    assert images.labels.tolist() == [2, 0, 1]
    assert images.images().shape == (3, 3, 4, 6)


def test_named_columns_go_before_the_usual_ones(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", picture=list(ENCODED), label=[0, 0, 0], coarse=[1, 0, 1])

    assert parquet.load(path, image_column="picture", label_column="coarse").labels.tolist() == [1, 0, 1]


def test_gray_images_become_rgb_where_it_is_asked(tmp_path: Path) -> None:
    gray = png(PIXELS[0][:, :, 0])

    images = parquet.load(write(tmp_path / "a.parquet", [gray], [0]), channels=3).images()

    assert np.array_equal(images[0, 0], images[0, 2])


def test_the_hash_follows_images_and_labels_and_not_the_path(tmp_path: Path) -> None:
    first = parquet.load(write(tmp_path / "a.parquet")).content_hash

    assert parquet.load(write(tmp_path / "b.parquet")).content_hash == first
    assert parquet.load(write(tmp_path / "c.parquet", labels=[0, 2, 1])).content_hash != first
    assert parquet.load(write(tmp_path / "d.parquet", ENCODED[::-1])).content_hash != first


def test_images_of_many_sizes_are_cut_to_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [ENCODED[0], png(np.zeros((9, 5, 3), dtype=np.uint8))], [0, 1])

    images = parquet.load(path, resizing=Resizing(resize=8, crop=6))

    assert images.shape == (3, 6, 6)
    assert images.images().shape == (2, 3, 6, 6)


def test_mixed_sizes_are_refused_when_the_file_is_opened(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", [*ENCODED[:2], png(np.zeros((5, 5, 3), dtype=np.uint8))])

    with pytest.raises(
        DataError,
        match=r"the images have 2 sizes \(height x width\): 4x6 \(2, first in row 0\), 5x5 \(1, first in row 2\); all",
    ):
        parquet.load(path)


@pytest.mark.parametrize("broken", [b"not an image", b"", None])
def test_an_undecodable_image_is_refused_with_its_row(tmp_path: Path, broken: bytes | None) -> None:
    path = write(tmp_path / "a.parquet", [ENCODED[0], broken, ENCODED[2]])

    with pytest.raises(DataError, match=r"a\.parquet, row 1: the image cannot be decoded"):
        parquet.load(path)


def test_a_truncated_image_is_refused_with_its_row_when_it_is_read(tmp_path: Path) -> None:
    images = parquet.load(write(tmp_path / "a.parquet", [ENCODED[0], ENCODED[1][:60], ENCODED[2]]))

    with pytest.raises(DataError, match=r"a\.parquet, row 1: the image cannot be decoded"):
        images.images(np.array([2, 1]))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": ["a"], "label": [0]}, "column 'image' holds string, expected encoded images"),
        ({"image": [{"path": "a"}], "label": [0]}, "column 'image' has the fields path; expected 'bytes'"),
        ({"image": [b"a"], "label": [[0]]}, "column 'label' holds list<.*>, expected integers from 0"),
        ({"image": [b"a"], "label": [0.5]}, "column 'label' holds double, expected integers from 0"),
        ({"picture": [b"a"], "label": [0]}, r"no column 'img or image or bytes'"),
        ({"image": [b"a"], "class": [0]}, r"no column 'label or labels or fine_label'"),
    ],
)
def test_a_file_of_another_layout_is_refused(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=rf"a\.parquet: {message}"):
        parquet.load(write(tmp_path / "a.parquet", **columns))


def test_a_missing_label_is_refused_with_its_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.parquet, row 1: the label in column 'label' is missing"):
        parquet.load(write(tmp_path / "a.parquet", labels=[0, None, 1]))


def test_a_negative_label_is_refused_with_its_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.parquet, row 2: label -1 is outside of the 2 classes"):
        parquet.load(write(tmp_path / "a.parquet", labels=[0, 1, -1]))


def test_an_unknown_column_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'labell'; did you mean 'label'\?"):
        parquet.load(write(tmp_path / "a.parquet"), label_column="labell")


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", image=pa.array([], pa.binary()), label=pa.array([], pa.int64()))

    with pytest.raises(DataError, match="the file has no rows"):
        parquet.load(path)


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("not parquet")

    with pytest.raises(DataError, match=r"a\.parquet: not a readable parquet file"):
        parquet.load(tmp_path / "a.parquet")


def test_both_sets_know_the_classes_of_either(tmp_path: Path) -> None:
    train, test = write(tmp_path / "a.parquet"), write(tmp_path / "b.parquet", labels=[0, 1, 0])

    sets = load_data("parquet", SourceOptions(train=train, test=test))

    assert (sets.train.classes, sets.test.classes) == (3, 3)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    options = SourceOptions(train=tmp_path / "gone.parquet", test=write(tmp_path / "b.parquet"))

    with pytest.raises(DataError, match=r"no such file or folder: .*gone\.parquet"):
        load_data("parquet", options)


def test_a_normalisation_for_gray_images_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet")

    with pytest.raises(ConfigError, match=r"data\.normalize: 1 means"):
        load_data("parquet", SourceOptions(train=path, test=path), Normalization((0.5,), (0.5,)))


def test_the_real_test_images_are_read(cifar10: Path) -> None:
    images = parquet.load(cifar10 / "test.parquet")

    assert (len(images), images.shape, images.classes) == (5000, (3, 32, 32), 10)
    assert np.bincount(images.labels).tolist() == [500] * 10
    first = images.images(np.arange(4))
    assert 0 <= first.min() < first.max() <= 1
