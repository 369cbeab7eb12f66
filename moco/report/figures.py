"""The figures of the report: pure functions from values to plotly figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import accumulate
from typing import Any

import plotly.graph_objects as go

from moco.comparison.curves import hypervolumes
from moco.report.formatting import seconds
from moco.report.policy_text import FULL_PRECISION, kept_channels, layer_settings, precision, staying
from moco.run_folder.manifest import LayerRecord
from moco.run_folder.trial_record import TrialRecord

# one accent, and colours that the colour-blind can tell apart (after Okabe and Ito, 2008)
INK, MUTED, FAINT, GRID = "#1c2430", "#6b7684", "#a9b8c6", "#e6eaef"
ACCENT, CHOSEN = "#0a6c96", "#d55e00"
PRECISION_COLOURS = {"float32": "#9aa7b4", "float16": "#56b4e9", "bfloat16": "#56b4e9", "int8": ACCENT}
SPARE_COLOURS = ("#009e73", "#e69f00", "#cc79a7", "#7a5195", "#5d6d2e", "#8c4a2f", "#444444")

STAGES = (
    "compress", "recover", "calibrate", "export", "load", "score", "before recovery", "measure", "search", "tracking",
    "record", "other",
)  # fmt: skip
"""In the order in which a candidate meets them; overheads last."""

_TITLE = {"size": 12, "color": MUTED}


def base_figure(height: int, x_title: str, y_title: str) -> go.Figure:
    """An empty figure in the report's style; height in pixels."""
    axis = {
        "gridcolor": GRID,
        "linecolor": MUTED,
        "zeroline": False,
        "automargin": True,
        "ticks": "outside",
        "tickcolor": GRID,
        "fixedrange": True,
        "tickfont": {"size": 11},
        "separatethousands": True,
    }
    return go.Figure(
        layout={
            "template": "none",
            "height": height,
            "margin": {"l": 8, "r": 14, "t": 12, "b": 8},
            "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 13, "color": INK},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "hoverlabel": {"bgcolor": "white", "bordercolor": MUTED, "align": "left", "font": {**_TITLE, "color": INK}},
            "hovermode": "closest",
            "dragmode": False,  # a finger that drags over a figure scrolls the page
            "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0, "font": {"size": 12}},
            "xaxis": {**axis, "title": {"text": x_title, "standoff": 6, "font": _TITLE}},
            "yaxis": {**axis, "title": {"text": y_title, "standoff": 6, "font": _TITLE}},
        }
    )


def score_figure(trials: Sequence[TrialRecord]) -> go.Figure | None:
    """Score of each feasible trial and the best one so far; None where no feasible trial has a score."""
    scored = [(trial.number, trial.score) for trial in trials if trial.feasible and trial.score is not None]
    if not scored:
        return None
    x = [number for number, _ in scored]
    y = [score for _, score in scored]
    figure = base_figure(300, "trial", "score (larger is better)")
    faint = {"color": FAINT, "size": 6}
    figure.add_scatter(x=x, y=y, mode="markers", name="feasible trial", marker=faint, hovertemplate=_POINT)
    best = list(accumulate(y, max))
    x, y = [*x, max(trial.number for trial in trials)], [*best, best[-1]]
    figure.update_xaxes(range=_trial_range(trials))
    figure.add_scatter(x=x, y=y, mode="lines", name="best so far", line=_STEP, hovertemplate=_POINT)
    return figure


def hypervolume_figure(trials: Sequence[TrialRecord], reference_point: Sequence[float] | None) -> go.Figure | None:
    """Hypervolume of the feasible front after each trial; None without a reference point or a feasible trial."""
    if reference_point is None:
        return None
    count, told = len(reference_point), sorted(trials, key=lambda t: t.number)
    losses = [t.losses if t.feasible and t.losses is not None and len(t.losses) == count else None for t in told]
    if all(one is None for one in losses):
        return None
    x, y = [trial.number for trial in told], hypervolumes(losses, reference_point)
    figure = base_figure(300, "trial", "hypervolume of the front")
    figure.update_xaxes(range=_trial_range(trials))
    figure.add_scatter(x=x, y=y, mode="lines", name="hypervolume", line=_STEP, hovertemplate=_POINT, showlegend=False)
    return figure


def policy_figure(layers: Sequence[LayerRecord], policy: Mapping[str, Any] | None) -> go.Figure | None:
    """Channels kept of the original ones, a bar a layer, coloured by precision; None where no layer is known."""
    known = {layer: layer.out_channels for layer in layers if layer.out_channels is not None}
    if not known:
        return None
    whole = layer_settings(policy)
    settings, left = [_settings(layer, whole) for layer in known], set(staying(list(known), whole))
    names, original = [layer.name for layer in known], list(known.values())
    figure = base_figure(360, "layer, from input to output", "channels")
    figure.update_layout(barmode="overlay", bargap=0.25)
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=names)
    figure.update_xaxes(tickfont={"size": 10}, showgrid=False)
    hollow = {"color": "#ffffff", "line": {"color": MUTED, "width": 1}}
    figure.add_bar(x=names, y=original, name="removed", marker=hollow, hoverinfo="skip")
    for kind, colour in _colours([precision(setting) for setting in settings]).items():
        chosen = [i for i, setting in enumerate(settings) if precision(setting) == kind]
        there = {i: list(known)[i] in left for i in chosen}
        kept = {i: kept_channels(settings[i], original[i]) if there[i] else 0 for i in chosen}
        channels = {i: f"{kept[i]} of {original[i]} channels, {escape(kind)}" for i in chosen}
        figure.add_bar(
            x=[names[i] for i in chosen],
            y=list(kept.values()),
            name=escape(f"kept, {kind}"),
            marker={"color": colour},
            hovertext=[f"<b>{escape(names[i])}</b><br>{text}" for i, text in channels.items()],
            hoverinfo="text",
        )
    return figure


def seconds_figure(spent: Mapping[str, float | None]) -> go.Figure | None:
    """Seconds by stage, a bar each, with their share of the total; None where no stage was timed."""
    order = [name for name in (*STAGES, *spent) if name != "total"]
    known = {name: value for name in order if (value := spent.get(name)) is not None}
    if not known:
        return None
    values = list(known.values())
    total = sum(values) if spent.get("total") is None else spent["total"]
    figure = base_figure(40 + 30 * len(known), "", "")
    figure.add_bar(
        x=values,
        y=[escape(name) for name in known],
        orientation="h",
        marker={"color": ACCENT},
        text=[f" {seconds(value)} · {100 * value / total:.0f} %" if total else seconds(value) for value in values],
        textposition="outside",
        cliponaxis=False,
        hoverinfo="skip",
    )
    # room for the text beside the longest bar, on a phone too
    figure.update_xaxes(visible=False, range=[0, 1.6 * max(values) or 1.0])
    figure.update_yaxes(autorange="reversed", ticks="", showgrid=False, tickfont={"size": 13})
    figure.update_layout(bargap=0.35)
    return figure


_POINT = "trial %{x}: %{y:.4g}<extra></extra>"
_STEP = {"color": ACCENT, "width": 2.5, "shape": "hv"}


def _trial_range(trials: Sequence[TrialRecord]) -> list[float]:
    return [-0.5, max(trial.number for trial in trials) + 0.5]


def _settings(layer: LayerRecord, policy: Mapping[str, Any]) -> dict[str, Any]:
    # a layer that shares its channels with others follows the layer that its channel group is named after,
    # but has a precision of its own
    group = policy.get(layer.group or layer.name) or {}
    shared = {key: value for key, value in group.items() if key != "precision"}
    return {**shared, **(policy.get(layer.name) or {})}


def _colours(kinds: Sequence[str]) -> dict[str, str]:
    present = sorted(set(kinds), key=lambda kind: (kind != FULL_PRECISION, kind))
    spare = iter(SPARE_COLOURS)
    return {kind: PRECISION_COLOURS.get(kind) or next(spare, INK) for kind in present}
