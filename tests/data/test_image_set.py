"""Image sets: normalised on demand, immutable, and refused where something does not fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moco.data import DataSets, ImageSet, Normalization
from moco.errors import ConfigError, DataError

PIXELS = np.arange(3 * 2 * 2 * 2, dtype=np.float32).reshape(3, 2, 2, 2) / 24


def image_set(**changes: object) -> ImageSet:
    plain = ImageSet("toy", np.array([0, 1, 1]), (2, 2, 2), 2, "hash", lambda rows: PIXELS[rows])
    return replace(plain, **changes)


def test_images_come_in_the_order_asked() -> None:
    assert np.array_equal(image_set().images(np.array([2, 0])), PIXELS[[2, 0]])


def test_all_images_come_without_indices() -> None:
    assert image_set().images().shape == (3, 2, 2, 2)


def test_images_are_normalised_by_channel() -> None:
    images = image_set(normalize=Normalization((0.5, 0.0), (0.25, 2.0))).images()

    assert images.dtype == np.float32
    assert np.allclose(images[:, 0], (PIXELS[:, 0] - 0.5) / 0.25)
    assert np.allclose(images[:, 1], PIXELS[:, 1] / 2)


def test_normalising_leaves_the_stored_pixels_alone() -> None:
    before = PIXELS.copy()
    image_set(normalize=Normalization((0.5, 0.5), (0.5, 0.5))).images()

    assert np.array_equal(PIXELS, before)


def test_labels_cannot_be_written_and_the_callers_array_still_can() -> None:
    labels = np.array([0, 1, 1])
    images = image_set(labels=labels)
    labels[0] = 1

    with pytest.raises(ValueError, match="read-only"):
        images.labels[0] = 1


def test_an_empty_set_is_refused() -> None:
    with pytest.raises(DataError, match="toy: expected at least one image, the set is empty"):
        image_set(labels=np.array([], dtype=np.int64))


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_outside_of_the_classes_is_refused_with_its_row(label: int) -> None:
    with pytest.raises(DataError, match=rf"toy, row 1: label {label} is outside of the 2 classes \(expected 0 to 1\)"):
        image_set(labels=np.array([0, label, 1]))


def test_an_image_with_nan_is_refused_with_its_row() -> None:
    broken = PIXELS.copy()
    broken[2, 0, 0, 0] = np.nan

    with pytest.raises(DataError, match="toy, row 2: the image holds values that are not finite"):
        image_set(read=lambda rows: broken[rows]).images(np.array([0, 2]))


def test_a_normalisation_for_another_number_of_channels_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.normalize: 3 means .* the images of toy have 2 channels"):
        image_set(normalize=Normalization((0, 0, 0), (1, 1, 1)))


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ((0.0,), (1.0, 1.0), "1 means but 2 standard deviations"),
        ((0.0,), (0.0,), r"data\.normalize\.std: expected numbers above 0"),
        ((float("nan"),), (1.0,), r"data\.normalize\.mean: expected finite numbers"),
    ],
)
def test_an_impossible_normalisation_is_refused(mean: tuple[float, ...], std: tuple[float, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Normalization(mean, std)


def test_sets_of_other_shapes_are_refused() -> None:
    other = image_set(name="other", shape=(1, 2, 2))
    with pytest.raises(DataError, match=r"images of toy have the shape \(2, 2, 2\), those of other \(1, 2, 2\)"):
        DataSets(image_set(), other)


def test_sets_of_other_classes_are_refused() -> None:
    with pytest.raises(DataError, match="toy has 2 classes, other 3"):
        DataSets(image_set(), image_set(name="other", classes=3))
