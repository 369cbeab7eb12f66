"""A hash of each image's content, by which images are found that stand twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Hashes = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class ContentHashes:
    """Hashes of the images of a set, on demand."""

    kind: str  # what is hashed, `file` or `pixels`: only hashes of one kind are compared
    rows: Rows  # the images that can be hashed at no great cost: all, or evenly spaced ones
    of: Callable[[Rows], Hashes]  # hashes of these images
    sizes: NDArray[np.int64] | None = None  # bytes of each image, the same in equal ones; None where hashes are at hand

    @staticmethod
    def known(kind: str, rows: Rows, hashes: Hashes) -> ContentHashes:
        """Of images that are hashed already; `hashes` are those of `rows`."""
        return ContentHashes(kind, rows, lambda asked: hashes[np.searchsorted(rows, asked)])


def hash_of(content: bytes) -> int:
    """64 bits of the content's BLAKE2: among a million images two different ones are alike with 3e-8."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def hashes_of(contents: Iterable[bytes]) -> Hashes:
    """`hash_of` each, (n,)."""
    return np.fromiter(map(hash_of, contents), dtype=np.uint64)
