"""A reference that does no better than one answer for all images is told of before the search."""

from __future__ import annotations

import numpy as np
import pytest

from moco.certification.confidence_bounds import chance_warnings


@pytest.mark.parametrize(("right", "shares"), [(257, (250, 250, 250, 250)), (520, (500, 250, 250)), (0, (500, 500))])
def test_a_network_that_does_no_better_than_one_answer_for_all_is_warned_of(
    right: int, shares: tuple[int, ...]
) -> None:
    (text,) = chance_warnings(np.arange(1000) < right, np.repeat(range(len(shares)), shares))
    assert text.startswith(f"the reference gets only {right / 10}% of the search images right, where naming their most")
    assert f" gets {shares[0] / 10}%: are its weights loaded" in text


@pytest.mark.parametrize(("right", "shares"), [(275, (250, 250, 250, 250)), (530, (500, 250, 250))])
def test_a_network_that_is_clearly_better_is_not(right: int, shares: tuple[int, ...]) -> None:
    assert chance_warnings(np.arange(1000) < right, np.repeat(range(len(shares)), shares)) == []


def test_images_of_one_class_are_said_to_say_nothing() -> None:
    assert chance_warnings(np.ones(9, dtype=bool), np.zeros(9)) == [
        "all 9 search images are of one class: an accuracy on them says nothing"
    ]
