from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from moco.errors import MeasurementError
from moco.hardware.measuring.local_session import Failing, LocalSession, text_of
from moco.interfaces import Artifact

FILE = Artifact(Path("net.onnx"), "0" * 64, 1)
IMAGES = np.ones((2, 3, 4, 4), np.float32)


class Summing(LocalSession):
    """A runtime that adds up what each image holds, and fails on images of zeros."""

    failing = Failing("Adder", errors=(ZeroDivisionError,))
    freed = 0

    def _logits(self, images: np.ndarray) -> np.ndarray:
        if not images.any():
            raise ZeroDivisionError("nothing\n  to add")
        if images.max() > 1:
            raise KeyError("a fault of ours")
        return images.reshape(len(images), -1).sum(axis=1, keepdims=True)

    def _free(self) -> None:
        self.freed += 1


@pytest.fixture
def session() -> Summing:
    return Summing(FILE, (3, 4, 4))


def test_images_that_fit_reach_the_runtime(session: Summing) -> None:
    assert session.run(IMAGES).tolist() == [[48.0], [48.0]]


@pytest.mark.parametrize("images", [IMAGES[:, :2], IMAGES.astype(np.float64)])
def test_other_images_are_refused(session: Summing, images: np.ndarray) -> None:
    with pytest.raises(MeasurementError, match=r"^net\.onnx: expected float32 images \(n, 3, 4, 4\), got "):
        session.run(images)


def test_an_error_of_the_runtime_names_file_and_runtime_in_one_line(session: Summing) -> None:
    with pytest.raises(MeasurementError, match=r"^net\.onnx: Adder failed: ZeroDivisionError: nothing to add$"):
        session.run(0 * IMAGES)


def test_a_fault_that_is_not_the_runtime_s_is_not_taken_for_one(session: Summing) -> None:
    with pytest.raises(KeyError):
        session.run(2 * IMAGES)


def test_a_closed_session_refuses_and_is_freed_as_often_as_it_is_closed(session: Summing) -> None:
    session.close()
    session.close()
    assert session.freed == 2
    with pytest.raises(MeasurementError, match=r"^net\.onnx: the session is closed$"):
        session.run(IMAGES)


@pytest.mark.parametrize(
    ("failing", "error", "said"),
    [
        (Failing("Adder"), MeasurementError("no such operator"), "no such operator"),
        (Failing("Adder", text_of), RuntimeError("two\nlines"), "two lines"),
    ],
)
def test_the_reason_is_told_as_the_runtime_wants_it(failing: Failing, error: Exception, said: str) -> None:
    with pytest.raises(MeasurementError, match=rf"^net\.onnx: Adder cannot load it: {said}$"):
        with_error(failing, error)


def with_error(failing: Failing, error: Exception) -> None:
    with failing.named(FILE, "cannot load it"):
        raise error
