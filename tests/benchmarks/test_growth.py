"""The growth of a searcher's time: the slope, and what is said of it."""

from __future__ import annotations

import pytest

from benchmarks.growth import FLOOR_MS, milliseconds, order, sizes, table
from benchmarks.known_answers import code_of


def test_the_order_is_the_slope_on_logarithms_above_what_nobody_waits_for() -> None:
    told = [100, 200, 400]
    assert order(told, [n**2 * 1e-2 for n in told]) == pytest.approx(2)
    assert order(told, [n**2 * 1e-6 * FLOOR_MS for n in told]) == pytest.approx(0)


def test_an_order_that_does_not_hold_is_said() -> None:
    def growing(power: int) -> str:
        runs = [{"searcher": "tpe", "code": code_of("tpe"), "told": n, "ms": float(n) ** power} for n in sizes("tpe")]
        return list(table(["tpe"], runs))[-1]

    assert growing(1).endswith("| 1.0 | 1 | holds |")
    assert growing(2).endswith("| 2.0 | 1 | **does not hold** |")


@pytest.mark.parametrize("name", ["nsga2", "ppo"])
def test_a_searcher_is_timed_after_trials_that_it_was_told(name: str) -> None:
    assert milliseconds(name, 20) > 0
