"""RUN/compare.html: one self-contained page of a comparison of searchers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from moco.comparison.content import CONTENT
from moco.errors import RunFolderError
from moco.report.comparison.figures import curve_figure
from moco.report.comparison.tables import (
    friedman_table,
    pairs_table,
    runs_table,
    searchers_table,
    summary_table,
    verdict_matrix,
)
from moco.report.comparison.text import AXES, TITLES, budget_text, summary
from moco.report.markup import Html, element, join
from moco.report.run_summary import plain
from moco.report.tables import definitions

PAGE = "compare.html"

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
    """The path of RUN/compare.html, written anew from RUN/compare.json.

    Raises:
        RunFolderError: compare.json is missing or malformed, or the page cannot be written.
    """
    path = run / CONTENT
    try:
        page = compare_page(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise RunFolderError(f"{path} is missing; is {run} the folder of a comparison?") from None
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise RunFolderError(f"{path}: not what a comparison writes ({type(error).__name__}: {error})") from error
    try:
        (run / PAGE).write_text(page, encoding="utf-8")
    except OSError as error:
        raise RunFolderError(f"{run / PAGE} cannot be written: {error}") from error
    return run / PAGE


def compare_page(content: Mapping[str, Any]) -> str:
    """The whole page, with styles, figures and the plotting library inside: nothing is fetched.

    Args:
        content: of compare.json.
    """
    parts = [
        _summary_section(content),
        _verdict_section(content),
        _curves_section(content),
        _table_section(content),
        _tests_section(content),
        _runs_section(content),
        _warnings_section(content),
    ]
    footer = element("footer", element("p", "Made by moco. This page is complete in itself and fetches nothing."))
    return Template(_resource("page.html")).substitute(
        title=escape(f"{content['name']}: comparison"),
        style=_resource("style.css"),
        body=join([_header(content), element("main", join(parts)), footer]),
        plotly=get_plotlyjs(),
    )


def _header(content: Mapping[str, Any]) -> Html:
    point = content["reference_point"]
    problem = content["problem"]
    facts = {
        "Network": str(content["network"]) if content.get("network") else None,
        "Strategies": ", ".join(content["searchers"]),
        "Seeds": ", ".join(map(str, content["seeds"])),
        "Budget": f"{budget_text(content)}, each run",
        "Start": plain(content["start"]),
        "Objectives": plain(problem["objectives"]),
        "Bounds": plain(problem["bounds"]) if problem["bounds"] else None,
        "Parameters": str(problem["parameters"]),
        "Ref. point": None if point is None else f"{plain(point['losses'])} (of {point['of']})",
    }
    shown = {name: text for name, text in facts.items() if text is not None}
    title = element("h1", f"{content['name']}: searchers compared")
    return element("header", title, element("p", _HELD, class_="lead"), definitions(shown))


def _summary_section(content: Mapping[str, Any]) -> Html:
    found = summary(content)
    more = [element("p", text, class_="more") for text in found.more]
    unfinished = "" if content["complete"] else " so far"
    parts = [element("h2", f"In short{unfinished}"), element("p", found.headline), *more]
    return element("section", join(parts), class_=f"verdict {found.tone}", id="summary")


def _verdict_section(content: Mapping[str, Any]) -> Html:
    tests = _by_importance(content)
    if not tests:
        return Html("")
    first, *others = [join([element("h3", _title(entry)), verdict_matrix(content, entry)]) for entry in tests]
    folded = element("details", element("summary", "By the other measures"), *others) if others else Html("")
    return _section("verdicts", "Who is better?", first, _note(_MATRIX_NOTE.format(alpha=content["alpha"])), folded)


def _curves_section(content: Mapping[str, Any]) -> Html:
    tests = _by_importance(content)
    figures = [
        _figure(
            f"{entry['quantity']}-{entry['axis']}",
            f"{TITLES[entry['quantity']].capitalize()} against {AXES[entry['axis']]}",
            curve_figure(content, entry["quantity"], entry["axis"], place == 0),
            place == 0,
        )
        for place, entry in enumerate(tests)
    ]
    if not figures:
        return Html("")
    class_ = "figures three" if len(figures) == 4 else "figures"
    return _section("curves", "At any time", element("div", join(figures), class_=class_), _note(_CURVES_NOTE))


def _table_section(content: Mapping[str, Any]) -> Html:
    note = (
        "Medians over the seeds. First feasible: when the first policy that meets every bound was found; beyond the "
        "start: when the searcher first beat the best feasible score of the start. Think: a suggestion's own time, "
        "median and 90th percentile. Charged: suggestions and evaluations of a whole run."
    )
    parts = [summary_table(content), _note(note)]
    parts.append(element("details", element("summary", "Options of the strategies"), searchers_table(content)))
    return _section("table", "Strategy by strategy", *parts)


def _tests_section(content: Mapping[str, Any]) -> Html:
    folded = [
        element(
            "details", element("summary", _title(entry)), friedman_table(entry), pairs_table(entry), _note(_PAIRS_NOTE)
        )
        for entry in _by_importance(content)
    ]
    return _section("tests", "The tests in full", *folded) if folded else Html("")


def _runs_section(content: Mapping[str, Any]) -> Html:
    head = element("summary", f"All {len(content['runs'])} runs")
    return _section("runs", "Runs", element("details", head, runs_table(content)))


def _warnings_section(content: Mapping[str, Any]) -> Html:
    items = [element("li", str(text)) for text in content["warnings"]]
    if not items:
        return Html("")
    return _section("warnings", "Warnings", element("div", element("ul", join(items)), class_="warnings"))


def _by_importance(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The tests of all measures, the primary one at equal trials first."""
    primary, tests = content["primary"], content["tests"].values()
    return sorted(tests, key=lambda entry: (entry["quantity"] != primary, entry["axis"] != "trials"))


def _title(entry: Mapping[str, Any]) -> str:
    return f"{TITLES[entry['quantity']].capitalize()} at equal {AXES[entry['axis']]}"


def _section(name: str, title: str, *parts: Html) -> Html:
    return element("section", element("h2", title), *parts, id=name)


def _note(text: str) -> Html:
    return element("p", text, class_="note")


def _figure(name: str, caption: str, figure: go.Figure, first: bool) -> Html:
    # "<" would end the script early in a text that holds "</script"
    data = Html(figure.to_json().replace("<", "\\u003c"))
    return element(
        "figure",
        element("figcaption", caption),
        element("div", class_="plot", id=name, style=f"--height: {figure.layout.height}px"),
        element("script", data, type="application/json", id=f"{name}-data"),
        class_="first" if first else None,
    )


def _resource(name: str) -> str:
    return resources.files("moco.report").joinpath(name).read_text(encoding="utf-8")
