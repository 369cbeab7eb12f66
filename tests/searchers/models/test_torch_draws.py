from __future__ import annotations

import logging
import random
import warnings

import numpy as np
import pytest
import torch

from moco.searchers.models.torch_draws import own_torch, silently_imported


def draws() -> tuple[float, float, float]:
    return float(torch.rand(())), float(np.random.random()), random.random()  # noqa: NPY002


def test_the_same_seed_draws_the_same_whatever_was_drawn_before() -> None:
    with own_torch(3):
        first = draws()
    draws()
    with own_torch(3):
        assert draws() == first
    with own_torch(4):
        assert draws() != first


def state() -> tuple[object, bytes, int]:
    legacy = np.random.get_state()[1].tobytes()  # type: ignore[index, union-attr]  # noqa: NPY002
    return random.getstate(), legacy, torch.get_num_threads()


def fail_within() -> None:
    with own_torch(5):
        draws()
        raise KeyError


def test_afterwards_all_is_as_it_was_also_after_an_error() -> None:
    torch.manual_seed(0)
    expected = torch.rand(())
    torch.manual_seed(0)
    before = state()
    with pytest.raises(KeyError):
        fail_within()
    assert state() == before
    assert torch.rand(()) == expected


def test_it_draws_on_one_thread_and_without_warnings() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with own_torch(0):
            assert torch.get_num_threads() == 1
            warnings.warn("not for the user", stacklevel=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_what_is_imported_silently_neither_warns_nor_logs(caplog: pytest.LogCaptureFixture) -> None:
    with silently_imported():
        warnings.warn("an old part", stacklevel=1)
        logging.getLogger("library").warning("here I am")
    assert caplog.records == []
    logging.getLogger("library").warning("later")
    assert [record.message for record in caplog.records] == ["later"]
