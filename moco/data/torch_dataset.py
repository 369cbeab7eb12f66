"""Any map-style torch data set that yields (image, label), wrapped as an image set."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from moco.data.decoding import content_hash
from moco.data.image_set import ImageArray, ImageSet, LabelArray, Normalization
from moco.errors import DataError

CHECKED_IMAGES = 10_000
"""Images that are read when a set is wrapped: all of a smaller set, evenly spaced ones of a larger set."""


class DatasetReader:
    """Reads images of a torch data set."""

    def __init__(self, dataset: Any, name: str) -> None:
        self.dataset, self.name = dataset, name

    def __call__(self, indices: NDArray[np.int64]) -> ImageArray:
        """Images (n, channels, height, width): floats as they are, bytes in [0, 1]."""
        arrays = [self.item(int(row))[0] for row in indices]
        for row, array in zip(indices, arrays, strict=True):
            if array.shape != arrays[0].shape:
                raise DataError(
                    f"{self.name}, row {row}: the image has the shape {array.shape}, an earlier one {arrays[0].shape}; "
                    "all must have one shape"
                )
        return np.stack(arrays)

    def item(self, row: int) -> tuple[ImageArray, int]:
        """Image (channels, height, width) and label of a row."""
        try:
            image, label = self.dataset[row]
        except Exception as error:  # a user's data set may raise anything
            raise DataError(
                f"{self.name}, row {row}: expected (image, label), got {type(error).__name__}: {error}"
            ) from error
        array = _to_array(image)
        if array is None:
            shape = getattr(image, "shape", "")
            raise DataError(
                f"{self.name}, row {row}: expected a tensor (channels, height, width), an image or an array, "
                f"got {type(image).__name__} {tuple(shape) if shape else ''}".rstrip()
            )
        if not np.isfinite(array).all():
            raise DataError(f"{self.name}, row {row}: the image holds values that are not finite")
        return array, self._label(label, row)

    def _label(self, label: Any, row: int) -> int:
        value = np.asarray(label)
        if value.size != 1 or not np.issubdtype(value.dtype, np.integer):
            raise DataError(f"{self.name}, row {row}: expected an integer label, got {label!r}")
        return int(value.reshape(()))


def from_torch(
    dataset: Any, *, name: str = "data set", classes: int | None = None, normalize: Normalization | None = None
) -> ImageSet:
    """An image set over a map-style data set, which has a length and yields (image, label) without random augmentation.

    Up to 10,000 images are read here to check and hash them. A larger set must have `targets`, the list of all labels,
    as torchvision's sets do. `classes` of None takes the largest label plus one; `normalize` is applied to every image,
    None leaves images that are normalised already as they are. A DataError names the row where the set is empty, random
    or malformed.
    """
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise DataError(f"{name}: expected a map-style data set with a length, got {type(dataset).__name__}")
    if not len(dataset):
        raise DataError(f"{name}: expected at least one image, the set is empty")
    reader = DatasetReader(dataset, name)
    shape = reader.item(0)[0].shape
    _check_repeatable(reader, min(len(dataset), 8))
    labels, digest = _scan(reader, len(dataset), shape)
    n_classes = int(labels.max()) + 1 if classes is None else classes
    return ImageSet(name, labels, (shape[0], shape[1], shape[2]), n_classes, digest, reader, normalize)


def _scan(reader: DatasetReader, images: int, shape: tuple[int, ...]) -> tuple[LabelArray, str]:
    """Labels of all images, and the hash over them and the images that are read here."""
    step = -(-images // CHECKED_IMAGES)
    labels = np.zeros(images, dtype=np.int64)
    if step > 1:
        targets = getattr(reader.dataset, "targets", None)
        if targets is None or len(targets) != images:
            raise DataError(
                f"{reader.name}: a set of more than {CHECKED_IMAGES} images must have `targets`, the list of all labels"
            )
        labels = np.array(targets, dtype=np.int64)
    encoded = []
    for row in range(0, images, step):
        image, labels[row] = reader.item(row)
        if image.shape != shape:
            raise DataError(
                f"{reader.name}, row {row}: the image has the shape {image.shape}, the first one {shape}; "
                "all must have one shape"
            )
        encoded.append(image)
    return labels, content_hash(labels, (image.tobytes() for image in encoded))


def _check_repeatable(reader: DatasetReader, images: int) -> None:
    """Pass images that are the same in two reads: else each evaluation would see another one."""
    for row in range(images):
        if not np.array_equal(reader.item(row)[0], reader.item(row)[0]):
            raise DataError(f"{reader.name}, row {row}: two reads give two images; remove the random augmentation")


def _to_array(image: Any) -> ImageArray | None:
    """Image (channels, height, width): floats as they are, bytes divided by 255; None for anything else."""
    if isinstance(image, Image.Image):
        image = np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))
    if isinstance(image, torch.Tensor):
        array = image.detach().cpu().numpy()
    elif isinstance(image, np.ndarray):
        # Arrays of bytes come as (height, width) or (height, width, channels), arrays of floats as tensors do.
        array = np.atleast_3d(image).transpose(2, 0, 1) if image.dtype == np.uint8 else image
    else:
        return None
    if array.ndim != 3 or array.dtype.kind not in "fu":
        return None
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array, dtype=np.float32) / np.float32(255)
    return np.ascontiguousarray(array, dtype=np.float32)
