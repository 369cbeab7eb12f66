"""A training and a test set by the name of their source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from moco.data import parquet
from moco.data.decoding import Reading, of_pixels
from moco.data.image_set import DataSets, ImageSet, Normalization
from moco.data.labels import same_classes
from moco.data.mnist import NAME as MNIST_5K
from moco.data.mnist import load_mnist
from moco.data.pixels import Resizing
from moco.data.splits import stratified
from moco.data.torch_dataset import from_torch
from moco.data.torchvision_sets import load_cifar10, load_folder
from moco.errors import ConfigError, nearest
from moco.models.import_path import called

DIGITS_TO_TRAIN, DIGITS_SEED = 1000, 0
"""The split is part of the data set, so it does not follow the seed of a run."""


@dataclass(frozen=True)
class SourceOptions:
    """What a source may be told; an option that the source has no use for is refused."""

    train: str | Path | None = None  # file or folder of the training images, as `test` of the test images
    test: str | Path | None = None
    root: str | Path | None = None  # folder that a downloaded data set is kept in
    image_column: str | None = None  # of a parquet file, as the next; None takes the first of the usual names
    label_column: str | None = None
    channels: int | None = None  # of images in files; None takes theirs
    resize: int | tuple[int, int] | None = None  # shorter side that images are scaled to, or (height, width), in pixels
    crop: int | tuple[int, int] | None = None  # side of the square cut from the middle, or (height, width), in pixels
    import_path: str | None = None  # the user's own function that gives the two sets
    folder: Path | None = None  # searched for its module
    allow_import: bool = False  # whether that may be imported

    @property
    def given(self) -> list[str]:
        """Names of the options that are set."""
        of_imports = {"folder", "allow_import"}
        return [name for name, value in vars(self).items() if name not in of_imports and value is not None]


Load = Callable[[SourceOptions, Normalization | None], DataSets]


def load_data(source: str, options: SourceOptions | None = None, normalize: Normalization | None = None) -> DataSets:
    """The two sets of a source, by its name in SOURCES; both know the same number of classes.

    `normalize` is of pixels in [0, 1]. A ConfigError refuses an unknown source, and options that are missing or do not
    belong to it; a DataError images that are missing, malformed or do not fit together.
    """
    options = options or SourceOptions()
    if source not in SOURCES:
        raise ConfigError(f"data.source: unknown source '{source}'{nearest(source, SOURCES)}")
    needed, optional, load = SOURCES[source]
    for name in needed:
        if name not in options.given:
            raise ConfigError(f"data.{name}: the source '{source}' needs it, nothing was given")
    for name in options.given:
        if name not in (*needed, *optional):
            raise ConfigError(f"data.{name}: the source '{source}' has no such option")
    return load(options, normalize)


def _digits(_options: SourceOptions, normalize: Normalization | None) -> DataSets:
    """scikit-learn's digits (UCI, Alpaydin and Kaynak 1998): 1,000 training and 797 test images, always the same."""
    digits = load_digits()
    pixels = (digits.images[:, None] * (255 / 16)).round().astype(np.uint8)
    labels = digits.target.astype(np.int64)
    parts = stratified(labels, (DIGITS_TO_TRAIN, None), np.random.default_rng(DIGITS_SEED))
    train, test = (
        of_pixels(f"digits ({part})", pixels[rows], labels[rows], 10, normalize)
        for part, rows in zip(("train", "test"), parts, strict=True)
    )
    return DataSets(train, test)


def _parquet(options: SourceOptions, normalize: Normalization | None) -> DataSets:
    def load(path: str | Path, reading: Reading) -> ImageSet:
        return parquet.load(
            path,
            normalize=reading.normalize,
            image_column=options.image_column,
            label_column=options.label_column,
            resizing=reading.resizing,
            channels=reading.channels,
        )

    return _of_files(load, options, normalize)


def _of_files(
    load: Callable[[str | Path, Reading], ImageSet], options: SourceOptions, normalize: Normalization | None
) -> DataSets:
    """Both sets, read with the same channels: where nothing is asked and their files differ, as RGB."""
    reading = Reading(Resizing(options.resize, options.crop), options.channels, normalize)
    train, test = (load(path or "", reading) for path in (options.train, options.test))
    if train.shape[0] == test.shape[0]:
        return same_classes(train, test)
    note = f"images of {train.name} have {train.shape[0]} channels, of {test.name} {test.shape[0]}: all are read as RGB"
    sets = same_classes(*(load(path or "", replace(reading, channels=3)) for path in (options.train, options.test)))
    return replace(sets, notes=(*sets.notes, note))


def as_data_sets(
    train_set: Any, test_set: Any, normalize: Normalization | None = None, origin: str | None = None
) -> DataSets:
    """Two map-style data sets, or image sets, as moco takes them; `origin` is the function that gave them."""
    sets = [
        given
        if isinstance(given, ImageSet)
        else from_torch(given, name=name if origin is None else f"{origin} ({name})", normalize=normalize)
        for name, given in (("train", train_set), ("test", test_set))
    ]
    return same_classes(*sets)


def _imported(options: SourceOptions, normalize: Normalization | None) -> DataSets:
    """What the user's own function gives."""
    sets = called(str(options.import_path), "data.import", options.folder, allowed=options.allow_import)
    if isinstance(sets, DataSets):
        return same_classes(sets.train, sets.test)
    if not isinstance(sets, tuple | list) or len(sets) != 2:
        length = f" of {len(sets)}" if isinstance(sets, tuple | list) else ""
        raise ConfigError(
            f"data.import: '{options.import_path}' gave a {type(sets).__name__}{length}, "
            "expected (training set, test set)"
        )
    return as_data_sets(sets[0], sets[1], normalize, f"data.import '{options.import_path}'")


def _from_python(_options: SourceOptions, _normalize: Normalization | None) -> DataSets:
    raise ConfigError("data.source: 'python' stands for data sets given to moco.optimize; name a source of files")


OF_FILES = ("channels", "resize", "crop")
SOURCES: dict[str, tuple[tuple[str, ...], tuple[str, ...], Load]] = {
    "digits": ((), (), _digits),
    MNIST_5K: ((), (), lambda _options, normalize: load_mnist(normalize)),
    "parquet": (("train", "test"), ("image_column", "label_column", *OF_FILES), _parquet),
    "cifar10": (("root",), (), lambda options, normalize: load_cifar10(options.root or "", normalize)),
    "imagefolder": (("train", "test"), OF_FILES, lambda options, norm: _of_files(load_folder, options, norm)),
    "import": (("import_path",), (), _imported),
    "python": ((), (), _from_python),
}
"""By name: options that are needed, options that are possible, and what loads the sets."""
