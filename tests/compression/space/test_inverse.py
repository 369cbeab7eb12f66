"""From what is left back to a ratio."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moco.compression.space.parameters import Ratio


@given(sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=6), ratio=st.floats(0.1, 1.0))
def test_what_some_ratio_leaves_is_found_again(sizes: list[int], ratio: float) -> None:
    def left(keep: float) -> list[int]:
        return [size - math.floor(size * (1 - keep)) for size in sizes]

    found = Ratio(0.1, 1.0).leaving(left(ratio), left, sum(left(ratio)) / sum(sizes))
    assert 0.1 <= found <= 1.0
    assert left(found) == left(ratio)


@pytest.mark.parametrize("wanted", [[3, 8], [8, 3], [0, 0], [99, 99]])
def test_where_no_ratio_will_do_the_guess_comes_back(wanted: list[int]) -> None:
    assert Ratio(0.1, 1.0).leaving(wanted, lambda keep: [round(10 * keep)] * 2, 0.42) == 0.42


def test_a_guess_that_will_do_is_taken() -> None:
    assert Ratio(0.1, 1.0).leaving([5], lambda keep: [round(10 * keep)], 0.52) == 0.52
