"""scikit-learn's handwritten digits: 1,797 real gray images of 8x8 pixels (UCI, Alpaydin and Kaynak 1998)."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from moco.data.decoding import of_pixels
from moco.data.image_set import DataSets, Normalization
from moco.data.splits import stratified

TRAIN_IMAGES = 1000
SPLIT_SEED = 0
"""The split is part of the data set, so it does not follow the seed of a run."""


def load(normalize: Normalization | None = None) -> DataSets:
    """1,000 training and 797 test images, one channel in [0, 1], stratified, always the same."""
    digits = load_digits()
    pixels = (digits.images[:, None] * (255 / 16)).round().astype(np.uint8)
    labels = digits.target.astype(np.int64)
    parts = stratified(labels, (TRAIN_IMAGES, None), np.random.default_rng(SPLIT_SEED))
    train, test = (
        of_pixels(f"digits ({part})", pixels[rows], labels[rows], 10, normalize)
        for part, rows in zip(("train", "test"), parts, strict=True)
    )
    return DataSets(train, test)
