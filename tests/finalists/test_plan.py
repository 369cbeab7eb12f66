"""The rounds of finalists and the split of the budget."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest

from moco.errors import ConfigError
from moco.finalists.plan import FinalistsPlan, FinalistTraining
from moco.run.budget_split import BudgetSplit
from moco.study import Budget


@pytest.mark.parametrize("candidates", [1, 2, 3, 4, 9])
def test_rounds_halve_and_share_all_seconds(candidates: int) -> None:
    rounds = FinalistsPlan(candidates=candidates, keep=0.5).rounds
    sizes = [one.finalists for one in rounds]
    assert sizes[0] == candidates
    assert len(sizes) > 1 == sizes[-1]
    assert all(after <= before / 2 or after == 1 for before, after in pairwise(sizes))
    assert sum(one.share * one.finalists for one in rounds) == pytest.approx(1)
    assert [one.number for one in rounds] == list(range(len(rounds)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 1.0}, r"finalists\.share: expected a number above 0 and below 1, got 1"),
        ({"candidates": 0}, r"finalists\.candidates: expected at least 1, got 0"),
    ],
)
def test_what_makes_no_plan_is_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FinalistsPlan(**options)  # type: ignore[arg-type]


def test_options_of_the_training_are_told_by_their_place() -> None:
    with pytest.raises(ConfigError, match=r"^finalists\.training\.learning_rate: expected a finite number above 0"):
        FinalistTraining(learning_rate=-1)


@dataclass
class Clock:
    """Seconds that a test lets pass."""

    now_s: float = 0.0

    def __call__(self, _budget: Budget) -> float:
        return self.now_s


def split(budget: Budget, clock: Clock, share: float = 0.6) -> BudgetSplit:
    return BudgetSplit(budget, FinalistsPlan(share=share), clock, delivery_s=50)


def test_the_finalists_have_their_share_of_what_preparing_and_delivering_leave() -> None:
    clock = Clock(50)
    found = split(Budget(100, processor_seconds=1100), clock)  # 1,000 s are left, of which 600 are for training
    assert found.training_s() == pytest.approx(600)
    assert found.first.processor_seconds == pytest.approx(50 + 300)
    assert found.first.trials == 75
    clock.now_s = 350
    found.begin_training()
    assert found.training_s() == pytest.approx(600)
    clock.now_s = 550
    second = found.second()
    assert second.processor_seconds == pytest.approx(650)
    assert second.trials == 100
    clock.now_s = 650
    assert found.training_s() == pytest.approx(400)


def test_what_a_stalled_search_leaves_is_trained() -> None:
    clock = Clock(50)
    found = split(Budget(100, processor_seconds=1100), clock)
    clock.now_s = 100
    found.begin_training()
    assert found.training_s() == pytest.approx(1000 - 50 - 100)


def test_while_nothing_is_worth_a_training_the_search_has_another_part() -> None:
    clock = Clock(50)
    found = split(Budget(100, processor_seconds=1100), clock)
    found.begin_training()
    clock.now_s = 450
    assert found.second().trials == 100
    more = found.more()
    assert more is not None
    assert (more.trials, more.processor_seconds) == (100, pytest.approx(450 + 60))
    clock.now_s = 1055
    assert found.more() is None, "what is put aside for the certificate is not searched"


def test_without_processor_seconds_those_of_the_clock_are_split() -> None:
    found = split(Budget(10, seconds=150), Clock(0))
    assert found.first.seconds == pytest.approx(30)
    assert found.first.processor_seconds is None


def test_what_is_left_counts_training_and_delivery_in() -> None:
    clock = Clock(50)
    found = split(Budget(100, processor_seconds=1100), clock)
    clock.now_s = 350  # the first search is over
    assert found.left() == "at most 750 s of the processor left, training included"
    assert split(Budget(100, seconds=1100), clock).left() == "at most 750 s left, training included"
    clock.now_s = 1200
    assert found.left() == "at most 0 s of the processor left, training included"
