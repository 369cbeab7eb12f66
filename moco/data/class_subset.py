"""Some classes of a data set as a data set of its own, so that any source can have another number of classes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from moco.data.content_hashes import ContentHashes, Rows
from moco.data.image_set import DataSets, ImageSet
from moco.errors import ConfigError, nearest

KEY = "data.classes"


def of_classes(sets: DataSets, wanted: Sequence[int | str]) -> DataSets:
    """The images of these classes alone, numbered from 0 in the order in which they stand in `wanted`.

    A class is a label as the source has it, or a name where the source has names. A ConfigError refuses fewer than
    two, one that is wanted twice, one that there is not, and one of which a set has no image.
    """
    chosen = [_number(sets.train, one) for one in wanted]
    if len(chosen) < 2:
        raise ConfigError(f"{KEY}: expected at least two classes, got {len(chosen)}")
    for one, number in zip(wanted, chosen, strict=True):
        if chosen.count(number) > 1:
            raise ConfigError(f"{KEY}: the class {one!r} is wanted more than once")
        for images in (sets.train, sets.test):
            if not (images.labels == number).any():
                raise ConfigError(f"{KEY}: {images.name} has no image of the class {one!r}")
    return replace(sets, train=_part(sets.train, chosen), test=_part(sets.test, chosen))


def _number(images: ImageSet, wanted: int | str) -> int:
    """The number of the class that is called so."""
    names, values = images.class_names, images.label_values or range(images.classes)
    if isinstance(wanted, str):
        if names is None:
            raise ConfigError(f"{KEY}: the classes of {images.name} have no names; give labels, not {wanted!r}")
        if wanted not in names:
            raise ConfigError(f"{KEY}: {images.name} has no class '{wanted}'{nearest(wanted, names)}")
        return names.index(wanted)
    if wanted not in values:
        raise ConfigError(f"{KEY}: {images.name} has no label {wanted}; it has {min(values)} to {max(values)}")
    return values.index(wanted)


def _part(images: ImageSet, chosen: Sequence[int]) -> ImageSet:
    rows = np.flatnonzero(np.isin(images.labels, chosen))
    numbers = np.zeros(images.classes, dtype=np.int64)
    numbers[list(chosen)] = np.arange(len(chosen))
    names, values = images.class_names, images.label_values or range(images.classes)
    stood = tuple(values[number] for number in chosen)
    return replace(
        images,
        labels=numbers[images.labels[rows]],
        classes=len(chosen),
        content_hash=hashlib.sha256(f"{images.content_hash} classes {list(chosen)}".encode()).hexdigest(),
        read=lambda asked: images.read(rows[asked]),
        class_names=None if names is None else tuple(names[number] for number in chosen),
        label_values=None if stood == tuple(range(len(stood))) else stood,
        hashes=None if images.hashes is None else _hashes(images.hashes, rows),
    )


def _hashes(hashes: ContentHashes, rows: Rows) -> ContentHashes:
    """Hashes of the rows that stay, by their new places."""
    sizes = None if hashes.sizes is None else hashes.sizes[rows]
    return ContentHashes(hashes.kind, np.flatnonzero(np.isin(rows, hashes.rows)), lambda a: hashes.of(rows[a]), sizes)
