"""Encoded images (PNG, JPEG, WebP ...) into arrays, with the row in every error."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from moco.data.content_hashes import ContentHashes, hashes_of
from moco.data.image_set import ImageArray, ImageSet, LabelArray, Normalization
from moco.data.pixels import MODES, Resizing, Size, UnfitImageError, channels_of, check_range, pixels_of
from moco.errors import ConfigError, DataError

OPENED_IMAGES = 50_000
"""Headers that are read when a set is opened: all of a smaller set, evenly spaced ones of a larger set."""
SHOWN_SIZES = 4
LoadEncoded = Callable[[int], bytes | Path]
"""Encoded bytes, or the file, of the image in a row; raises OSError or DataError."""


@dataclass(frozen=True)
class Reading:
    """How encoded images are to be read."""

    resizing: Resizing = field(default_factory=Resizing)
    channels: int | None = None  # None takes those of the files
    normalize: Normalization | None = None

    def __post_init__(self) -> None:
        if self.channels is not None and self.channels not in MODES:
            raise ConfigError(
                f"data.channels: {self.channels} asked, images in files have 1 (grey), 2 (grey and transparency), "
                "3 (RGB) or 4 (RGBA); give others from Python (data.import)"
            )

    def of(self, reader: EncodedImages, known: ImageSet, hashes: ContentHashes) -> ImageSet:
        """The set of the reader's images; `known` says all of it but its images."""
        images = reader.labelled(known, self)
        return replace(images, normalize=self.normalize, hashes=hashes)


@dataclass(frozen=True)
class EncodedImages:
    """Images as encoded files in memory or on disk, read in [0, 1]."""

    name: str
    load: LoadEncoded
    resizing: Resizing
    channels: int = 3

    def __call__(self, indices: NDArray[np.int64]) -> ImageArray:
        """Images (n, channels, height, width) in [0, 1]."""
        decoded = [self.decode(int(row)) for row in indices]
        sizes = {int(row): (pixels.shape[0], pixels.shape[1]) for row, pixels in zip(indices, decoded, strict=True)}
        if len(set(sizes.values())) > 1:
            raise DataError(self._mixed(sizes))
        return np.ascontiguousarray(np.stack(decoded).transpose(0, 3, 1, 2), dtype=np.float32)

    def decode(self, row: int) -> NDArray[np.float32]:
        """The image in that row, (height, width, channels)."""
        with self._opened(row) as image:
            self.resizing.size((image.height, image.width))
            return pixels_of(image, self.channels, self.resizing)

    def labelled(self, known: ImageSet, reading: Reading) -> ImageSet:
        """The set that is read here; `known` says all of it but its images.

        Images are opened without decoding their pixels, so that a search fails at its start: a DataError names the row
        of one that cannot be opened, or whose range of values is not known, and the sizes where there are several.
        """
        sizes, found = self._headers(len(known))
        if len(set(sizes.values())) > 1:
            raise DataError(self._mixed(sizes))
        channels, notes = reading.channels, known.notes
        if channels is None:
            channels, more = self._channels(Counter(found.values()), reading.normalize)
            notes = (*notes, *more)
        height, width = next(iter(sizes.values()))
        reader, shape = replace(self, channels=channels), (channels, height, width)
        return replace(known, shape=shape, read=reader, resizing=self.resizing, notes=notes)

    def _headers(self, images: int) -> tuple[dict[int, Size], dict[int, int]]:
        """Size after resizing, (height, width), and channels in the file, by row."""
        sizes: dict[int, Size] = {}
        channels: dict[int, int] = {}
        for row in range(0, images, -(-images // OPENED_IMAGES)):
            with self._opened(row) as image:
                check_range(image)
                sizes[row] = self.resizing.size((image.height, image.width))
                channels[row] = channels_of(image.mode)
        return sizes, channels

    def _channels(self, found: Counter[int], normalize: Normalization | None) -> tuple[int, tuple[str, ...]]:
        """The channels of the files where all have the same, or three; and a line where that is not plainly RGB."""
        kinds = {1: "grey", 3: "RGB", 4: "RGBA"}
        if normalize is not None and len(normalize.mean) == 3 and set(found) != {3}:
            return 3, ()  # three means were measured on RGB images
        if len(found) > 1:
            counts = ", ".join(f"{n} {kinds[channels]}" for channels, n in sorted(found.items()))
            return 3, (f"{self.name} holds images of several kinds ({counts}): all are read as RGB; see data.channels",)
        (channels,) = found
        text = f"{self.name}: all images are {kinds[channels]}, so the network gets {channels} channel"
        if channels == 3:
            return 3, ()
        return channels, (f"{text}{'s' if channels > 1 else ''}; data.channels: 3 reads them as RGB",)

    @contextmanager
    def _opened(self, row: int) -> Iterator[Image.Image]:
        try:
            encoded = self.load(row)
            with Image.open(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded) as image:
                yield image
        except UnfitImageError as error:
            raise DataError(f"{self.name}, row {row}: {error}") from error
        except DataError:
            raise
        except Exception as error:  # Pillow's decoders raise struct.error, IndexError and more at a broken file
            raise DataError(f"{self.name}, row {row}: the image cannot be decoded: {error}") from error

    def _mixed(self, sizes: dict[int, Size]) -> str:
        """What sizes there are, the most frequent first, and what to set."""
        counts = Counter(sizes.values()).most_common()
        first = {size: next(row for row, other in sizes.items() if other == size) for size, _ in counts[:SHOWN_SIZES]}
        shown = [f"{size[0]}x{size[1]} ({n}, first in row {first[size]})" for size, n in counts[:SHOWN_SIZES]]
        more = f" and {len(counts) - SHOWN_SIZES} more" if len(counts) > SHOWN_SIZES else ""
        height, width = counts[0][0]
        return (
            f"{self.name}: the images have {len(counts)} sizes (height x width): {', '.join(shown)}{more}; "
            f"all must have one: set data.resize, such as [{height}, {width}], "
            "or a number for the shorter side and data.crop"
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
    name: str,
    pixels: NDArray[np.uint8],
    labels: LabelArray,
    classes: int,
    normalize: Normalization | None,
    class_names: tuple[str, ...] | None = None,
) -> ImageSet:
    """The set of images that are all in memory, as bytes (n, channels, height, width)."""
    shape, digest = (pixels.shape[1], pixels.shape[2], pixels.shape[3]), content_hash(labels, [pixels.tobytes()])
    hashes = ContentHashes("pixels", np.arange(len(labels)), lambda rows: hashes_of(pixels[r].tobytes() for r in rows))
    read = partial(_read_pixels, pixels)
    return ImageSet(name, labels, shape, classes, digest, read, normalize, class_names, hashes=hashes)


def _read_pixels(pixels: NDArray[np.uint8], indices: NDArray[np.int64]) -> ImageArray:
    return pixels[indices].astype(np.float32) / np.float32(255)
