"""Train, calibration, search and certification splits: stratified, seeded, disjoint, with their hashes (W05)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from moco.errors import ConfigError, DataError
from moco.randomness import generator

IndexArray = NDArray[np.int64]
NAMES = ("train", "calibration", "search", "certification")
SCORED = ("search", "certification")
Origin = Literal["test", "train"]
"""The set that the search split is taken from."""


@dataclass(frozen=True, eq=False)
class Splits:
    """Sorted image indices of each split."""

    train: IndexArray  # what is left of the training set: tuning
    calibration: IndexArray  # of the training set, used without labels: batch-norm, quantizer ranges, refit
    search: IndexArray  # of the test set, or of the training set: what the searcher is rewarded on
    certification: IndexArray  # of the test set: touched once, at the end
    search_from: Origin = "test"

    @property
    def from_train(self) -> tuple[str, ...]:
        """Splits of the training set; the others are of the test set."""
        return NAMES[:3] if self.search_from == "train" else NAMES[:2]

    @property
    def hashes(self) -> dict[str, str]:
        """The sha256 of each split's indices, for the manifest and the keys of the evaluation store.

        That of a search split of the training set is not that of the same indices in the test set.
        """
        found = {name: index_hash(getattr(self, name)) for name in NAMES}
        if self.search_from == "train":
            found["search"] = hashlib.sha256(f"train {found['search']}".encode()).hexdigest()
        return found

    @property
    def sizes(self) -> dict[str, int]:
        """Images in each split."""
        return {name: len(getattr(self, name)) for name in NAMES}


def index_hash(indices: IndexArray) -> str:
    """The sha256 of the indices as little-endian 64-bit integers: alike on every machine."""
    return hashlib.sha256(np.ascontiguousarray(indices, dtype="<i8").tobytes()).hexdigest()


def make_splits(
    train_labels: NDArray[np.int64],
    test_labels: NDArray[np.int64],
    sizes: Mapping[str, int],
    seed: int,
    search_from: Origin = "test",
) -> Splits:
    """The splits of two labelled sets; each has its classes in the set's own proportions, to within one image.

    Labels are the class of each image, (n,); `sizes` the images in `calibration`, `search` and `certification`. A set's
    split depends on the run's seed, its labels and its own sizes only. A search split of the training set is drawn
    first, calibration from what it leaves. A ConfigError refuses a size that is missing, unknown, not positive, or more
    than the set has.
    """
    _check_sizes(sizes, {"train": len(train_labels), "test": len(test_labels)}, search_from)
    rng = {name: generator(seed, "splits", name) for name in ("train", "test")}
    if search_from == "train":
        search, rest = stratified(train_labels, (sizes["search"], None), generator(seed, "splits", "search from train"))
        _, certification = stratified(test_labels, (0, sizes["certification"]), rng["test"])
    else:
        rest = np.arange(len(train_labels))
        search, certification = stratified(test_labels, (sizes["search"], sizes["certification"]), rng["test"])
    calibration, train = stratified(train_labels[rest], (sizes["calibration"], None), rng["train"])
    splits = Splits(rest[train], rest[calibration], search, certification, search_from)
    check_disjoint(splits)
    return splits


def check_disjoint(splits: Splits) -> None:
    """Pass where no image is twice in the splits of one set; a DataError names the splits and the first index."""
    of_train = splits.from_train
    for family in (of_train, [name for name in NAMES if name not in of_train]):
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


def _check_sizes(sizes: Mapping[str, int], available: Mapping[str, int], search_from: Origin) -> None:
    """Pass where each set has the images of its splits; splits of one set stand after those that are drawn first."""
    expected = ("calibration", *SCORED)
    if set(sizes) != set(expected):
        raise ConfigError(f"data.splits: expected the sizes of {', '.join(expected)}; got {', '.join(sizes) or 'none'}")
    for name in expected:
        if sizes[name] < 1:
            raise ConfigError(f"data.splits.{name}: expected at least 1 image, got {sizes[name]}")
    in_order = {"train": ["calibration"], "test": ["certification"]}
    in_order[search_from].insert(0, "search")
    for origin, names in in_order.items():
        there, before = available[origin], 0
        for name in names:
            if sizes[name] > there - before:
                beside = f", {before} of them in data.splits.{names[0]}" if before else ""
                whole = "training set" if origin == "train" else "test set"
                raise ConfigError(f"data.splits.{name}: {sizes[name]} images asked, the {whole} has {there}{beside}")
            before += sizes[name]


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
