"""RUN/compare.html: one self-contained page of a comparison of searchers, with its figures.

Curves are medians over seeds with their bootstrap bands, a colour a strategy.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from moco.report.comparison.ranking import ranking_figure
from moco.report.comparison.tables import friedman_table, pairs_table, runs_table, summary_table, verdict_matrix
from moco.report.comparison.text import AXES, TITLES, budget_text, by_importance, summary
from moco.report.document import Html, details, document, element, note, plot, plots, section, warnings_section, written
from moco.report.figures import ACCENT, CHOSEN, INK, SPARE_COLOURS, base_figure
from moco.report.run_summary import plain
from moco.report.tables import definitions
from moco.run_folder.comparison_record import ComparisonRecord, CurveRecord, MeasureTests
from moco.run_folder.reading import read_comparison, well_formed_comparison

PAGE = "compare.html"
COLOURS = (ACCENT, CHOSEN, *SPARE_COLOURS[:-1], INK)
DASHES = ("solid", "dash", "dot")  # beyond as many strategies as colours the lines are broken too
_WIDE_RATIO = 20.0
"""Where the end of the last curve is that much later than that of the first, time is drawn on a logarithmic axis."""

_HELD = (
    "All strategies had the same problem, budget, start, seeds and evaluations. An evaluation that another run had "
    "made before was not made again, but charged the seconds that it took then."
)
_CURVES_NOTE = (
    "Lines are medians over the seeds, bands the 95 % bootstrap intervals of the medians; a line begins where at least "
    "half of the seeds have found something feasible. Larger is better everywhere. A run that is over keeps its last "
    "value."
)
_MATRIX_NOTE = (
    "Read a row: what its strategy is against the one in the column. The number is the probability of so large a "
    "difference by chance (Wilcoxon's signed-rank test over the seeds, exact, Holm's correction over all pairs of the "
    "table); up to {alpha:g} it counts as shown. “Cannot tell” is no proof that two are equal."
)
_PAIRS_NOTE = (
    "A12 is the probability that a run of the first beats one of the second (0.56 small, 0.64 medium, 0.71 large); the "
    "rank-biserial correlation is 1 where all seeds speak for the first and -1 where all speak against it."
)


def write_compare_page(run: Path) -> Path:
    """The path of RUN/compare.html, written anew from compare.json; a RunFolderError where either cannot be done."""
    content = read_comparison(run)
    with well_formed_comparison(run):
        page = compare_page(content)
    return written(run / PAGE, page)


def compare_page(content: ComparisonRecord) -> str:
    """The whole page."""
    parts = [
        _summary_section(content),
        _verdict_section(content),
        _curves_section(content),
        _table_section(content),
        _tests_section(content),
        _runs_section(content),
        warnings_section(content.warnings),
    ]
    return document(f"{content.name}: comparison", _header(content), element("main", *parts))


def _header(content: ComparisonRecord) -> Html:
    point, problem = content.reference_point, content.problem
    facts = {
        "Network": content.network,
        "Strategies": ", ".join(content.searchers),
        "Seeds": ", ".join(map(str, content.seeds)),
        "Budget": f"{budget_text(content)}, each run",
        "Start": plain(content.start),
        "Objectives": plain(problem.objectives),
        "Bounds": plain(problem.bounds) if problem.bounds else None,
        "Parameters": str(problem.parameters),
        "Ref. point": None if point is None else f"{plain(point.losses)} (of {point.of})",
    }
    shown = {name: text for name, text in facts.items() if text is not None}
    title = element("h1", f"{content.name}: searchers compared")
    return element("header", title, element("p", _HELD, class_="lead"), definitions(shown))


def _summary_section(content: ComparisonRecord) -> Html:
    found = summary(content)
    more = [element("p", text, class_="more") for text in found.more]
    unfinished = "" if content.complete else " so far"
    parts = [element("h2", f"In short{unfinished}"), element("p", found.headline), *more]
    return element("section", *parts, class_=f"verdict {found.tone}", id="summary")


def _verdict_section(content: ComparisonRecord) -> Html:
    if not content.tests:
        return Html("")
    measures = by_importance(content)
    first, *others = ((element("h3", _title(tests)), verdict_matrix(content, tests)) for tests in measures)
    folded = details("By the other measures", *chain(*others)) if others else Html("")
    matrix = *first, note(_MATRIX_NOTE.format(alpha=content.alpha)), folded
    figure = ranking_figure(measures[0])
    picture = Html("") if figure is None else plot("ranking", f"Ranking by {_title(measures[0]).lower()}", figure)
    return section("verdicts", "Who is better?", picture, *matrix)


def _curves_section(content: ComparisonRecord) -> Html:
    figures: list[Html] = []
    for tests in by_importance(content):
        caption = f"{TITLES[tests.quantity].capitalize()} against {AXES[tests.axis]}"
        figure = curve_figure(content, tests.quantity, tests.axis, not figures)
        figures.append(plot(f"{tests.quantity}-{tests.axis}", caption, figure, not figures))
    return section("curves", "At any time", plots(figures), note(_CURVES_NOTE)) if figures else Html("")


def _table_section(content: ComparisonRecord) -> Html:
    text = (
        "Medians over the seeds. First feasible: when the first policy that meets every bound was found; beyond the "
        "start: when the searcher first beat the best feasible score of the start. Think: a suggestion's own time, "
        "median and 90th percentile. Charged: suggestions and evaluations of a whole run."
    )
    options = {
        name: entry.searcher + (f": {plain(entry.options)}" if entry.options else ", no options")
        for name, entry in content.searchers.items()
    }
    folded = details("Options of the strategies", definitions(options))
    return section("table", "Strategy by strategy", summary_table(content), note(text), folded)


def _tests_section(content: ComparisonRecord) -> Html:
    folded = [
        details(_title(tests), friedman_table(tests), pairs_table(tests), note(_PAIRS_NOTE))
        for tests in by_importance(content)
    ]
    return section("tests", "The tests in full", *folded) if folded else Html("")


def _runs_section(content: ComparisonRecord) -> Html:
    return section("runs", "Runs", details(f"All {len(content.runs)} runs", runs_table(content)))


def _title(tests: MeasureTests) -> str:
    return f"{TITLES[tests.quantity].capitalize()} at equal {AXES[tests.axis]}"


def curve_figure(content: ComparisonRecord, quantity: str, axis: str, first: bool) -> go.Figure:
    """`quantity` against trials or charged seconds; the first figure has the legend of all."""
    x_title = {"trials": "trials", "seconds": "charged seconds"}[axis]
    figure = base_figure(430 if first else 300, x_title, TITLES[quantity])
    # the legend grows upwards, one line more for each three names on a phone
    figure.update_layout(showlegend=first, legend={"entrywidth": 90})
    ends = []
    for place, (name, by_quantity) in enumerate(content.curves.items()):
        curve = by_quantity.get(quantity, {}).get(axis)
        if curve is None:
            continue
        ends.append(float(curve.x[-1]))
        _add(figure, escape(name), curve, *line(place))
    if axis == "seconds" and ends and max(ends) > _WIDE_RATIO * max(min(ends), 1e-9):
        figure.update_xaxes(type="log", exponentformat="power")
    return figure


def line(place: int) -> tuple[str, str]:
    """Colour and dash of the strategy at that place."""
    return COLOURS[place % len(COLOURS)], DASHES[place // len(COLOURS) % len(DASHES)]


def _add(figure: go.Figure, name: str, curve: CurveRecord, colour: str, dash: str) -> None:
    ends = zip(curve.x, curve.low, curve.high, strict=True)
    known = [(x, low, high) for x, low, high in ends if low is not None and high is not None]
    if known:
        steps = _steps(known)
        figure.add_scatter(
            x=[x for x, *_ in steps] + [x for x, *_ in reversed(steps)],
            y=[high for *_, high in steps] + [low for _, low, _ in reversed(steps)],
            fill="toself",
            fillcolor=_pale(colour),
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
            legendgroup=name,
        )
    figure.add_scatter(
        x=curve.x,
        y=curve.median,
        mode="lines",
        name=name,
        legendgroup=name,
        line={"color": colour, "dash": dash, "width": 2.2, "shape": "hv"},
        hovertemplate=f"{name}: %{{y:.4g}} at %{{x:.4g}}<extra></extra>",
    )


def _steps(known: Sequence[tuple[Any, Any, Any]]) -> list[tuple[Any, Any, Any]]:
    """The band's corners: each value lasts until the next x, as that of the line."""
    corners = [known[0]]
    for before, now in pairwise(known):
        corners += [(now[0], *before[1:]), now]
    return corners


def _pale(colour: str) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.13)"
