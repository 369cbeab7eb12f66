"""The page of a single-layer study: nothing from a network becomes markup, what is absent is n/a."""

from __future__ import annotations

from typing import Any

import pytest

from moco.report.sensitivity_page import curves_figure, heatmap, sensitivity_page, shown_divergence

EVIL = "layer</script><b>"
STUDY: dict[str, Any] = {
    "curves": [
        {"layer": EVIL, "parameter": "keep", "levels": [1.0, 0.5], "divergences": [0.0, 0.25]},
        {"layer": "conv2", "parameter": "keep", "levels": [1.0, 0.5], "divergences": [0.0, 7.0]},
        {"layer": "head", "parameter": "int8", "levels": [8.0], "divergences": [1e-7]},
    ],
    "layers": [EVIL, "conv2", "head"],
    "owners": {EVIL: EVIL, "conv2": "conv2"},
    "images": 64,
    "direction": "KL(original || compressed)",
    "seconds": 3.2,
    "whole_runs": None,
}


def test_text_of_a_network_is_escaped() -> None:
    page = sensitivity_page(EVIL, STUDY, {"g1": [EVIL]}, ["conv2"], f"groups: {EVIL}")

    assert "<b>" not in page
    assert "layer&lt;/script&gt;&lt;b&gt;" in page


def test_what_was_not_measured_is_not_available() -> None:
    assert shown_divergence(None) == "n/a"
    assert shown_divergence(0.25) == "0.25"
    assert shown_divergence(1e-7) == "< 0.00001"
    page = sensitivity_page("t", STUDY, {}, [], "")
    row = page.split('<th scope="row">head</th>')[1].split("</tr>")[0]
    assert row == "<td>n/a</td><td>&lt; 0.00001</td><td>n/a</td><td>n/a</td><td>n/a</td><td>n/a</td>"
    inside = {"inside": {"head": "block"}}
    left_out = {"layer": "block", "parameter": "branches", "levels": [0.0], "divergences": [0.125]}
    page = sensitivity_page("t", {**STUDY, **inside, "curves": [*STUDY["curves"], left_out]}, {}, [], "")
    assert "<td>0.125</td>" in page.split('<th scope="row">head</th>')[1].split("</tr>")[0]


def test_a_line_is_drawn_for_each_layer_and_named_once_a_group() -> None:
    figure = curves_figure(STUDY["curves"], {"g1": [EVIL]}, ["conv2"])
    assert figure is not None
    assert [(line.name, line.showlegend) for line in figure.data] == [("g1", True), ("left alone", True)]
    assert list(figure.data[0].y) == pytest.approx([1e-5, 0.25])
    assert curves_figure(STUDY["curves"][2:], {}, []) is None


def test_a_map_shows_the_logarithm_and_tells_the_value() -> None:
    figure = heatmap(STUDY["curves"], "keep", "keep ratio")
    assert figure is not None
    assert [list(row) for row in figure.data[0].z] == [
        pytest.approx([-5, -0.602], abs=1e-3),
        pytest.approx([-5, 0.845], abs=1e-3),
    ]
    assert [list(row) for row in figure.data[0].customdata] == [[0.0, 0.25], [0.0, 7.0]]
    assert heatmap(STUDY["curves"], "weight_bits", "bits") is None


def test_whole_runs_are_said_with_their_reason() -> None:
    assert "whole each time: no trace" in sensitivity_page("t", {**STUDY, "whole_runs": "no trace"}, {}, [], "")
