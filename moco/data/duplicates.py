"""Images that stand in two splits, or twice in one: accuracy on an image that was trained on says nothing."""

from __future__ import annotations

import numpy as np

from moco.data.content_hashes import ContentHashes, Rows
from moco.data.image_set import ImageSet
from moco.data.splits import Splits
from moco.errors import DataError

REFUSED_SHARE = 0.01
"""Of the images that are scored. A share of leaked images can lift an accuracy by no more than itself, here 1 point;
published sets have a few (CIFAR-100, ImageNet), a test set that was copied has half or all."""

Known = tuple[ContentHashes, ContentHashes]
"""Hashes of the training and of the test set."""
LEAKED = "accuracy on images that a network was trained on says nothing"
SEEN = "the search has seen what its certificate is measured on"
AGAIN = "the certificate takes each image for a new one"


def duplicate_warnings(train: ImageSet, test: ImageSet, splits: Splits, *, allowed: bool) -> list[str]:
    """A line for each kind of images that stand twice; a DataError where they are more than `REFUSED_SHARE`.

    `allowed` warns of any share. Sets are compared where their contents are hashed in the same way.
    """
    if train.hashes is None or test.hashes is None or train.hashes.kind != test.hashes.kind:
        return []
    find = _with_search_of_train if splits.search_from == "train" else _with_search_of_test
    found = find((train.hashes, test.hashes), (train.name, test.name), splits)
    for share, line in found:
        if share > REFUSED_SHARE and not allowed:
            advice = "take them out, or set data.allow_duplicates: true"
            raise DataError(f"{line}; {advice} (above {REFUSED_SHARE:.0%} is refused)")
    return [line for share, line in found if share > 0]


def _with_search_of_test(known: Known, names: tuple[str, str], splits: Splits) -> list[tuple[float, str]]:
    """Lines where both splits that are scored are of the test set; each with the share of images."""
    of_train, of_test = known
    train, test = names
    search, certification = (np.intersect1d(rows, of_test.rows) for rows in (splits.search, splits.certification))
    scored = np.union1d(search, certification)
    of_test = _at_once(of_test, scored)
    leaked = shared(of_test, scored, of_train, of_train.rows)
    seen = shared(of_test, certification, of_test, search)
    return [
        _line(leaked, scored, f"images of {test} that are scored are also in the training set {train}", LEAKED),
        _line(seen, certification, f"certification images of {test} are also among its search images", SEEN),
        _repeated_line(of_test, certification, test),
    ]


def _with_search_of_train(known: Known, names: tuple[str, str], splits: Splits) -> list[tuple[float, str]]:
    """Lines where the search split is of the training set, which the other splits of it must not hold either."""
    of_train, of_test = known
    train, test = names
    search = np.intersect1d(splits.search, of_train.rows)
    others = np.intersect1d(np.union1d(splits.train, splits.calibration), of_train.rows)
    certification = np.intersect1d(splits.certification, of_test.rows)
    of_test = _at_once(of_test, certification)
    twins = shared(of_train, search, of_train, others)
    leaked = shared(of_test, certification, of_train, of_train.rows)
    return [
        _line(twins, search, f"search images of {train} are also among its other images", LEAKED),
        _line(leaked, certification, f"certification images of {test} are also in the training set {train}", LEAKED),
        _repeated_line(of_test, certification, test),
    ]


def _at_once(hashes: ContentHashes, rows: Rows) -> ContentHashes:
    """The hashes of these rows, each made once, where all are needed: files are hashed only where sizes are equal."""
    return hashes if hashes.sizes is not None else ContentHashes.known(hashes.kind, rows, hashes.of(rows))


def _repeated_line(hashes: ContentHashes, certification: Rows, name: str) -> tuple[float, str]:
    again = repeated(hashes, certification)
    return _line(again, certification, f"certification images of {name} stand there before", AGAIN)


def shared(left: ContentHashes, rows: Rows, right: ContentHashes, others: Rows) -> Rows:
    """Those of `rows` of the left set whose image is also among `others` of the right one."""
    if left.sizes is not None and right.sizes is not None:  # a file is read only where another one is as long
        rows = rows[np.isin(left.sizes[rows], right.sizes[others])]
        others = others[np.isin(right.sizes[others], left.sizes[rows])]
    if not len(rows) or not len(others):
        return rows[:0]
    found: Rows = rows[np.isin(left.of(rows), right.of(others))]
    return found


def repeated(hashes: ContentHashes, rows: Rows) -> Rows:
    """Those of `rows` whose image an earlier one of them has."""
    if hashes.sizes is not None:
        _, place, counts = np.unique(hashes.sizes[rows], return_inverse=True, return_counts=True)
        rows = rows[counts[place] > 1]
    _, first = np.unique(hashes.of(rows), return_index=True)
    return np.delete(rows, first)


def _line(rows: Rows, images: Rows, what: str, why: str) -> tuple[float, str]:
    """The share of the images, and a line that says so."""
    share = len(rows) / max(len(images), 1)
    first = f", the first in row {rows[0]}" if len(rows) else ""
    return share, f"{len(rows)} of {len(images)} {what} ({share:.2%}{first}): {why}"
