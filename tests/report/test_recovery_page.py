"""What recovery gave: the sentence, the picture, and no section where nobody looked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moco.report.recovery_page import Pair, recovery_figure, recovery_sentence
from tests.report.example_run import write_example
from tests.report.test_page import change, page_of


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_example(tmp_path / "run")


def _scored_before(trials: list[dict[str, Any]]) -> None:
    for trial in trials:
        if trial["number"] > 0 and trial["evaluation"] is not None:
            error = trial["evaluation"]["metrics"]["top1_error"][0]
            trial["evaluation"]["details"]["before_recovery"] = {"top1_error": min(error + 0.25, 0.9)}


def test_the_page_shows_both_accuracies_of_each_network(run: Path) -> None:
    change(run, "trials.json", _scored_before)
    page = page_of(run)
    assert page.sections.index("recovery") == page.sections.index("front") + 1
    assert "recovery-figure" in page.plots
    assert "the median of the change is +25 pp" in page.text
    assert "top-1 before recovery" in page.text


def test_a_search_that_did_not_look_has_no_such_section(run: Path) -> None:
    page = page_of(run)
    assert "recovery" not in page.sections
    assert "before recovery" not in page.text


def test_the_sentence_counts_what_is_better_worse_and_ruined() -> None:
    pairs = [Pair(1, 0.9, 0.2), Pair(2, 0.3, 0.2), Pair(3, 0.2, 0.3), Pair(4, 0.8, 0.7)]
    assert recovery_sentence(pairs, 0.1) == (
        "Of 4 networks 3 are more accurate after recovery and 1 less; the median of the change is +10 pp. "
        "Ruined, below 45.00 %, which is half of the original's accuracy, are 2 before and 1 after."
    )
    assert "Ruined" not in recovery_sentence(pairs, None)


def test_the_picture_sets_the_chosen_network_apart_beside_the_line_of_no_change() -> None:
    figure = recovery_figure([Pair(1, 0.9, 0.2), Pair(2, 0.3, 0.25)], chosen=2)
    assert [(trace.name, list(trace.x), list(trace.y)) for trace in figure.data] == [
        ("unchanged", [pytest.approx(10.0), 80.0], [pytest.approx(10.0), 80.0]),
        ("network", [pytest.approx(10.0)], [80.0]),
        ("chosen", [70.0], [75.0]),
    ]
