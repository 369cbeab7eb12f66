"""What a trial is charged: its evaluation as first made, whoever made it, and its own suggestion."""

from __future__ import annotations

import pytest

from moco.comparison.curves import charged_s, counted, evaluation_s, is_stored, suggestion_s
from tests.comparison.made_runs import failed, trial


def test_a_fresh_evaluation_is_charged_without_what_the_records_took() -> None:
    one = trial(0, search_s=0.25, evaluation_s=2.0)
    assert (suggestion_s(one), evaluation_s(one), charged_s(one)) == (0.25, 2.0, 2.25)
    assert not is_stored(one)


def test_a_stored_evaluation_is_charged_what_it_took_when_first_made() -> None:
    one = trial(0, search_s=0.25, evaluation_s=2.0, stored=True)
    assert charged_s(one) == charged_s(trial(0, search_s=0.25, evaluation_s=2.0))
    assert is_stored(one)


@pytest.mark.parametrize("stored", [False, True])
def test_a_repeat_within_a_search_is_charged_its_suggestion_alone(stored: bool) -> None:
    one = trial(3, search_s=0.25, evaluation_s=2.0, stored=stored, distinct=False)
    assert (evaluation_s(one), charged_s(one), is_stored(one)) == (0.0, 0.25, False)


def test_a_failed_trial_is_charged_what_it_took() -> None:
    assert (suggestion_s(failed(0, 3.0)), charged_s(failed(0, 3.0))) == (None, 3.0)


def test_a_given_start_costs_nothing_and_does_not_count() -> None:
    given, start, own = trial(0, start="policy best", given=True), trial(1, start="reference"), trial(2)
    assert [charged_s(one) for one in (given, start, own)] == [0.0, 1.1, 1.1]
    assert counted([given, start, own]) == [start, own]
