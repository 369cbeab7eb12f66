"""Which images are right, and the paired standard errors of errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

from moco.errors import MeasurementError
from moco.evaluation.accuracy import BATCH, Correct, correct, error_metrics, logits_of


class Linear:
    """Logits are a fixed function of each image; remembers the batches it was given."""

    def __init__(self, broken: int | None = None) -> None:
        self.batches: list[int] = []
        self.broken = broken

    def run(self, images: np.ndarray) -> np.ndarray:
        self.batches.append(len(images))
        logits = np.stack([images[:, 0, 0, 0], -images[:, 0, 0, 0]], axis=1)
        if self.broken is not None and len(self.batches) == self.broken:
            logits[0, 0] = np.nan
        return logits


def numbered(n: int) -> np.ndarray:
    return np.arange(n, dtype=np.float32).reshape(n, 1, 1, 1)


def test_logits_keep_their_order_over_batches() -> None:
    session = Linear()
    logits = logits_of(session, numbered(250))

    assert session.batches == [BATCH, BATCH, 50]
    assert logits[:, 0].tolist() == list(range(250))


def test_logits_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(MeasurementError, match="not finite"):
        logits_of(Linear(broken=2), numbered(150))


def test_top1_and_top5_by_hand() -> None:
    logits = np.array([[9, 8, 7, 6, 5, 4.0], [9, 8, 7, 6, 5, 4], [9, 8, 7, 6, 5, 4], [0, 0, 0, 0, 0, 1]])
    right = correct(logits, np.array([0, 4, 5, 5]))

    assert right.top1.tolist() == [True, False, False, True]
    assert right.top5.tolist() == [True, True, False, True]
    assert right.accuracy == 0.5


def test_ties_go_to_the_lower_class() -> None:
    right = correct(np.zeros((3, 6)), np.array([0, 1, 5]))

    assert right.top1.tolist() == [True, False, False]
    assert right.top5.tolist() == [True, True, False]


def test_fewer_than_five_classes_are_always_in_the_first_five() -> None:
    assert correct(np.zeros((2, 3)), np.array([0, 2])).top5.all()


def of(top1: list[int]) -> Correct:
    array = np.array(top1, dtype=bool)
    return Correct(array, np.ones(len(array), dtype=bool))


def test_errors_and_their_paired_standard_errors() -> None:
    reference, candidate = of([1] * 90 + [0] * 10), of([0] * 6 + [1] * 84 + [1] * 2 + [0] * 8)
    metrics = error_metrics(candidate, reference)
    # 6 lost, 2 gained of 100, half an image added to each cell (Agresti and Min): (6.5, 2.5) of 102.
    variance = (6.5 + 2.5) / 102 - ((6.5 - 2.5) / 102) ** 2

    assert metrics["top1_error"].value == pytest.approx(0.14)
    assert metrics["top1_error"].sem == pytest.approx(math.sqrt(variance / 102))
    assert metrics["top5_error"].value == 0.0


def test_a_network_that_errs_like_the_reference_is_known_better_than_one_that_errs_elsewhere() -> None:
    reference = of([1] * 90 + [0] * 10)
    alike, elsewhere = of([1] * 88 + [0] * 12), of([0] * 12 + [1] * 88)
    sems = [error_metrics(candidate, reference)["top1_error"].sem for candidate in (alike, elsewhere)]

    assert sems[0] < sems[1]  # type: ignore[operator]
