"""What a layer costs at each width and precision on the target: staircase figures, the table, and a page of both.

A `report` is the content of payoff.json, its `payoffs` those of one geometry where only one is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from moco.metrics import decimal
from moco.report.document import Html, document, element, listed, note, plot, row
from moco.report.figures import INK, PRECISION_COLOURS, base_figure
from moco.report.tables import table

HEAD = ("layers", "groups", "precision", "time", "widths that pay", "fastest", "ranks that pay")


def payoff_figure(payoffs: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Time of one geometry by width, a line a precision, with 95 % intervals; widths that do not pay are hollow."""
    reference = next((p["precision"] for p in payoffs if p["reference"]), "reference")
    figure = base_figure(300, "channels", f"time (full width in {escape(reference)} = 1)")
    figure.update_yaxes(rangemode="tozero")
    for payoff in payoffs:
        precision, pays = str(payoff["precision"]), set(payoff["paying_widths"])
        colour = PRECISION_COLOURS.get(precision, INK)
        line = {"color": colour, "width": 1.5}
        widths, times = payoff["widths"], payoff["times"]
        figure.add_scatter(
            x=widths,
            y=[time["ratio"] for time in times],
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [time["high"] - time["ratio"] for time in times],
                "arrayminus": [time["ratio"] - time["low"] for time in times],
                "thickness": 1,
                "width": 0,
            },
            name=escape(precision),
            mode="lines+markers",
            line=line,
            marker={"size": 8, "color": [colour if width in pays else "#ffffff" for width in widths], "line": line},
            hovertext=[
                f"<b>{width} channels, {escape(precision)}</b><br>{_interval(time)}<br>"
                f"{'pays' if width in pays else 'does not pay'}"
                for width, time in zip(widths, times, strict=True)
            ],
            hoverinfo="text",
        )
    return figure


def payoff_rows(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The cells of the table under `HEAD`, a row a geometry and precision."""
    groups: dict[str, list[str]] = {}
    for group, geometry in report["groups"].items():
        groups.setdefault(geometry, []).append(group)
    rows: list[tuple[str, ...]] = []
    named = None
    for payoff in report["payoffs"]:
        geometry = payoff["geometry"]
        head = ("", "") if geometry == named else (geometry, _names(groups.get(geometry, [])))
        named = geometry
        rows.append(
            (
                *head,
                str(payoff["precision"]),
                _time(payoff["times"][0]) + _verdict(payoff),
                ", ".join(map(str, reversed(payoff["paying_widths"]))) if payoff["pruning_pays"] else "only all",
                _fastest(payoff),
                _ranks(payoff),
            )
        )
    return rows


def payoff_page(report: Mapping[str, Any], name: str) -> str:
    """The whole page; `name` is that of the experiment."""
    geometries = list(dict.fromkeys(payoff["geometry"] for payoff in report["payoffs"]))
    rows = [row(*cells) for cells in payoff_rows(report)]
    figures = [
        plot(f"payoff-{index}", key, payoff_figure([p for p in report["payoffs"] if p["geometry"] == key]))
        for index, key in enumerate(geometries)
    ]
    notes = [*payoff_warnings(report), *(f"not probed: {text}" for text in left_out(report))]
    title = f"What pays: {name}"
    main = element(
        "main",
        table(HEAD, rows, "Pay-off by layer and precision", "wide small"),
        note("A filled point is a width that is faster than every wider one."),
        element("div", *figures, class_="figures"),
        listed(notes) if notes else Html(""),
    )
    header = element("header", element("h1", title), element("p", lead(report), class_="lead"))
    return document(title, header, main, made_by=None)


def lead(report: Mapping[str, Any]) -> str:
    """What was measured, in a sentence."""
    target = report["target"]
    where = ", ".join(str(target[key]) for key in ("processor", "runtime", "version") if key in target)
    geometries = len({payoff["geometry"] for payoff in report["payoffs"]})
    stored = f", {report['stored']} of them from the store" if report["stored"] else ""
    return (
        f"{len(report['groups'])} channel groups are {geometries} pairs of layers{stored}; "
        f"batch {report['batch']}, {where or 'this target'}, {report['seconds']:.0f} s."
    )


def payoff_warnings(report: Mapping[str, Any]) -> list[str]:
    """Each doubt once, with the pair of layers that it is about."""
    return list(dict.fromkeys(f"{p['geometry']}: {text}" for p in report["payoffs"] for text in p["warnings"]))


def left_out(report: Mapping[str, Any]) -> list[str]:
    """The groups that were not probed, by reason."""
    reasons: dict[str, list[str]] = {}
    for group, why in report["left_out"].items():
        reasons.setdefault(why, []).append(group)
    return [f"{_names(groups)}: {why}" for why, groups in reasons.items()]


def _names(groups: Sequence[str]) -> str:
    return groups[0] + (f" and {len(groups) - 1} more" if len(groups) > 1 else "") if groups else ""


def _time(time: Mapping[str, Any]) -> str:
    return decimal(time["ratio"], 2)


def _interval(time: Mapping[str, Any]) -> str:
    return f"{decimal(time['ratio'], 3)} [{decimal(time['low'], 3)}, {decimal(time['high'], 3)}]"


def _verdict(payoff: Mapping[str, Any]) -> str:
    if payoff["reference"]:
        return f" ({decimal(payoff['reference_ms'], 2)} ms)"
    return " pays" if payoff["precision_pays"] else " does not pay"


def _fastest(payoff: Mapping[str, Any]) -> str:
    width = payoff["paying_widths"][0]
    return f"{width}: {_time(payoff['times'][payoff['widths'].index(width)])}"


def _ranks(payoff: Mapping[str, Any]) -> str:
    kept = [one for one in payoff["factorised"] if one["keep"] in payoff["paying_keeps"]]
    return ", ".join(f"{one['keep']:g}: {_time(one)}" for one in kept) or "none"
