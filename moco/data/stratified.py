"""Parts of a labelled set that hold its classes in proportion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IndexArray = NDArray[np.int64]


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
