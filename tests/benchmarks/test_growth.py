"""The growth of a searcher's time: the slope, and what is said of it."""

from __future__ import annotations

import pytest

from benchmarks import growth
from benchmarks.growth import FLOOR_MS, after_random, along_a_search, order, sizes, table
from benchmarks.known_answers import code_of
from benchmarks.timed import Timed
from moco.problem import Problem
from moco.searchers.random import RandomSearcher
from moco.trial import Suggestion, Trial


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


class Counting(Timed):
    """A searcher that takes a second for every trial that it was told; an ask takes nothing."""

    trials = 0

    def ask(self) -> Suggestion:
        before, suggestion = self.seconds, super().ask()
        self.seconds = before
        return suggestion

    def tell(self, trial: Trial) -> None:
        before = self.seconds
        super().tell(trial)
        self.trials += 1
        self.seconds = before + self.trials


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    def built(_: str, problem: Problem) -> Counting:
        return Counting(RandomSearcher(problem, RandomSearcher.Options(), 0))

    monkeypatch.setattr(growth, "built", built)


@pytest.mark.usefixtures("counting")
def test_a_search_is_timed_over_the_last_fifth() -> None:
    """Of 20 trials the last four take 17 to 20 seconds, of 10 the last two 9 and 10."""
    assert along_a_search("random", [10, 20]) == {10: pytest.approx(9500), 20: pytest.approx(18500)}


@pytest.mark.usefixtures("counting")
def test_a_slow_searcher_is_timed_after_what_it_was_told_and_one_more() -> None:
    assert after_random("random", 10) == pytest.approx(1000 * (12 + 13 + 14) / 3)
