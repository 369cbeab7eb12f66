from __future__ import annotations

from benchmarks.wrapped import CMAES, Row, line, measure, numeric_problem


def test_bare_cmaes_that_lives_through_the_search_proposes_what_the_wrapped_one_proposes() -> None:
    """15 told are a generation of 12 and a quarter of the next; 12 asks go into the third."""
    row = measure(CMAES, numeric_problem(), n_told=15, asks=12)
    assert (row.same, row.asks) == (12, 12)


def test_less_than_a_millisecond_is_not_shown_as_nothing() -> None:
    row = Row("cmaes", 20, 0.00042, 0.0011, 0.00068, 12, 12)
    assert line(row) == "| cmaes | 20 | 0.0004 | 0.001 | +0.7 | +162 | 12 of 12 |"
