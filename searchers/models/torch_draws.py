"""Libraries over torch, made to behave: they draw from a seed of their own, on one thread, and are silent."""

from __future__ import annotations

import logging
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from moco.torch_threads import one_thread


@contextmanager
def own_torch(seed: int) -> Iterator[None]:
    """Within, every global generator starts from the seed; afterwards all is as it was before.

    BoTorch and Ax draw from the global generators of torch, numpy and Python where they take no seed. One thread:
    models of some hundred trials are too small to share, and two threads on two busy cores took ten times as long.
    What the libraries warn of is their own numerics, which nobody who runs a search can act upon.
    """
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with one_thread(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.default_generator.manual_seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            random.seed(seed)
            yield
    finally:
        np.random.set_state(legacy)  # noqa: NPY002
        random.setstate(python)


@contextmanager
def silently_imported() -> Iterator[None]:
    """Within, packages that announce themselves or warn of their own parts when they are imported do neither."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def without_compiler() -> None:
    """Keep BoTorch, and Ax over it, from compiling a kernel in C++ at the first use.

    It would be kept in the user's cache, and a search that is killed meanwhile would leave a lock there at which the
    next one waits for ever. The kernel saved a tenth of the time of a suggestion (20 parameters, 100 trials).
    """
    from botorch.acquisition.multi_objective import logei

    logei._load_attempted = True
