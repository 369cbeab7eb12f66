"""Data sets of torchvision: CIFAR-10, and folders of image files with one folder a class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from moco.data.decoding import EncodedImages, Resizing, content_hash, existing, of_pixels
from moco.data.image_set import DataSets, ImageSet, Normalization
from moco.errors import DataError
from moco.models.torchvision_shim import import_torchvision


def load_cifar10(root: str | Path, normalize: Normalization | None = None) -> DataSets:
    """CIFAR-10 (Krizhevsky 2009), 50,000 and 10,000 images, downloaded into `root` where it is not there yet.

    torchvision checks the files against their published hashes before it reads them. A DataError where they cannot be
    downloaded.
    """
    import_torchvision()
    from torchvision.datasets import CIFAR10

    sets = []
    for part in ("train", "test"):
        try:
            source = CIFAR10(str(root), train=part == "train", download=True)
        except (OSError, RuntimeError) as error:
            raise DataError(f"CIFAR-10 is not in {root} and cannot be downloaded: {error}") from error
        pixels = np.ascontiguousarray(source.data.transpose(0, 3, 1, 2))
        labels = np.array(source.targets, dtype=np.int64)
        sets.append(of_pixels(f"CIFAR-10 ({part})", pixels, labels, 10, normalize))
    return DataSets(*sets)


def load_folder(path: str | Path, resizing: Resizing, normalize: Normalization | None = None) -> ImageSet:
    """Image files in one folder a class, numbered in the order of their names; a DataError where there are none.

    The hash is over names and sizes of the files, since reading a large folder would take minutes.
    """
    import_torchvision()
    from torchvision.datasets import ImageFolder

    try:
        source = ImageFolder(str(existing(path, "train or data.test")))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"{path}: expected one folder of images a class: {error}") from error
    files = [Path(file) for file, _ in source.samples]
    labels = np.array(source.targets, dtype=np.int64)
    reader = EncodedImages(str(path), lambda row: files[row].read_bytes(), resizing)
    digest = content_hash(labels, (f"{file.relative_to(path)} {file.stat().st_size}".encode() for file in files))
    return reader.labelled(labels, len(source.classes), digest, normalize)
