"""The end of a search on the console."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console

from moco.comparison.importance import importance_of
from moco.report.console import console_summary, importance_summary
from moco.report.verdict import verdict
from moco.run_folder.result import Result
from moco.run_folder.trial_record import TrialRecord
from tests.report.example_run import result, trials


def printed(data: dict[str, Any]) -> str:
    console = Console(width=400, record=True, file=StringIO())
    console.print(console_summary(Result.from_json(data)))
    return console.export_text()


def test_the_summary_has_the_table_and_the_verdict() -> None:
    data = result(trials())
    text = printed(data)
    for name in ("chosen", "reference", "int8", "ladder 0.9 int8"):
        assert f"\n{name}" in text
    assert verdict(Result.from_json(data)).text in text


def test_warnings_are_repeated() -> None:
    assert "warning: the clock is odd" in printed(result(trials()) | {"warnings": ["the clock is odd"]})


def test_markup_in_names_is_printed_as_text() -> None:
    data = result(trials())
    data["baselines"][1]["name"] = "[bold]x[/bold]"
    assert "[bold]x[/bold]" in printed(data)


def test_a_search_without_a_network_shows_the_reference() -> None:
    text = printed(result(trials()) | {"best": None, "baselines": [], "feasible": 0})
    assert "No network could be built, measured and scored in 30 trials." in text
    assert "91.90" in text


def parameters(data: list[dict[str, Any]]) -> str:
    console = Console(width=400, record=True, file=StringIO())
    console.print(importance_summary(importance_of([TrialRecord.from_json(one) for one in data])))
    return console.export_text()


def test_the_parameters_that_decided_most_are_shown_with_the_number_of_others() -> None:
    text = parameters(trials())
    assert "What decided the score, of 27 networks" in text
    assert text.count(".keep") == 5
    assert "4 more in the report" in text


def test_a_search_of_few_networks_says_why_no_parameter_is_judged() -> None:
    assert "Importance of the parameters: n/a, 4 distinct networks are needed, found 2." in parameters(trials(2))


def test_a_reason_that_all_parameters_share_is_given_once() -> None:
    flat = [{**one, "score": -50.0, "violations": [0.1], "feasible": False} for one in trials()]
    text = parameters(flat)
    assert text.count("the score is constant") == 1
    assert "No importance: the score is constant." in text
