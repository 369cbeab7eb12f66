"""One seed tree a run: generators are spawned by name or number, and no global generator is touched."""

from __future__ import annotations

import zlib

import numpy as np


def seed_sequence(seed: int, *path: str | int) -> np.random.SeedSequence:
    """The node of the run's seed tree at `path`; the same path always gives the same node."""
    key = tuple(zlib.crc32(part.encode()) if isinstance(part, str) else part for part in path)
    return np.random.SeedSequence(seed, spawn_key=key)


def generator(seed: int, *path: str | int) -> np.random.Generator:
    """A fresh generator for `path`, for example `generator(seed, "searcher", n)` for a searcher's n-th ask."""
    return np.random.default_rng(seed_sequence(seed, *path))


def derived_seed(seed: int, *path: str | int) -> int:
    """A 32-bit integer seed for a library that wants one."""
    return int(seed_sequence(seed, *path).generate_state(1)[0])
