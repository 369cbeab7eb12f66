"""How many threads torch computes with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread(*, for_children: bool = False) -> Iterator[None]:
    """One thread for torch within the block, as many as before afterwards.

    The order of a sum, hence its rounding, depends on their number; and beside a busy neighbour a second thread makes
    small passes slower and timings noisier. `for_children` has processes that are started from now on take one too,
    where the user has not said.
    """
    if for_children:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
