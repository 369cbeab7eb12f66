"""An immutable set of labelled images that are decoded on demand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moco.data.content_hashes import ContentHashes
from moco.data.pixels import Resizing
from moco.errors import ConfigError, DataError
from moco.registry import blaming

LabelArray = NDArray[np.int64]
ImageArray = NDArray[np.float32]
Read = Callable[[NDArray[np.int64]], ImageArray]
"""Images (n, channels, height, width) of these indices, not yet normalised; raises DataError naming the row."""


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation of each channel, of pixels in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ConfigError(f"data.normalize: {len(self.mean)} means but {len(self.std)} standard deviations")
        if not all(np.isfinite(self.mean)):
            raise ConfigError(f"data.normalize.mean: expected finite numbers, got {list(self.mean)}")
        if not all(np.isfinite(value) and value > 0 for value in self.std):
            raise ConfigError(f"data.normalize.std: expected numbers above 0, got {list(self.std)}")


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images."""

    name: str
    labels: LabelArray  # class of each image, (n,), in [0, classes)
    shape: tuple[int, int, int]  # of one image, (channels, height, width)
    classes: int  # a set need not hold all of them
    content_hash: str  # sha256 over the labels and the images as they are stored
    read: Read
    normalize: Normalization | None = None  # of every image that is handed out; None where they are normalised already
    class_names: tuple[str, ...] | None = None  # in the order of the classes; None where they have numbers only
    labels_were_names: bool = False  # whether the labels are words that were numbered here, in their order
    label_values: tuple[int, ...] | None = None  # the label that each class had, where they were numbered anew
    resizing: Resizing | None = None  # what is done to each image when it is read; None where nothing is known of it
    hashes: ContentHashes | None = None  # of each image's content; None where it cannot be hashed
    notes: tuple[str, ...] = ()  # what was decided in reading it that a user has to know, a line each

    def __post_init__(self) -> None:
        labels = np.asarray(self.labels)
        if labels.ndim != 1 or (labels.dtype.kind not in "iu" and labels.size):
            got = f"an array of {labels.ndim} dimensions of {labels.dtype}"
            raise DataError(f"{self.name}: expected an array (images,) of integers as the labels, got {got}")
        if not len(labels):
            raise DataError(f"{self.name}: expected at least one image, the set is empty")
        outside = np.flatnonzero((labels < 0) | (labels >= self.classes))
        if len(outside):
            raise DataError(
                f"{self.name}, row {outside[0]}: label {labels[outside[0]]} is outside of the "
                f"{self.classes} classes (expected 0 to {self.classes - 1})"
            )
        if self.normalize is not None and len(self.normalize.mean) != self.shape[0]:
            raise ConfigError(
                f"data.normalize: {len(self.normalize.mean)} means and standard deviations, "
                f"but the images of {self.name} have {self.shape[0]} channels; see data.channels"
            )
        if self.class_names is not None and len(self.class_names) != self.classes:
            raise DataError(f"{self.name}: {len(self.class_names)} names of classes, but {self.classes} classes")
        labels = labels.view()
        labels.setflags(write=False)
        object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        return len(self.labels)

    def images(self, indices: NDArray[np.int64] | None = None) -> ImageArray:
        """Normalised images (n, channels, height, width), float32, of these indices; None takes all.

        A DataError names the row of an image that cannot be decoded, has another size than the first, or holds NaN.
        """
        rows = np.arange(len(self)) if indices is None else np.asarray(indices, dtype=np.int64)
        with blaming(f"{self.name}: images cannot be read", DataError):  # by what others wrote, perhaps
            images = np.asarray(self.read(rows), dtype=np.float32)
        if images.shape != (len(rows), *self.shape):
            expected = (len(rows), *self.shape)
            raise DataError(f"{self.name}: expected images of the shape {expected}, reading them gave {images.shape}")
        broken = np.flatnonzero(~np.isfinite(images).all(axis=(1, 2, 3)))
        if len(broken):
            raise DataError(f"{self.name}, row {rows[broken[0]]}: the image holds values that are not finite")
        if self.normalize is None:
            return images
        mean = np.asarray(self.normalize.mean, dtype=np.float32)[:, None, None]
        std = np.asarray(self.normalize.std, dtype=np.float32)[:, None, None]
        normalized: ImageArray = (images - mean) / std
        return normalized


@dataclass(frozen=True)
class DataSets:
    """A training and a test set of the same shape and classes."""

    train: ImageSet
    test: ImageSet
    notes: tuple[str, ...] = ()  # what was decided in putting them together, a line each

    def __post_init__(self) -> None:
        if self.train.shape != self.test.shape:
            raise DataError(
                f"images of {self.train.name} have the shape {self.train.shape}, those of {self.test.name} "
                f"{self.test.shape}; expected the same (channels, height, width): see data.resize and data.crop"
            )
        if self.train.classes != self.test.classes:
            raise DataError(f"{self.train.name} has {self.train.classes} classes, {self.test.name} {self.test.classes}")
