"""correlations.html: heat maps, coefficients with intervals and rank reversals of measured networks, in one page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import plotly.graph_objects as go

from moco.comparison.correlation.coefficients import Coefficient
from moco.comparison.correlation.matrices import Correlations, Matrix, correlate
from moco.comparison.correlation.reversals import Reversals
from moco.report.correlation_text import (
    MEASURED,
    TITLES,
    absences,
    among_costs,
    by_pair,
    lead,
    named,
    proxies,
    set_apart,
    striking,
    told,
    with_interval,
)
from moco.report.document import Html, details, document, element, listed, note, plot, row, section, written
from moco.report.figures import ACCENT, CHOSEN, base_figure
from moco.report.formatting import NOT_AVAILABLE
from moco.report.tables import table
from moco.run_folder.writing import refuse_owned, write_json
from moco.whole_file import writes

PAGE, DATA = "correlations.html", "correlations.json"

_HOW = (
    "Below the diagonal Pearson's r, above it Spearman's rank correlation; point at a cell for its 95 % interval. "
    "+1: the two grow together; −1: one falls as the other grows. Errors count as errors, so a lower one is better."
)
_DOUBT = (
    "Intervals: Fisher's z for Pearson, Bonett and Wright (2000) for Spearman. They take networks as drawn "
    "independently of each other. A search draws them near what it found good, so they tell how sure the number is for "
    "networks such as these, and not for all networks."
)
_REVERSALS = (
    "A pair of networks contradicts two metrics where the network that is better by one is worse by the other. Only "
    "pairs count whose 95 % intervals overlap in neither metric, where a standard error is known. That an error "
    "contradicts a cost is the trade-off that a search is for; those pairs stand apart."
)
_SHOWN = 12  # rows before the table of reversals is folded away


def write_correlations(runs: Sequence[Path], out: Path | None) -> tuple[Correlations, Path | None]:
    """The correlations of run folders, and the page where `out` was given, beside correlations.json.

    A RunFolderError where a folder is not a finished run's, too few networks were measured, or `out` cannot be written.
    """
    if out is None:
        return correlate(runs), None
    refuse_owned(out)
    found = correlate(runs)
    with writes(f"{out}: the page of the correlations"):
        out.mkdir(parents=True, exist_ok=True)
    write_json(out / DATA, found.to_json())
    return found, written(out / PAGE, correlation_page(found))


def correlation_page(found: Correlations) -> str:
    """The whole page."""
    apart = set_apart(found)
    header = element(
        "header",
        element("h1", "How the metrics go together"),
        element("p", lead(found), class_="lead"),
        listed(apart) if apart else Html(""),
    )
    parts = [_matrix_section(matrix) for matrix in found.matrices]
    main = element("main", _runs_section(found), *parts, style="padding-top: 1.8rem")
    return document(f"Correlations: {found.network}", header, main)


def heat_map(matrix: Matrix) -> go.Figure:
    """All metrics against each other, Pearson below the diagonal and Spearman above; n/a cells have no colour."""
    metrics = list(dict.fromkeys(name for pair in matrix.pairs for name in pair.metrics))
    pairs, names = by_pair(matrix), [escape(named(metric)) for metric in metrics]
    figure = base_figure(150 + 32 * len(metrics), "", "")
    colours: list[list[float | None]] = []
    texts: list[list[str]] = []
    hovers: list[list[str]] = []
    for i, a in enumerate(metrics):
        chosen = [(None if i == j else pairs[a, b][int(j > i)]) for j, b in enumerate(metrics)]
        same = a not in matrix.absent
        colours.append([_colour(one, same) for one in chosen])
        texts.append([_text(one, same) for one in chosen])
        hovers.append([_hover(one, i, j, names) for j, one in enumerate(chosen)])
    figure.add_heatmap(
        x=names,
        y=names,
        z=colours,
        text=texts,
        texttemplate="%{text}",
        textfont={"size": 11},
        hovertext=hovers,
        hoverinfo="text",
        hoverongaps=True,
        zmin=-1,
        zmax=1,
        colorscale=[[0, CHOSEN], [0.5, "#ffffff"], [1, ACCENT]],
        colorbar={"thickness": 12, "tickvals": [-1, -0.5, 0, 0.5, 1]},
        xgap=1,
        ygap=1,
    )
    figure.update_xaxes(type="category", showgrid=False, ticks="", tickangle=-45, side="top")
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False, ticks="")
    return figure


def _colour(found: Coefficient | None, same: bool) -> float | None:
    return found.value if found is not None else 1.0 if same else None


def _text(found: Coefficient | None, same: bool) -> str:
    if found is None:
        return "1" if same else NOT_AVAILABLE
    # a cell is narrow: what is nearly 1 is told in full where one points at it
    return NOT_AVAILABLE if found.value is None else f"{found.value:.2f}"


def _hover(found: Coefficient | None, i: int, j: int, names: Sequence[str]) -> str:
    if found is None:
        return names[i]
    kind = "Spearman" if j > i else "Pearson"
    return f"<b>{names[i]}, {names[j]}</b><br>{kind} {escape(with_interval(found))}"


def _runs_section(found: Correlations) -> Html:
    rows = []
    for run in found.runs:
        left = ", ".join(f"{count} {state}" for state, count in run.left_out.items()) or "none"
        rows.append(row(run.run, str(run.trials), left, f"no: {run.apart}" if run.apart else "yes"))
    head = ("run", "networks", "trials left out", "in the matrices")
    return section("runs", "Runs", table(head, rows, "Run folders"))


def _matrix_section(matrix: Matrix) -> Html:
    title = f"{TITLES[matrix.networks]} ({matrix.trials})"
    if matrix.reason is not None:
        return section(matrix.networks, title, note(f"{NOT_AVAILABLE}: {matrix.reason}."))
    lines = proxies(matrix)
    parts = [
        _scrolling(plot(f"{matrix.networks}-map", "", heat_map(matrix)), title),
        note(_HOW),
        listed(absences(matrix)),
        element("h3", f"What is counted against the {named(MEASURED)}"),
        listed(lines),
        details("All coefficients with their intervals", _coefficients(matrix), note(_DOUBT)),
        element("h3", "Rank reversals"),
        *_reversals(matrix),
    ]
    return section(matrix.networks, title, *parts)


def _scrolling(figure: Html, name: str) -> Html:
    """A figure that keeps its width on a phone, where its cells would be too narrow for their numbers."""
    inner = element("div", figure, style="min-width: 46rem")
    return element("div", inner, class_="scroll", tabindex="0", role="region", aria_label=name)


def _coefficients(matrix: Matrix) -> Html:
    shown = [pair for pair in matrix.pairs if not set(pair.metrics) & set(matrix.absent)]
    rows = [
        row(" and ".join(map(named, pair.metrics)), with_interval(pair.pearson), with_interval(pair.spearman))
        for pair in shown
    ]
    return table(("metrics", "Pearson", "Spearman"), rows, "Coefficients with 95 % intervals")


def _reversals(matrix: Matrix) -> list[Html]:
    costs = among_costs(matrix)
    others = [one for one in matrix.reversals if one not in costs]
    clearest = [told(one) for one in striking(matrix)]
    parts = [note(_REVERSALS), _table([one for one in costs if one.count][:_SHOWN], "Two costs, the most often first")]
    if clearest:
        parts += [element("p", "The clearest contradictions of costs:"), listed(clearest)]
    every = _table([*costs, *others], "All metrics")
    single = [told(one) for pair in (*costs, *others) for one in pair.striking]
    return [*parts, details("All metrics, and the clearest contradictions of each two", every, listed(single))]


def _table(found: Sequence[Reversals], caption: str) -> Html:
    rows = []
    for one in found:
        share = NOT_AVAILABLE if one.share is None else f"{100 * one.share:.1f} %"
        counts = (f"{number:,}" for number in (one.count, one.pairs))
        rows.append(row(" and ".join(map(named, one.metrics)), *counts, share, f"{one.undecided:,}"))
    return table(("metrics", "contradictions", "of pairs", "share", "pairs not told apart"), rows, caption)
