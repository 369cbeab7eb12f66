"""The page of a comparison: sections, figures, verdicts; nothing from a run becomes markup or is fetched."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from moco.errors import RunFolderError
from moco.report.comparison.page import compare_page, curve_figure, line, write_compare_page
from moco.report.comparison.ranking import alike, ranking_figure
from moco.report.comparison.tables import verdict_matrix
from moco.run_folder.comparison_record import ComparisonRecord
from tests.report.comparison.example_comparison import example
from tests.report.test_page import Page

ORDER = ["summary", "verdicts", "curves", "table", "tests", "runs", "warnings"]
MANY = example(failed="plain")


def test_every_section_and_figure_is_there_and_nothing_is_fetched() -> None:
    page = Page(compare_page(MANY))
    assert page.sections == ORDER
    assert page.plots == ["ranking", "score-trials", "score-seconds", "hypervolume-trials", "hypervolume-seconds"]
    elsewhere = [reference for reference in page.references if not reference.startswith("#")]
    assert elsewhere == [f"runs/{run.searcher}/seed{run.seed}/trials.csv" for run in MANY.runs]


def test_what_comes_from_a_run_is_text() -> None:
    text = compare_page(MANY)
    assert "<b>convergence</b>" not in text
    assert "no <b>convergence</b>" in Page(text).text
    assert "made <i>up</i>" in Page(text).text


def test_the_matrix_reads_from_the_row_to_the_column() -> None:
    matrix = verdict_matrix(MANY, MANY.tests["score_at_equal_trials"])
    rows = [row for row in matrix.split("<tr>") if 'scope="row"' in row]
    guided, plain, _ = rows
    assert (guided.count(">better<"), guided.count(">worse<")) == (2, 0)
    assert (plain.count(">worse<"), plain.count(">cannot tell<")) == (1, 1)


def test_the_ranking_joins_what_cannot_be_told_apart() -> None:
    tests = MANY.tests["score_at_equal_trials"]
    figure = ranking_figure(tests)
    assert figure is not None
    dots, bar = figure.data
    assert dots.y[0] == "guided"
    assert list(dots.x) == sorted(dots.x)
    assert tests.friedman is not None
    assert [tests.friedman.mean_ranks[name] for name in dots.y] == list(dots.x)
    assert sorted(bar.x) == sorted(tests.friedman.mean_ranks[name] for name in ("plain", "alike"))


def test_stretches_of_a_ranking_are_the_longest_without_a_decided_pair() -> None:
    tests = MANY.tests["score_at_equal_trials"]
    ranks = {name: place for place, name in enumerate("abcd", start=1)}

    def stretches(*decided: str) -> list[str]:
        one = tests.pairs[0]
        pairs = tuple(replace(one, first=first, second=second, verdict="better") for first, second in decided)
        return ["".join(ends) for ends in alike(ranks, replace(tests, pairs=pairs))]

    assert stretches() == ["ad"]
    assert stretches("ad") == ["ac", "bd"]
    assert stretches("ac", "ad", "bd") == ["ab", "bc", "cd"]
    assert stretches("ab", "ac", "ad") == ["bd"]
    assert stretches("ab", "bc", "cd", "ac", "ad", "bd") == []


def test_two_strategies_have_no_ranking_picture() -> None:
    assert "ranking" not in Page(compare_page(example({"guided": 0.3, "plain": 0.0}))).plots


def test_a_curve_begins_where_half_of_the_seeds_have_something() -> None:
    figure = curve_figure(MANY, "score", "trials", True)
    lines = [trace for trace in figure.data if trace.fill is None]
    assert [trace.name for trace in lines] == ["guided", "plain", "alike"]
    assert all(len(trace.x) == len(trace.y) == 20 for trace in lines)
    bands = [trace for trace in figure.data if trace.fill == "toself"]
    assert len(bands) == 3
    assert all(None not in trace.y for trace in bands)


def test_strategies_keep_their_colour_and_stay_apart() -> None:
    assert len({line(place) for place in range(27)}) == 27


def test_a_comparison_with_nothing_feasible_or_nothing_finished_has_a_page() -> None:
    nothing = example().to_json()
    for label in nothing["summary"]:
        nothing["summary"][label].update(score_at_equal_trials=None, suggestion_s=None, evaluation_s=None)
        for curve in nothing["curves"][label]["score"].values():
            curve.update({name: [None] * len(curve["x"]) for name in ("median", "low", "high")})
    assert Page(compare_page(ComparisonRecord.from_json(nothing))).sections == ORDER
    empty = example(runs=(), summary={}, curves={}, tests={}, warnings=(), complete=False)
    assert Page(compare_page(empty)).sections == ["summary", "table", "runs"]


def test_the_file_is_written_from_the_numbers_alone(tmp_path: Path) -> None:
    (tmp_path / "compare.json").write_text(json.dumps(MANY.to_json()), encoding="utf-8")
    assert write_compare_page(tmp_path).read_text(encoding="utf-8") == compare_page(MANY)


def test_what_is_no_comparison_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"compare\.json is missing"):
        write_compare_page(tmp_path)
    for text in ("{}", "[]", "{"):
        (tmp_path / "compare.json").write_text(text, encoding="utf-8")
        with pytest.raises(RunFolderError, match="not what a comparison writes"):
            write_compare_page(tmp_path)
