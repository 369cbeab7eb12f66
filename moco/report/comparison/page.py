"""RUN/compare.html: one self-contained page of a comparison of searchers."""

from __future__ import annotations

from pathlib import Path

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
from moco.report.comparison.text import AXES, TITLES, budget_text, by_importance, summary
from moco.report.document import Html, details, document, element, join, note, plot, plots, section, warnings_section
from moco.report.run_summary import plain
from moco.report.tables import definitions
from moco.run_folder.comparison_record import ComparisonRecord, MeasureTests
from moco.run_folder.reading import MALFORMED, malformed_comparison, read_comparison

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
    content = read_comparison(run)
    try:
        page = compare_page(content)
    except MALFORMED as error:
        raise malformed_comparison(run, error) from error
    try:
        (run / PAGE).write_text(page, encoding="utf-8")
    except OSError as error:
        raise RunFolderError(f"{run / PAGE} cannot be written: {error}") from error
    return run / PAGE


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
    return document(f"{content.name}: comparison", _header(content), element("main", join(parts)))


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
    return element("section", join(parts), class_=f"verdict {found.tone}", id="summary")


def _verdict_section(content: ComparisonRecord) -> Html:
    matrices = [
        join([element("h3", _title(tests)), verdict_matrix(content, tests)]) for tests in by_importance(content)
    ]
    if not matrices:
        return Html("")
    first, *others = matrices
    folded = details("By the other measures", *others) if others else Html("")
    return section("verdicts", "Who is better?", first, note(_MATRIX_NOTE.format(alpha=content.alpha)), folded)


def _curves_section(content: ComparisonRecord) -> Html:
    figures = [
        plot(
            f"{tests.quantity}-{tests.axis}",
            f"{TITLES[tests.quantity].capitalize()} against {AXES[tests.axis]}",
            curve_figure(content, tests.quantity, tests.axis, place == 0),
            place == 0,
        )
        for place, tests in enumerate(by_importance(content))
    ]
    return section("curves", "At any time", plots(figures), note(_CURVES_NOTE)) if figures else Html("")


def _table_section(content: ComparisonRecord) -> Html:
    text = (
        "Medians over the seeds. First feasible: when the first policy that meets every bound was found; beyond the "
        "start: when the searcher first beat the best feasible score of the start. Think: a suggestion's own time, "
        "median and 90th percentile. Charged: suggestions and evaluations of a whole run."
    )
    options = details("Options of the strategies", searchers_table(content))
    return section("table", "Strategy by strategy", summary_table(content), note(text), options)


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
