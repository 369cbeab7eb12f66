"""What a comparison is said to have found, in plain sentences."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from moco.report.comparison.text import joined, short_seconds, standing, summary
from moco.report.console import compare_summary
from moco.run_folder.comparison_record import MomentsRecord
from tests.report.comparison.example_comparison import example

MANY = example()
FEW = example(seeds=3)


def test_a_winner_is_named_first_and_told_once_where_all_measures_agree() -> None:
    found = summary(MANY)
    assert found.tone == "good"
    assert found.headline == "By best feasible score at equal trials, guided is better than plain and alike."
    assert found.more[0] == "The same holds by hypervolume of the front at equal trials."
    assert found.more[1].startswith("By best feasible score at equal charged time (20.2 s), guided is better")


def test_with_too_few_seeds_it_says_how_many_are_needed() -> None:
    found = summary(FEW)
    assert found.tone == "warn"
    assert "3 seeds of 3 strategies can never show a difference, at least 7 are needed" in found.headline
    assert "the highest median is that of guided" in found.headline
    assert all("can never show" not in text for text in found.more)


def test_equals_with_enough_seeds_are_within_chance() -> None:
    found = summary(example({"one": 0.0, "other": 0.0}))
    assert "one cannot tell which strategy is better: the differences are within chance" in found.headline


def test_what_the_start_was_worth_and_what_thinking_costs() -> None:
    texts = " ".join(summary(MANY).more)
    assert "A better feasible score than the start's was found by guided, plain and alike in all seeds." in texts
    assert "Soonest by guided, after 4 trials at the median." in texts
    assert "A suggestion took from 2 ms (plain) to 0.25 s (guided) at the median, an evaluation 1.00 s." in texts
    assert "the start's" not in " ".join(summary(example(start="none")).more)


def test_who_never_beat_the_start_is_told() -> None:
    found = {
        name: replace(entry, beyond_start=MomentsRecord(seeds={"plain": 0, "alike": 4}[name]))
        for name, entry in MANY.summary.items()
        if name != "guided"
    }
    content = example(summary={**MANY.summary, **found})
    text = next(text for text in summary(content).more if "the start's" in text)
    assert "was found by guided in all seeds; alike in 4 of 10; plain in none. Soonest by guided" in text


def test_a_comparison_of_less_than_two_is_none() -> None:
    found = summary(example({"alone": 0.0}))
    assert (found.tone, found.more) == ("bad", ())
    assert "nothing to compare" in found.headline


def test_who_beats_whom_whoever_is_told_first() -> None:
    some = MANY.tests["score_at_equal_trials"].pairs[0]
    verdicts = [("a", "b", "worse"), ("b", "c", "better"), ("a", "c", "cannot tell")]
    pairs = [replace(some, first=first, second=second, verdict=verdict) for first, second, verdict in verdicts]
    assert standing(pairs) == {"b": ["a", "c"]}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "n/a"),
        (0.00038, "0.38 ms"),
        (0.0412, "41 ms"),
        (0.312, "0.31 s"),
        (41.5, "41.5 s"),
        (130.0, "2 min 10 s"),
    ],
)
def test_durations_of_all_sizes(value: float | None, text: str) -> None:
    assert short_seconds(value) == text


def test_lists_as_people_write_them() -> None:
    assert [joined(names) for names in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


def test_the_console_has_a_row_a_strategy_the_verdict_and_the_warnings() -> None:
    screen = io.StringIO()
    Console(file=screen, width=120).print(compare_summary(example(failed="plain")))
    text = screen.getvalue()
    assert [line.split()[0] for line in text.splitlines()[1:4]] == ["guided", "plain", "alike"]
    assert "warning: plain, seed 9: the run failed: RuntimeError: no <b>convergence</b>" in text
