"""sensitivity.html: one self-contained page of a single-layer study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from moco.report.document import Html, document, element, join, plot, row, section
from moco.report.figures import ACCENT, CHOSEN, FAINT, INK, SPARE_COLOURS, base_figure
from moco.report.formatting import NOT_AVAILABLE
from moco.report.tables import definitions, table

LOWEST = 1e-5  # nats; what is less is drawn as this on logarithmic axes

_COLOURS = (ACCENT, *SPARE_COLOURS)
_TITLES = {
    "keep": ("Filter pruning", "keep ratio"),
    "weight_bits": ("Weights in few bits", "bits of the weights"),
    "activation_bits": ("Activations in few bits", "bits of the activations"),
}
_LEAD = (
    "How much the class probabilities change when one layer is compressed and all others stay: the Kullback-Leibler "
    "divergence from the original network's to the compressed one's, in nats, mean over {images} training images."
)


def sensitivity_page(
    title: str, study: Mapping[str, Any], groups: Mapping[str, Sequence[str]], ignored: Sequence[str], suggestion: str
) -> str:
    """The whole page of the content of sensitivity.json, layers by group and those to leave alone, and both as YAML."""
    curves = {(c["layer"], c["parameter"]): c for c in study["curves"]}
    parts = [section("groups", "Suggested groups", element("pre", element("code", suggestion), tabindex="0"))]
    lines = curves_figure(study["curves"], groups, ignored)
    if lines is not None:
        parts.append(section("curves", "Filter pruning, by suggested group", plot("curves-chart", "", lines)))
    for parameter, (name, axis) in _TITLES.items():
        figure = heatmap(study["curves"], parameter, axis)
        if figure is not None:
            parts.append(section(parameter, f"{name}, layer by layer", plot(f"{parameter}-chart", "", figure)))
    parts.append(section("table", "All layers", _table(study, curves)))
    facts = {
        "direction": str(study["direction"]),
        "images": f"{study['images']:,}",
        "time": f"{study['seconds']:.0f} s",
        "layers": str(len(study["layers"])),
        "runs": "whole each time: " + str(study["whole_runs"]) if study["whole_runs"] else "from each layer on",
    }
    lead = element("p", _LEAD.format(images=study["images"]), class_="lead")
    header = element("header", element("h1", title), lead, definitions(facts))
    return document(f"{title}: sensitivity", header, element("main", join(parts), style="padding-top: 1.8rem"))


def curves_figure(
    curves: Sequence[Mapping[str, Any]], groups: Mapping[str, Sequence[str]], ignored: Sequence[str]
) -> go.Figure | None:
    """Divergence against the keep ratio, a line a layer, coloured by group; None where nothing was pruned."""
    keep = [curve for curve in curves if curve["parameter"] == "keep"]
    if not keep:
        return None
    figure = base_figure(430, "keep ratio", "divergence (nats)")
    named = {layer: name for name, layers in groups.items() for layer in layers}
    colours = {name: _COLOURS[place % len(_COLOURS)] for place, name in enumerate(groups)} | {"left alone": CHOSEN}
    shown: set[str] = set()
    for curve in keep:
        layer = str(curve["layer"])
        name = "left alone" if layer in ignored else named.get(layer, "no group")
        figure.add_scatter(
            x=curve["levels"],
            y=[max(value, LOWEST) for value in curve["divergences"]],
            mode="lines+markers",
            name=escape(name),
            legendgroup=name,
            showlegend=name not in shown,
            line={"color": colours.get(name, FAINT), "width": 1.5, "dash": "dot" if layer in ignored else "solid"},
            marker={"size": 4},
            hovertemplate=f"{escape(layer)}, keep %{{x}}: %{{y:.3g}} nats<extra></extra>",
        )
        shown.add(name)
    figure.update_xaxes(autorange="reversed")
    figure.update_yaxes(type="log", exponentformat="power")
    return figure


def heatmap(curves: Sequence[Mapping[str, Any]], parameter: str, axis: str) -> go.Figure | None:
    """Divergence by layer and level as colours on a logarithmic scale; None where the parameter was not studied."""
    chosen = [curve for curve in curves if curve["parameter"] == parameter]
    if not chosen:
        return None
    values = np.array([curve["divergences"] for curve in chosen], dtype=float)
    figure = base_figure(110 + 18 * len(chosen), axis, "")
    figure.add_heatmap(
        x=[f"{level:g}" for level in chosen[0]["levels"]],
        y=[escape(str(curve["layer"])) for curve in chosen],
        z=np.log10(np.maximum(values, LOWEST)).tolist(),
        customdata=values.tolist(),
        zmin=np.log10(LOWEST),
        zmax=1,
        colorscale=[[0, "#ffffff"], [0.5, "#8fc1d8"], [0.8, ACCENT], [1, INK]],
        colorbar={
            "title": {"text": "nats", "side": "top"},
            "thickness": 12,
            "tickvals": [-5, -4, -3, -2, -1, 0, 1],
            "ticktext": ["≤ 0.00001", "0.0001", "0.001", "0.01", "0.1", "1", "≥ 10"],
        },
        xgap=1,
        ygap=1,
        hovertemplate="%{y}, %{x}: %{customdata:.3g} nats<extra></extra>",
    )
    figure.update_xaxes(type="category", showgrid=False, ticks="")
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False, ticks="", tickfont={"size": 10})
    return figure


def shown_divergence(value: float | None) -> str:
    """A divergence as people read it: three digits, n/a where it was not measured."""
    if value is None:
        return NOT_AVAILABLE
    return f"{value:.3g}" if value >= LOWEST else f"< {LOWEST:.5f}"


def _table(study: Mapping[str, Any], curves: Mapping[tuple[str, str], Mapping[str, Any]]) -> Html:
    rows = []
    for layer in study["layers"]:
        owner = study["owners"].get(layer)
        wanted = ((owner, "keep", 0.5), (layer, "int8", 8), (layer, "weight_bits", 4), (layer, "activation_bits", 4),
                  (study.get("inside", {}).get(layer), "branches", 0))  # fmt: skip
        cells = [shown_divergence(_at(curves.get((of, name)), level)) for of, name, level in wanted]
        rows.append(row(layer, *cells, NOT_AVAILABLE if owner is None else owner))
    head = ["layer", "keep 0.5", "int8", "4-bit weights", "4-bit activations", "left out", "pruned with"]
    return table(head, rows, "Divergence in nats")


def _at(curve: Mapping[str, Any] | None, level: float) -> float | None:
    if curve is None or level not in curve["levels"]:
        return None
    return float(curve["divergences"][list(curve["levels"]).index(level)])
