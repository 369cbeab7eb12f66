"""The staircase figure and its page hold the numbers of payoff.json."""

from __future__ import annotations

from typing import Any

import pytest

from moco.report.payoff_figure import HEAD, lead, left_out, payoff_figure, payoff_page, payoff_rows, payoff_warnings


def time(ratio: float) -> dict[str, float]:
    return {"ratio": ratio, "low": ratio - 0.02, "high": ratio + 0.03, "sem": 0.01}


def payoff(precision: str = "float32", **changes: Any) -> dict[str, Any]:
    found = {
        "geometry": "8→K→8",
        "precision": precision,
        "reference": precision == "float32",
        "reference_ms": 0.25,
        "widths": [8, 6, 4],
        "times": [time(1.0), time(1.1), time(0.5)],
        "factorised": [{"keep": 0.25, **time(0.7)}, {"keep": 0.5, **time(1.2)}],
        "warnings": [],
        "paying_widths": [4, 8],
        "pruning_pays": True,
        "precision_pays": False,
        "paying_keeps": [0.25],
    }
    return {**found, **changes}


def report(*payoffs: dict[str, Any], **changes: Any) -> dict[str, Any]:
    found = {
        "target": {"runtime": "onnxruntime", "version": "1.0", "processor": "P"},
        "batch": 1,
        "groups": {"a": "8→K→8", "b": "8→K→8"},
        "payoffs": list(payoffs),
        "left_out": {},
        "seconds": 12.4,
        "stored": 0,
    }
    return {**found, **changes}


def test_points_show_ratios_with_their_intervals_and_hollow_where_a_width_does_not_pay() -> None:
    figure = payoff_figure([payoff(), payoff("int8", paying_widths=[8])])
    float32, int8 = figure.data
    assert (float32.name, list(float32.x), list(float32.y)) == ("float32", [8, 6, 4], [1.0, 1.1, 0.5])
    assert list(float32.error_y.array) == pytest.approx([0.03] * 3)
    assert list(float32.error_y.arrayminus) == pytest.approx([0.02] * 3)
    assert [colour == "#ffffff" for colour in float32.marker.color] == [False, True, False]
    assert [colour == "#ffffff" for colour in int8.marker.color] == [False, True, True]
    assert "does not pay" in float32.hovertext[1]
    assert "float32" in figure.layout.yaxis.title.text


def test_rows_name_the_groups_once_and_the_verdicts() -> None:
    int8 = payoff(
        "int8", times=[time(1.2), time(1.3), time(1.4)], paying_widths=[8], pruning_pays=False, paying_keeps=[]
    )
    rows = payoff_rows(report(payoff(), int8))
    assert rows == [
        ("8→K→8", "a and 1 more", "float32", "1.00 (0.25 ms)", "8, 4", "4: 0.50", "0.25: 0.70"),
        ("", "", "int8", "1.20 does not pay", "only all", "8: 1.20", "none"),
    ]
    assert len(HEAD) == len(rows[0])


def test_the_lead_says_what_was_measured_and_what_was_known() -> None:
    assert lead(report(payoff())) == ("2 channel groups are 1 pairs of layers; batch 1, P, onnxruntime, 1.0, 12 s.")
    assert "1 of them from the store" in lead(report(payoff(), stored=1))


def test_reasons_and_doubts_are_told_once() -> None:
    found = report(
        payoff(warnings=["w"]), payoff("int8", warnings=["w"]), left_out={"x": "late", "y": "late", "z": "odd"}
    )
    assert left_out(found) == ["x and 1 more: late", "z: odd"]
    assert payoff_warnings(found) == ["8→K→8: w"]


def test_the_page_has_a_figure_a_geometry_and_nothing_becomes_markup() -> None:
    page = payoff_page(report(payoff(), payoff(geometry="<b>x</b>"), left_out={"<i>": "odd"}), "<script>name")
    assert page.count('class="plot"') == 2
    assert "<b>x</b>" not in page
    assert "<script>name" not in page
    assert "not probed: &lt;i&gt;: odd" in page
