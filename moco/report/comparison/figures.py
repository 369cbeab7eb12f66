"""The figures of a comparison: medians over seeds with their bootstrap bands, a colour a strategy."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go

from moco.report.comparison.text import TITLES
from moco.report.figures import ACCENT, CHOSEN, INK, SPARE_COLOURS, base_figure
from moco.run_folder.comparison_record import ComparisonRecord, CurveRecord

COLOURS = (ACCENT, CHOSEN, *SPARE_COLOURS[:-1], INK)
DASHES = ("solid", "dash", "dot")
"""Beyond as many strategies as colours the lines are broken too."""
_WIDE_RATIO = 20.0
"""Where the end of the last curve is that much later than that of the first, time is drawn on a logarithmic axis."""


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
    known = [
        (x, low, high)
        for x, low, high in zip(curve.x, curve.low, curve.high, strict=True)
        if low is not None and high is not None
    ]
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
