"""Any map-style torch data set that yields (image, label), wrapped as an image set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from moco.data.content_hashes import ContentHashes, hashes_of
from moco.data.decoding import content_hash
from moco.data.image_set import ImageArray, ImageSet, Normalization
from moco.data.labels import numbered
from moco.data.pixels import UnfitImageError, channels_of, pixels_of
from moco.errors import DataError
from moco.registry import blaming

CHECKED_IMAGES = 10_000
"""Images that are read when a set is wrapped: all of a smaller set, evenly spaced ones of a larger set."""

RANGES = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}
"""The largest value of integers that become values in [0, 1]."""


class DatasetReader:
    """Reads images of a torch data set."""

    def __init__(self, dataset: Any, name: str) -> None:
        self.dataset, self.name = dataset, name

    def __call__(self, indices: NDArray[np.int64]) -> ImageArray:
        """Images (n, channels, height, width): floats as they are, 8 and 16 bits in [0, 1]."""
        arrays = [self.item(int(row))[0] for row in indices]
        for row, array in zip(indices, arrays, strict=True):
            if array.shape != arrays[0].shape:
                raise DataError(
                    f"{self.name}, row {row}: the image has the shape {array.shape}, an earlier one {arrays[0].shape}; "
                    "all must have one shape"
                )
        return np.stack(arrays)

    def item(self, row: int) -> tuple[ImageArray, int | str | bool]:
        """Image (channels, height, width) and label of a row; a DataError whatever the user's data set does."""
        with blaming(f"{self.name}, row {row}: expected (image, label), but it failed", DataError):
            found = self.dataset[row]
            if isinstance(found, Mapping):  # unpacked it would give its keys
                got = f"a {type(found).__name__} with the keys {', '.join(map(str, found))}"
                raise DataError(f"{self.name}, row {row}: expected (image, label), got {got}")
            image, label = found
            return self._image(image, row), self._label(label, row)

    def _image(self, image: Any, row: int) -> ImageArray:
        try:
            array = _to_array(image)
        except UnfitImageError as error:
            raise DataError(f"{self.name}, row {row}: {error}") from error
        if array is None:
            kind = getattr(image, "dtype", "")
            shape = f"{tuple(getattr(image, 'shape', ()))} {kind}" if kind else ""
            raise DataError(
                f"{self.name}, row {row}: expected a tensor (channels, height, width), an image or an array, "
                f"got {type(image).__name__} {shape}".rstrip()
            )
        if not np.isfinite(array).all():
            raise DataError(f"{self.name}, row {row}: the image holds values that are not finite")
        return array

    def _label(self, label: Any, row: int) -> int | str | bool:
        value = np.asarray(label)
        if value.size != 1 or value.dtype.kind not in "iubU":
            raise DataError(
                f"{self.name}, row {row}: expected an integer, a word, or true or false as the label; got {label!r}"
            )
        found: int | str | bool = value.reshape(()).item()
        return found

    def targets(self, images: int) -> list[Any]:
        """The labels of all rows, without their images, as a large set has them."""
        with blaming(f"{self.name}: expected `targets`, the list of all labels, but it failed", DataError):
            found = np.asarray(getattr(self.dataset, "targets", None))
            if found.ndim < 1 or len(found) != images:
                raise DataError(
                    f"{self.name}: more than {CHECKED_IMAGES} images must have `targets`, the list of all labels"
                )
            return list(found.tolist())


def from_torch(
    dataset: Any, *, name: str = "data set", classes: int | None = None, normalize: Normalization | None = None
) -> ImageSet:
    """An image set over a map-style data set, which has a length and yields (image, label) without random augmentation.

    Up to 10,000 images are read here to check and hash them. A larger set must have `targets`, the list of all labels,
    as torchvision's sets do. `classes` of None takes the largest label plus one, or as many as the set's own `classes`,
    the names of the classes; labels may be words or booleans, which are numbered in their order. `normalize` is applied
    to every image, None leaves images that are normalised already as they are. A DataError names the row where the set
    is empty, random or malformed.
    """
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise DataError(f"{name}: expected a map-style data set with a length, got {type(dataset).__name__}")
    with blaming(f"{name}: its length cannot be told", DataError):
        length = len(dataset)
    if not length:
        raise DataError(f"{name}: expected at least one image, the set is empty")
    reader = DatasetReader(dataset, name)
    shape = reader.item(0)[0].shape
    _check_repeatable(reader, min(length, 8))
    values, images = _scan(reader, length, shape)
    labels = numbered(values, name)
    left_out = None
    names, n_classes = labels.names, labels.classes if classes is None else classes
    if names is None:
        with blaming(f"{name}: its `classes` cannot be read", DataError):
            own = _own_names(dataset)
        n_classes = len(own) if classes is None and len(own) >= n_classes else n_classes
        names = own if len(own) == n_classes else None
        if own and names is None:
            left_out = (
                f"{name}: its `classes` are {len(own)}, its labels of {n_classes} classes: the names are left out"
            )
    digest = content_hash(labels.numbers, (image.tobytes() for image in images.values()))
    hashed = hashes_of(image.tobytes() for image in images.values())
    hashes = ContentHashes.known("values", np.array(list(images), dtype=np.int64), hashed)
    return ImageSet(
        name,
        labels.numbers,
        (shape[0], shape[1], shape[2]),
        n_classes,
        digest,
        reader,
        normalize,
        names if names is None or len(names) == n_classes else None,
        labels.were_names,
        hashes=hashes,
        notes=() if left_out is None else (left_out,),
    )


def _scan(reader: DatasetReader, images: int, shape: tuple[int, ...]) -> tuple[list[Any], dict[int, ImageArray]]:
    """Labels of all images, and the images that are read here, by row."""
    step = -(-images // CHECKED_IMAGES)
    labels: list[Any] = [None] * images if step == 1 else reader.targets(images)
    found = {}
    for row in range(0, images, step):
        image, label = reader.item(row)
        if image.shape != shape:
            raise DataError(
                f"{reader.name}, row {row}: the image has the shape {image.shape}, the first one {shape}; "
                "all must have one shape"
            )
        if step > 1 and labels[row] != label:
            raise DataError(
                f"{reader.name}, row {row}: the label is {label!r}, but {labels[row]!r} in `targets`; "
                "`targets` must be the list of the labels that the rows give"
            )
        found[row], labels[row] = image, label
    return labels, found


def _own_names(dataset: Any) -> tuple[str, ...]:
    """The names of classes that the data set has, as torchvision's sets do, or the set that it is a part of."""
    names = getattr(dataset, "classes", None)
    if names is None and (whole := getattr(dataset, "dataset", None)) is not None:
        return _own_names(whole)
    named = isinstance(names, Sequence) and not isinstance(names, str) and all(isinstance(n, str) for n in names)
    return tuple(names) if named and len(set(names)) == len(names) else ()  # type: ignore[arg-type]


def _check_repeatable(reader: DatasetReader, images: int) -> None:
    """Pass images and labels that are the same in two reads: else each evaluation would see another one."""
    for row in range(images):
        (image, label), (again, other) = reader.item(row), reader.item(row)
        if not np.array_equal(image, again):
            raise DataError(f"{reader.name}, row {row}: two reads give two images; remove the random augmentation")
        if label != other:
            raise DataError(f"{reader.name}, row {row}: two reads give two labels, {label!r} and {other!r}")


def _to_array(image: Any) -> ImageArray | None:
    """Image (channels, height, width): floats as they are, 8 and 16 bits in [0, 1]; None for anything else.

    An UnfitImageError refuses a Pillow image whose range of values is not known.
    """
    if isinstance(image, Image.Image):
        channels = min(channels_of(image.mode), 3)
        return np.ascontiguousarray(pixels_of(image, channels).transpose(2, 0, 1))
    if isinstance(image, torch.Tensor):
        floats = image.dtype.is_floating_point  # numpy has not all of torch's kinds, such as bfloat16
        array = (image.detach().float() if floats else image.detach()).cpu().numpy()
    elif isinstance(image, np.ndarray):
        # Arrays of integers come as (height, width) or (height, width, channels), arrays of floats as tensors do.
        array = np.atleast_3d(image).transpose(2, 0, 1) if image.dtype in RANGES else image
    else:
        return None
    if array.ndim != 3 or not array.size or not (array.dtype.kind == "f" or array.dtype in RANGES):
        return None
    top = RANGES.get(array.dtype)
    with np.errstate(over="ignore"):  # what overflows is not finite, which is refused with its row
        values = np.ascontiguousarray(array, dtype=np.float32)
    return values if top is None else values / np.float32(top)
