"""Data sets of torchvision: CIFAR-10, and folders of image files with one folder a class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from moco.data.content_hashes import ContentHashes, hashes_of
from moco.data.decoding import EncodedImages, Reading, content_hash, existing, of_pixels
from moco.data.image_set import DataSets, ImageSet, Normalization
from moco.errors import DataError
from moco.models.torchvision_shim import import_torchvision

HASHED_BYTES = 65_536


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
        names = tuple(getattr(source, "classes", ())) or None
        sets.append(of_pixels(f"CIFAR-10 ({part})", pixels, labels, 10, normalize, names))
    return DataSets(sets[0], sets[1])


def load_folder(path: str | Path, reading: Reading) -> ImageSet:
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
    sizes = np.array([file.stat().st_size for file in files], dtype=np.int64)
    reader = EncodedImages(str(path), lambda row: files[row], reading.resizing)
    named = (f"{file.relative_to(path)} {size}".encode() for file, size in zip(files, sizes, strict=True))
    digest, names = content_hash(labels, named), tuple(source.classes)
    hashes = ContentHashes("file", np.arange(len(files)), lambda rows: hashes_of(_end(files[r]) for r in rows), sizes)
    return reading.of(reader, ImageSet(str(path), labels, (3, 1, 1), len(names), digest, reader, None, names), hashes)


def _end(file: Path) -> bytes:
    """The file's last bytes and its size: equal ones are the same image, and a large file need not be read whole."""
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(size - HASHED_BYTES, 0))
        return size.to_bytes(8, "little") + stream.read()
