"""Train, calibration, search and certification splits: stratified, seeded, disjoint, with their hashes (W05)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from moco.errors import ConfigError, DataError
from moco.randomness import generator

IndexArray = NDArray[np.int64]
FROM_TRAIN = ("train", "calibration")
FROM_TEST = ("search", "certification")


@dataclass(frozen=True, eq=False)
class Splits:
    """Sorted image indices of each split."""

    train: IndexArray  # what is left of the training set: tuning
    calibration: IndexArray  # of the training set, used without labels: batch-norm, quantizer ranges, refit
    search: IndexArray  # of the test set: what the searcher is rewarded on
    certification: IndexArray  # of the test set: touched once, at the end

    @property
    def hashes(self) -> dict[str, str]:
        """The sha256 of each split's indices, for the manifest and the keys of the evaluation store."""
        return {name: index_hash(getattr(self, name)) for name in (*FROM_TRAIN, *FROM_TEST)}

    @property
    def sizes(self) -> dict[str, int]:
        """Images in each split."""
        return {name: len(getattr(self, name)) for name in (*FROM_TRAIN, *FROM_TEST)}


def index_hash(indices: IndexArray) -> str:
    """The sha256 of the indices as little-endian 64-bit integers: alike on every machine."""
    return hashlib.sha256(np.ascontiguousarray(indices, dtype="<i8").tobytes()).hexdigest()


def make_splits(
    train_labels: NDArray[np.int64], test_labels: NDArray[np.int64], sizes: Mapping[str, int], seed: int
) -> Splits:
    """The splits of two labelled sets; each has its classes in the set's own proportions, to within one image.

    Labels are the class of each image, (n,); `sizes` the images in `calibration`, `search` and `certification`. A set's
    split depends on the run's seed, its labels and its own sizes only. A ConfigError refuses a size that is missing,
    unknown, not positive, or more than the set has.
    """
    _check_sizes(sizes, {"calibration": len(train_labels), "search": len(test_labels)})
    calibration, train = stratified(train_labels, (sizes["calibration"], None), generator(seed, "splits", "train"))
    search, certification = stratified(
        test_labels, (sizes["search"], sizes["certification"]), generator(seed, "splits", "test")
    )
    splits = Splits(train, calibration, search, certification)
    check_disjoint(splits)
    return splits


def check_disjoint(splits: Splits) -> None:
    """Pass where no image is twice in the splits of one set; a DataError names the splits and the first index."""
    for family in (FROM_TRAIN, FROM_TEST):
        for name in family:
            values, counts = np.unique(getattr(splits, name), return_counts=True)
            if (counts > 1).any():
                raise DataError(f"split '{name}' holds image {values[counts > 1][0]} more than once")
        for left, right in combinations(family, 2):
            shared = np.intersect1d(getattr(splits, left), getattr(splits, right))
            if len(shared):
                raise DataError(
                    f"splits '{left}' and '{right}' share {len(shared)} images, the first is image {shared[0]}; "
                    "they must be disjoint"
                )


def _check_sizes(sizes: Mapping[str, int], available: Mapping[str, int]) -> None:
    expected = ("calibration", *FROM_TEST)
    if set(sizes) != set(expected):
        raise ConfigError(f"data.splits: expected the sizes of {', '.join(expected)}; got {', '.join(sizes) or 'none'}")
    for name in expected:
        if sizes[name] < 1:
            raise ConfigError(f"data.splits.{name}: expected at least 1 image, got {sizes[name]}")
    if sizes["calibration"] > available["calibration"]:
        raise ConfigError(
            f"data.splits.calibration: {sizes['calibration']} images asked, "
            f"the training set has {available['calibration']}"
        )
    there = available["search"]
    for name in FROM_TEST:
        before = sizes["search"] if name == "certification" else 0
        if sizes[name] > there - before:
            beside = f", {before} of them in data.splits.search" if before else ""
            raise ConfigError(f"data.splits.{name}: {sizes[name]} images asked, the test set has {there}{beside}")


def stratified(
    labels: NDArray[np.int64], sizes: tuple[int, int | None], rng: np.random.Generator
) -> tuple[IndexArray, IndexArray]:
    """Two disjoint parts of range(len(labels)); a size of None takes what is left.

    Images are shuffled within their class, then all are ordered by their relative rank within the class: every
    prefix and every window of that order holds the classes in proportion, to within one image a class.
    """
    rank = np.empty(len(labels))
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        rank[members] = (np.arange(len(members)) + 0.5) / len(members)
    # The second key breaks ties between classes at random: without it, low classes would get the odd images.
    order = np.lexsort((rng.permutation(len(labels)), rank))
    first = sizes[0] or 0
    last = len(labels) if sizes[1] is None else first + sizes[1]
    return np.sort(order[:first]).astype(np.int64), np.sort(order[first:last]).astype(np.int64)
