"""A training and a test set by the name of their source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from moco.data import parquet
from moco.data.decoding import Resizing, of_pixels
from moco.data.image_set import DataSets, ImageSet, Normalization
from moco.data.splits import stratified
from moco.data.torchvision_sets import load_cifar10, load_folder
from moco.errors import ConfigError, nearest

DIGITS_TO_TRAIN, DIGITS_SEED = 1000, 0
"""The split is part of the data set, so it does not follow the seed of a run."""


@dataclass(frozen=True)
class SourceOptions:
    """What a source may be told; an option that the source has no use for is refused.

    Attributes:
        train, test: file or folder of the training and of the test images.
        root: folder that a downloaded data set is kept in.
        image_column, label_column: of a parquet file; None takes the first of the usual names.
        resize: shorter side that images are scaled to, in pixels.
        crop: side of the square that is cut from the middle, in pixels.
    """

    train: str | Path | None = None
    test: str | Path | None = None
    root: str | Path | None = None
    image_column: str | None = None
    label_column: str | None = None
    resize: int | None = None
    crop: int | None = None

    @property
    def given(self) -> list[str]:
        """Names of the options that are set."""
        return [field.name for field in fields(self) if getattr(self, field.name) is not None]


Load = Callable[[SourceOptions, Normalization | None], DataSets]


def load_data(source: str, options: SourceOptions | None = None, normalize: Normalization | None = None) -> DataSets:
    """The two sets of a source; both know the same number of classes.

    Args:
        source: `digits`, `parquet`, `cifar10` or `imagefolder`.
        normalize: mean and standard deviation of each channel, of pixels in [0, 1].

    Raises:
        ConfigError: no such source, a needed option is missing, or one does not belong to it.
        DataError: the images are missing, malformed or do not fit together.
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


def same_classes(train: ImageSet, test: ImageSet) -> DataSets:
    """The two sets with the larger number of classes, for files that name their classes by numbers only."""
    classes = max(train.classes, test.classes)
    return DataSets(replace(train, classes=classes), replace(test, classes=classes))


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
    train, test = (
        parquet.load(
            path or "",
            normalize=normalize,
            image_column=options.image_column,
            label_column=options.label_column,
            resizing=Resizing(options.resize, options.crop),
        )
        for path in (options.train, options.test)
    )
    return same_classes(train, test)


def _folders(options: SourceOptions, normalize: Normalization | None) -> DataSets:
    resizing = Resizing(options.resize, options.crop)
    return DataSets(*(load_folder(path or "", resizing, normalize) for path in (options.train, options.test)))


SOURCES: dict[str, tuple[tuple[str, ...], tuple[str, ...], Load]] = {
    "digits": ((), (), _digits),
    "parquet": (("train", "test"), ("image_column", "label_column", "resize", "crop"), _parquet),
    "cifar10": (("root",), (), lambda options, normalize: load_cifar10(options.root or "", normalize)),
    "imagefolder": (("train", "test", "resize", "crop"), (), _folders),
}
"""By name: options that are needed, options that are possible, and what loads the sets."""
