"""Encoded images (PNG, JPEG, WebP ...) into arrays, with the row in every error."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from moco.data.image_set import ImageArray, ImageSet, LabelArray, Normalization
from moco.errors import DataError


@dataclass(frozen=True)
class Resizing:
    """What is done to an image before it becomes a tensor."""

    resize: int | None = None  # the shorter side after scaling, in pixels; None keeps the size
    crop: int | None = None  # side of the square cut from the middle, in pixels; None keeps all

    def __call__(self, image: Image.Image) -> Image.Image:
        """The image, scaled and cut."""
        if self.resize is not None:
            scale = self.resize / min(image.size)
            width, height = (max(round(side * scale), self.resize) for side in image.size)
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        if self.crop is not None:
            left, top = (image.width - self.crop) // 2, (image.height - self.crop) // 2
            image = image.crop((left, top, left + self.crop, top + self.crop))
        return image


@dataclass(frozen=True)
class EncodedImages:
    """Images as encoded files in memory or on disk, read as RGB in [0, 1]."""

    name: str
    load: Callable[[int], bytes]  # encoded bytes of the image in a row; raises OSError or DataError
    resizing: Resizing

    def __call__(self, indices: NDArray[np.int64]) -> ImageArray:
        """RGB images (n, 3, height, width) in [0, 1]."""
        decoded = [self.decode(int(row)) for row in indices]
        shapes = [pixels.shape for pixels in decoded]
        if len(set(shapes)) > 1:
            row = next(i for i, shape in enumerate(shapes) if shape != shapes[0])
            raise DataError(self._mixed(int(indices[row]), shapes[row][1::-1], shapes[0][1::-1]))
        stacked = np.stack(decoded).transpose(0, 3, 1, 2)
        return np.ascontiguousarray(stacked, dtype=np.float32) / np.float32(255)

    def decode(self, row: int) -> NDArray[np.uint8]:
        """The image in that row, (height, width, 3)."""
        with self._opened(row) as image:
            return np.asarray(self.resizing(image.convert("RGB")))

    def check_sizes(self, rows: int) -> None:
        """Open every image without decoding its pixels, and compare the sizes, so that a search fails at its start."""
        first: tuple[int, int] | None = None
        for row in range(rows):
            with self._opened(row) as image:
                size = image.size
            first = first or size
            if size != first and self.resizing.crop is None:
                raise DataError(self._mixed(row, size, first))

    def labelled(
        self, labels: LabelArray, classes: int, content_hash: str, normalize: Normalization | None
    ) -> ImageSet:
        """The images with their labels."""
        height, width, channels = self.decode(0).shape
        return ImageSet(self.name, labels, (channels, height, width), classes, content_hash, self, normalize)

    @contextmanager
    def _opened(self, row: int) -> Iterator[Image.Image]:
        try:
            with Image.open(io.BytesIO(self.load(row))) as image:
                yield image
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(f"{self.name}, row {row}: the image cannot be decoded: {error}") from error

    def _mixed(self, row: int, size: tuple[int, ...], first: tuple[int, ...]) -> str:
        return (
            f"{self.name}, row {row}: the image is {size[0]}x{size[1]} pixels, the first one {first[0]}x{first[1]}; "
            "all must have one size: set data.resize and data.crop"
        )


def content_hash(labels: LabelArray, encoded: Iterable[bytes]) -> str:
    """The sha256 over the labels and the bytes of each image with their lengths."""
    digest = hashlib.sha256(np.ascontiguousarray(labels, dtype="<i8").tobytes())
    for data in encoded:
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def existing(path: str | Path, key: str) -> Path:
    """The path itself; a DataError that names the configuration's key where nothing is there."""
    if not Path(path).exists():
        raise DataError(f"data.{key}: no such file or folder: {path}")
    return Path(path)


def of_pixels(
    name: str, pixels: NDArray[np.uint8], labels: LabelArray, classes: int, normalize: Normalization | None
) -> ImageSet:
    """The set of images that are all in memory, as bytes (n, channels, height, width)."""
    shape, digest = (pixels.shape[1], pixels.shape[2], pixels.shape[3]), content_hash(labels, [pixels.tobytes()])
    return ImageSet(name, labels, shape, classes, digest, partial(_read_pixels, pixels), normalize)


def _read_pixels(pixels: NDArray[np.uint8], indices: NDArray[np.int64]) -> ImageArray:
    return pixels[indices].astype(np.float32) / np.float32(255)
