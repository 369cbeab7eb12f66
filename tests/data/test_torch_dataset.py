"""A user's torch data set as an image set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from moco.data import Normalization, from_torch, torch_dataset
from moco.errors import DataError

PIXELS = torch.randn(6, 3, 4, 5, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])
BYTES = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)


class Listed:
    """A data set over a list of (image, label)."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, row: int) -> Any:
        return self.items[row]


def test_normalised_tensors_are_left_as_they_are() -> None:
    images = from_torch(TensorDataset(PIXELS, LABELS))

    assert images.shape == (3, 4, 5)
    assert images.classes == 3
    assert images.labels.tolist() == LABELS.tolist()
    assert np.array_equal(images.images(np.array([4, 0])), PIXELS[[4, 0]].numpy())


def test_a_normalisation_is_applied_where_it_is_asked() -> None:
    images = from_torch(TensorDataset(PIXELS, LABELS), normalize=Normalization((1, 1, 1), (2, 2, 2)))

    assert np.allclose(images.images(), (PIXELS.numpy() - 1) / 2)


@pytest.mark.parametrize(
    "image",
    [Image.fromarray(BYTES), BYTES, torch.from_numpy(BYTES.transpose(2, 0, 1).copy())],
    ids=["image", "array", "tensor"],
)
def test_bytes_become_values_in_the_unit_range(image: Any) -> None:
    images = from_torch(Listed([(image, 0), (image, 1)])).images()

    assert np.array_equal(images[1], BYTES.transpose(2, 0, 1).astype(np.float32) / 255)


def test_gray_images_have_one_channel() -> None:
    assert from_torch(Listed([(Image.fromarray(BYTES[:, :, 0]), 0)])).shape == (1, 4, 5)


def test_the_hash_follows_images_and_labels() -> None:
    first = from_torch(TensorDataset(PIXELS, LABELS)).content_hash
    changed = PIXELS.clone()
    changed[5, 0, 0, 0] += 1

    assert from_torch(TensorDataset(PIXELS, LABELS), name="again").content_hash == first
    assert from_torch(TensorDataset(changed, LABELS)).content_hash != first
    assert from_torch(TensorDataset(PIXELS, LABELS.flip(0))).content_hash != first


def test_a_large_set_is_read_in_part_and_takes_its_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_dataset, "CHECKED_IMAGES", 3)
    dataset = TensorDataset(PIXELS, LABELS)

    with pytest.raises(DataError, match="more than 3 images must have `targets`"):
        from_torch(dataset)
    dataset.targets = LABELS.tolist()

    assert from_torch(dataset).labels.tolist() == LABELS.tolist()


def test_a_random_augmentation_is_refused() -> None:
    class Noisy(Listed):
        def __getitem__(self, row: int) -> Any:
            image, label = self.items[row]
            self.items[row] = (image + 1, label)
            return image, label

    with pytest.raises(DataError, match="row 0: two reads give two images; remove the random augmentation"):
        from_torch(Noisy([(PIXELS[0], 0)]))


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "the set is empty"),
        ([(PIXELS[0], 0), (PIXELS[1][:, :3], 1)], r"row 1: the image has the shape \(3, 3, 5\), the first one"),
        ([(PIXELS[0], 0), (PIXELS[1] * torch.nan, 1)], "row 1: the image holds values that are not finite"),
        (
            [(PIXELS[0], 0), (PIXELS[1], 0.5)],
            "row 1: expected an integer, a word, or true or false as the label; got 0.5",
        ),
        ([(PIXELS[0], 0), (PIXELS[1], -1)], "row 1: label -1 is outside of the 1 classes"),
        ([(PIXELS[0], 0), PIXELS[1]], r"row 1: expected \(image, label\), but it failed: ValueError"),
        ([("file.png", 0)], r"row 0: expected a tensor \(channels, height, width\), an image or an array, got str"),
        ([(PIXELS[0, 0], 0)], r"row 0: expected a tensor .* got Tensor \(4, 5\)"),
    ],
)
def test_a_malformed_set_is_refused_with_its_row(items: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_torch(Listed(items))


def test_labels_beyond_the_networks_classes_are_refused() -> None:
    with pytest.raises(DataError, match="mine, row 2: label 2 is outside of the 2 classes"):
        from_torch(TensorDataset(PIXELS, LABELS), name="mine", classes=2)


def test_a_stream_is_refused() -> None:
    with pytest.raises(DataError, match="expected a map-style data set with a length, got generator"):
        from_torch(item for item in ())
