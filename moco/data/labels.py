"""Labels as classes 0 to n-1, one numbering for a training and a test set, and the names of the classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from moco.data.image_set import DataSets, ImageSet, LabelArray
from moco.errors import DataError, nearest

SHOWN = 10
BOOLEANS = ("False", "True")
LARGEST = 2**62
"""Of an integer label: with all that is counted from it, it stays within 64 bits."""


@dataclass(frozen=True)
class Labels:
    """Numbered labels of one set."""

    numbers: LabelArray  # (n,)
    classes: int
    names: tuple[str, ...] | None = None
    were_names: bool = False  # whether the labels are words that were numbered here


def numbered(values: Sequence[Any], name: str, names: tuple[str, ...] | None = None) -> Labels:
    """Integers as they are, words and booleans in their order; a DataError names the row of anything else.

    `names` are those of the classes that integers stand for.
    """
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return Labels(np.array(values, dtype=np.int64), 2, BOOLEANS, were_names=True)
    if kinds == {str}:
        words = sorted(set(values), key=_in_order(values))
        place = {word: number for number, word in enumerate(words)}
        return Labels(np.array([place[v] for v in values], dtype=np.int64), len(words), tuple(words), were_names=True)
    if kinds != {int}:
        usual = int if int in kinds else next(iter(sorted(kinds, key=lambda kind: kind.__name__)))
        row = next(row for row, value in enumerate(values) if type(value) is not usual or usual not in (str, bool, int))
        raise DataError(f"{name}, row {row}: expected an integer label, or a word as all others, got {values[row]!r}")
    for row, value in enumerate(values):
        if not -LARGEST <= value <= LARGEST:
            raise DataError(f"{name}, row {row}: expected an integer label of at most {LARGEST}, got {value}")
    numbers = np.array(values, dtype=np.int64)
    return Labels(numbers, len(names) if names else int(numbers.max()) + 1, names)


def same_classes(train: ImageSet, test: ImageSet) -> DataSets:
    """The two sets with the same classes in the same order: matched by their names, or by their numbers.

    A DataError where images of the test set are of a class that the training set does not name. Numbers that do not
    run from 0 without a gap are numbered anew; `as_labelled` takes that back for a network that wants them as they are.
    """
    if train.class_names is None and test.class_names is None:
        return _by_number(train, test)
    if train.class_names is not None and test.class_names is not None:
        return _by_name(train, test, train.class_names, test.class_names)
    names = train.class_names or test.class_names or ()
    words, numbers = (train, test) if train.class_names is not None else (test, train)
    if words.labels_were_names and names != BOOLEANS:
        raise DataError(
            f"the labels of {words.name} are words, such as '{names[0]}', those of {numbers.name} integers: "
            "which integer is which word is not said; give both sets words, or `classes` to the one with integers"
        )
    classes = max(train.classes, test.classes, len(names))
    known = names if len(names) == classes else None
    train, test = (replace(one, classes=classes, class_names=known) for one in (train, test))
    return DataSets(train, test)


def as_labelled(images: ImageSet) -> ImageSet:
    """The set with the labels that its source has, where they were numbered anew."""
    if images.label_values is None:
        return images
    values = np.array(images.label_values)
    classes = int(values.max()) + 1  # those that are left out have no names
    return replace(images, labels=values[images.labels], classes=classes, class_names=None, label_values=None)


def first_classes(images: ImageSet, classes: int) -> ImageSet:
    """The set with so many of its classes; all its labels must be of these."""
    names = None if images.class_names is None else images.class_names[:classes]
    return replace(images, classes=classes, class_names=names)


def numbering(images: ImageSet) -> tuple[str, ...]:
    """A line that says which label is which class, where they were numbered here."""
    values: Sequence[Any] | None = images.label_values
    if images.labels_were_names and images.class_names is not None:
        values = [repr(name) for name in images.class_names]
    if values is None:
        return ()
    shown = ", ".join(f"{value} = {number}" for number, value in enumerate(values[:SHOWN]))
    more = f" … {values[-1]} = {len(values) - 1}" if len(values) > SHOWN else ""
    return (f"labels are numbered as classes 0 to {len(values) - 1}, as the network's outputs must be: {shown}{more}",)


def _by_number(train: ImageSet, test: ImageSet) -> DataSets:
    of_train, of_test = np.unique(train.labels), np.unique(test.labels)
    values, classes = np.union1d(of_train, of_test), max(train.classes, test.classes)
    notes: tuple[str, ...] = ()
    unseen = np.setdiff1d(of_test, of_train)
    if len(unseen):
        notes = (f"no image of the training set {train.name} has the label {_listed(unseen.tolist())} of the test set",)
    if len(values) == classes or classes > int(values.max()) + 1:
        return DataSets(replace(train, classes=classes), replace(test, classes=classes), notes)
    known: tuple[int, ...] = tuple(values.tolist())
    train, test = (
        replace(one, labels=np.searchsorted(values, one.labels), classes=len(known), label_values=known)
        for one in (train, test)
    )
    return DataSets(train, test, notes)


def _by_name(train: ImageSet, test: ImageSet, names: tuple[str, ...], others: tuple[str, ...]) -> DataSets:
    if names == others:
        return DataSets(train, test)
    used = [others[label] for label in np.unique(test.labels)]
    unknown = [name for name in used if name not in names]
    if unknown:
        raise DataError(
            f"{test.name}: the training set {train.name} has no class {_listed(unknown, quoted=True)}"
            f"{nearest(unknown[0], names)}; classes are compared by name"
        )
    notes = []
    missing = [name for name in names if name not in used]
    if missing:
        notes.append(f"the test set {test.name} has no image of the class {_listed(missing, quoted=True)}")
    common = [name for name in others if name in names]
    if common != sorted(common, key=names.index):
        notes.append(
            f"{test.name}: the classes stand in another order than in {train.name}; they are matched by name, "
            f"in the training set's order {_listed(names)}"
        )
    place = np.array([names.index(name) if name in names else 0 for name in others])
    test = replace(test, labels=place[test.labels], classes=len(names), class_names=names)
    return DataSets(train, test, tuple(notes))


def _in_order(words: Iterable[str]) -> Any:
    """How words are ordered: as numbers where all are numbers."""
    return int if all(word.isascii() and word.isdigit() for word in words) else str


def _listed(items: Sequence[Any], *, quoted: bool = False) -> str:
    shown = [f"'{item}'" if quoted else str(item) for item in items[:SHOWN]]
    return ", ".join(shown) + (f" and {len(items) - SHOWN} more" if len(items) > SHOWN else "")
