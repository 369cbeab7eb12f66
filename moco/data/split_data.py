"""The images of a specification: a training and a test set, kept apart, with their splits."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from moco.data.class_subset import of_classes
from moco.data.duplicates import duplicate_warnings
from moco.data.image_set import DataSets, ImageSet, Normalization
from moco.data.labels import as_labelled, first_classes, numbering
from moco.data.sources import SourceOptions, load_data
from moco.data.splits import Origin, Splits, make_splits
from moco.errors import DataError

OF_TRAIN = 5
"""The part of the training set that the search split is, where it is taken from it: a fifth, as Galen has it."""
SEEN_IN_TRAINING = (
    "the search split is {} images of the training set: a network that was trained on them scores too well in the "
    "search; the certificate is on the test set"
)


@dataclass(frozen=True)
class DataSpec:
    """Where the images come from, and how they are split."""

    source: str
    options: SourceOptions = field(default_factory=SourceOptions)
    normalize: Normalization | None = None
    calibration: int | None = None  # images of the split, as the next two; None takes what docs/configuration.md states
    search: int | None = None
    certification: int | None = None
    seed: int = 0  # of the run
    allow_duplicates: bool = False  # whether any share of images may stand in two splits
    classes: tuple[int | str, ...] | None = None  # those whose images are taken; None takes all
    search_from: Origin | None = None  # the set that the search split is of; None is the test set


@dataclass(frozen=True)
class SplitData:
    """A training and a test set, and their splits."""

    train: ImageSet
    test: ImageSet
    splits: Splits
    notes: tuple[str, ...] = ()  # what a user has to know of how they were read and put together, a line each

    def images(self, split: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Images (n, channels, height, width), normalised, and labels (n,) of the split of that name."""
        rows, chosen = getattr(self.splits, split), self.set_of(split)
        return chosen.images(rows), np.asarray(chosen.labels)[rows]

    def set_of(self, split: str) -> ImageSet:
        """The set that the split of that name is taken from."""
        return self.train if split in self.splits.from_train else self.test

    def for_outputs(self, outputs: int) -> SplitData:
        """The images for a network of so many outputs: one that has an output for each label as it stands takes them.

        Otherwise labels stay numbered anew, where they begin at 1 or have gaps. Classes beyond the outputs are left out
        where no image is of them.
        """
        values = self.train.label_values
        if values is not None and outputs > max(values):
            return replace(self, train=as_labelled(self.train), test=as_labelled(self.test))
        if self.least_outputs <= outputs < self.train.classes:
            train, test = (first_classes(images, outputs) for images in (self.train, self.test))
            return replace(self, train=train, test=test)
        return self

    @property
    def least_outputs(self) -> int:
        """Outputs that the labels need: a set may name more classes than it has images of."""
        return max(int(self.train.labels.max()), int(self.test.labels.max())) + 1

    @property
    def warnings(self) -> tuple[str, ...]:
        """The notes, and how labels are numbered where that is not as they stand."""
        return (*numbering(self.train), *self.notes)

    @property
    def content_hashes(self) -> tuple[str, str]:
        """Of the training and of the test set."""
        return self.train.content_hash, self.test.content_hash


def split_data(data: DataSpec, given: DataSets | None = None) -> SplitData:
    """The images with their splits; `given` is what comes from Python in place of the source's.

    A DataError or ConfigError where a set is missing, empty or malformed, or has too few images.
    """
    sets = given or load_data(data.source, data.options, data.normalize)
    if data.classes is not None:
        sets = of_classes(sets, data.classes)
    if sets.train.content_hash == sets.test.content_hash:
        raise DataError(
            f"the training set {sets.train.name} and the test set {sets.test.name} hold the same images: "
            "accuracy on images that a network was trained on says nothing; give a test set of its own"
        )
    origin, sizes = data.search_from or "test", _sizes(data, sets)
    splits = make_splits(sets.train.labels, sets.test.labels, sizes, data.seed, origin)
    found = duplicate_warnings(sets.train, sets.test, splits, allowed=data.allow_duplicates)
    seen = (SEEN_IN_TRAINING.format(len(splits.search)),) if origin == "train" else ()
    notes = (*sets.train.notes, *sets.test.notes, *sets.notes, *found, *seen)
    return SplitData(sets.train, sets.test, splits, notes)


def usual_search_images(of_test: int) -> int:
    """Images of the search split where nothing is asked for; the certificate has what it leaves of the test set."""
    return max(min(1000, of_test // 2), 1)


def _sizes(data: DataSpec, sets: DataSets) -> dict[str, int]:
    """The sizes asked, or those that docs/configuration.md states where they are not given."""
    calibration, search, certification = data.calibration, data.search, data.certification
    of_train = data.search_from == "train"
    if search is None:
        search = max(len(sets.train) // OF_TRAIN, 1) if of_train else usual_search_images(len(sets.test))
    if calibration is None:
        calibration = max(min(512, (len(sets.train) - (search if of_train else 0)) // 2), 1)
    if certification is None:
        certification = max(len(sets.test) - (0 if of_train else search), 1)
    return {"calibration": calibration, "search": search, "certification": certification}
