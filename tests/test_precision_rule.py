"""The rule of S4.06, against the example in its source."""

from __future__ import annotations

import math

import pytest

from moco.errors import CompressionError
from moco.precision_rule import headroom, least_levels


def test_the_published_example() -> None:
    assert least_levels(3 * 3 * 2048 * 1024) == pytest.approx(5.788, abs=5e-4)


def test_a_bit_more_doubles_the_headroom() -> None:
    assert headroom(4, 1000) == pytest.approx(16 / math.sqrt(2 * math.log(1000)))
    assert headroom(5, 1000) == pytest.approx(2 * headroom(4, 1000))
    assert headroom(1, 1) == math.inf


def test_no_weights_have_no_direction() -> None:
    with pytest.raises(CompressionError, match="at least one weight, got 0"):
        least_levels(0)
