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

LEAKED = "accuracy on images that a network was trained on says nothing"
SEEN = "the search has seen what its certificate is measured on"
AGAIN = "the certificate takes each image for a new one"


def duplicate_warnings(train: ImageSet, test: ImageSet, splits: Splits, *, allowed: bool) -> list[str]:
    """A line for each kind of images that stand twice; a DataError where they are more than `REFUSED_SHARE`.

    `allowed` warns of any share. Sets are compared where their contents are hashed in the same way.
    """
    if train.hashes is None or test.hashes is None or train.hashes.kind != test.hashes.kind:
        return []
    of_test = test.hashes
    search, certification = (np.intersect1d(rows, of_test.rows) for rows in (splits.search, splits.certification))
    scored = np.union1d(search, certification)
    if of_test.sizes is None:  # all are hashed, and each once
        of_test = ContentHashes.known(of_test.kind, scored, of_test.of(scored))
    leaked = shared(of_test, scored, train.hashes, train.hashes.rows)
    seen = shared(of_test, certification, of_test, search)
    again = repeated(of_test, certification)
    found = [
        _line(
            leaked, scored, f"images of {test.name} that are scored are also in the training set {train.name}", LEAKED
        ),
        _line(seen, certification, f"certification images of {test.name} are also among its search images", SEEN),
        _line(again, certification, f"certification images of {test.name} stand there before", AGAIN),
    ]
    for share, line in found:
        if share > REFUSED_SHARE and not allowed:
            advice = "take them out, or set data.allow_duplicates: true"
            raise DataError(f"{line}; {advice} (above {REFUSED_SHARE:.0%} is refused)")
    return [line for share, line in found if share > 0]


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
