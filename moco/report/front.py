"""Accuracy against each cost: every network that was tried, the front, the chosen one and what it must beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import plotly.graph_objects as go

from moco.metrics import COST, COSTS, TOP1_ERROR
from moco.pareto import non_dominated
from moco.report.figures import ACCENT, CHOSEN, INK, MUTED, base_figure
from moco.report.formatting import label, larger_is_better, ordered, plotted, ratio, shown, shown_ratio, unit
from moco.report.policy_text import describe_groups
from moco.run_folder.manifest import GroupRecord
from moco.run_folder.reading import numbers
from moco.run_folder.result import Result
from moco.run_folder.trial_record import TrialRecord

_HOVER_LINES = 12
_LABEL_GAP = (0.16, 0.07)  # closer than this share of the axes two labels would touch


@dataclass(frozen=True)
class Cloud:
    """What is drawn: the trials of a search and the roles that some of them play."""

    trials: tuple[TrialRecord, ...]
    chosen: int | None
    baselines: Mapping[int, str]  # name by trial number; the reference is not among them
    reference: Mapping[str, float]  # metrics of the uncompressed network
    groups: Sequence[GroupRecord]  # layer groups of the space, for the words of the hover

    @staticmethod
    def of(result: Result, trials: Sequence[TrialRecord]) -> Cloud:
        """The distinct complete trials of a search with an accuracy."""
        return Cloud(
            trials=tuple(t for t in trials if t.state == "complete" and t.distinct and TOP1_ERROR in t.metrics),
            chosen=None if result.best is None else result.best.trial,
            baselines={b.trial: b.name for b in result.baselines if b.trial is not None and b.name != "reference"},
            reference=numbers(result.reference),
            groups=result.groups,
        )


def panels(cloud: Cloud, objectives: Sequence[str]) -> list[str]:
    """The metrics to draw the accuracy against: other objectives first, then what was measured."""
    measured = {name for trial in cloud.trials for name in trial.metrics}
    wanted = [*ordered(name for name in objectives if name != TOP1_ERROR), *COSTS]
    return [name for name in dict.fromkeys(wanted) if name in measured]


def front_figure(cloud: Cloud, metric: str, height: int, main: bool) -> go.Figure:
    """Top-1 accuracy against `metric`, each in its stored unit turned into the printed one.

    The main picture has the legend and names the baselines.

    Networks far below the useful ones are drawn at the lower edge: one broken network must not flatten the rest.
    """
    trials = [trial for trial in cloud.trials if metric in trial.metrics]
    edge = _lower_edge(cloud, trials)
    figure = base_figure(height, _title(metric), "top-1 accuracy (%)")
    figure.update_layout(showlegend=main, legend={"entrywidth": 64})
    infeasible = [trial for trial in trials if not trial.feasible and trial.number != cloud.chosen]
    _add(figure, "infeasible", _marks(cloud, metric, [t for t in infeasible if _accuracy(t) >= edge]))
    _add(figure, "far below", [(x, edge, text) for x, y, text in _marks(cloud, metric, infeasible) if y < edge])
    feasible = [trial for trial in trials if trial.feasible]
    plain = [trial for trial in feasible if trial.number != cloud.chosen and trial.number not in cloud.baselines]
    _add(figure, "feasible", _marks(cloud, metric, plain))
    _add_front(figure, metric, feasible)
    baselines = [t for t in trials if t.number in cloud.baselines and _accuracy(t) >= edge and t.number != cloud.chosen]
    _add(figure, "baseline", _marks(cloud, metric, baselines))
    reference = _reference_position(cloud, metric)
    if reference is not None:
        _add(figure, "reference", [(*reference, "<b>reference</b><br>the uncompressed network")])
    _add(figure, "chosen", _marks(cloud, metric, [t for t in trials if t.number == cloud.chosen]))
    _add_labels(figure, _labels(cloud, metric, [t for t in trials if main or t.number == cloud.chosen], edge))
    return figure


_MARKERS: Mapping[str, Mapping[str, Any]] = {
    "feasible": {"symbol": "circle", "size": 8, "color": ACCENT, "opacity": 0.55},
    "infeasible": {"symbol": "x-thin", "size": 7, "line": {"color": MUTED, "width": 1.5}},
    "far below": {"symbol": "triangle-down-open", "size": 8, "color": MUTED},
    "baseline": {"symbol": "diamond", "size": 10, "color": "#ffffff", "line": {"color": INK, "width": 1.5}},
    "reference": {"symbol": "square", "size": 10, "color": INK},
    "chosen": {"symbol": "star", "size": 18, "color": CHOSEN, "line": {"color": "#ffffff", "width": 1}},
}
"""By what a network is in a picture, which is also its entry in the legend."""


def hover(trial: TrialRecord, cloud: Cloud) -> str:
    """What a trial is: number, metrics with their ratios, channels kept and precision by layer group."""
    name = cloud.baselines.get(trial.number, trial.origin)
    state = "" if trial.feasible else " · infeasible"
    lines = [f"<b>trial {trial.number}</b> · {escape(name)}{state}"]
    for metric in ordered(trial.metrics):
        text = f"{escape(label(metric))} {escape(shown(metric, trial.metrics[metric]))}"
        if metric not in {TOP1_ERROR, COST} and metric in cloud.reference:
            text += f" ({shown_ratio(ratio(trial.metrics[metric], cloud.reference[metric]))})"
        lines.append(text)
    lines += [escape(line) for line in describe_groups(trial.policy, cloud.groups, _HOVER_LINES)]
    return "<br>".join(lines)


def _marks(cloud: Cloud, metric: str, trials: Sequence[TrialRecord]) -> list[tuple[float, float, str]]:
    """(x, accuracy, hover) of each trial."""
    return [(plotted(metric, t.metrics[metric]), _accuracy(t), hover(t, cloud)) for t in trials]


def _add(figure: go.Figure, role: str, marks: Sequence[tuple[float, float, str]]) -> None:
    if marks:
        x, y, texts = (list(column) for column in zip(*marks, strict=True))
        drawn = {"mode": "markers", "marker": _MARKERS[role], "cliponaxis": False}
        figure.add_scatter(x=x, y=y, name=role, hovertext=texts, hoverinfo="text", **drawn)


def _add_front(figure: go.Figure, metric: str, feasible: Sequence[TrialRecord]) -> None:
    sign = -1.0 if larger_is_better(metric) else 1.0
    keep = non_dominated([(sign * trial.metrics[metric], trial.metrics[TOP1_ERROR]) for trial in feasible])
    front = [trial for trial, kept in zip(feasible, keep, strict=True) if kept]
    ends = sorted((plotted(metric, trial.metrics[metric]), _accuracy(trial)) for trial in front)
    if ends:
        # what is reached at a cost: the accuracy of the best network that is no dearer
        line = {"color": ACCENT, "width": 2, "shape": "vh" if larger_is_better(metric) else "hv"}
        x, y = (list(column) for column in zip(*ends, strict=True))
        figure.add_scatter(x=x, y=y, mode="lines", name="front", line=line, hoverinfo="skip")


def _add_labels(figure: go.Figure, labels: Sequence[tuple[str, float, float]]) -> None:
    points = [point for trace in figure.data for point in zip(trace.x, trace.y, strict=True)]
    if not points:
        return
    spans = [max(axis) - min(axis) or 1.0 for axis in zip(*points, strict=True)]
    middle = (max(x for x, _ in points) + min(x for x, _ in points)) / 2
    placed: list[tuple[float, float]] = []
    for text, x, y in labels:
        if any(abs(x - a) < _LABEL_GAP[0] * spans[0] and abs(y - b) < _LABEL_GAP[1] * spans[1] for a, b in placed):
            continue
        placed.append((x, y))
        figure.add_annotation(
            x=x,
            y=y,
            text=escape(text),
            showarrow=False,
            xanchor="left" if x < middle else "right",
            xshift=8 if x < middle else -8,
            yshift=12,
            font={"size": 12, "color": CHOSEN if text == "chosen" else INK},
            bgcolor="rgba(255,255,255,0.7)",
            borderpad=0,
        )


def _labels(cloud: Cloud, metric: str, trials: Sequence[TrialRecord], edge: float) -> list[tuple[str, float, float]]:
    found = {t.number: (plotted(metric, t.metrics[metric]), _accuracy(t)) for t in trials if _accuracy(t) >= edge}
    names = {} if cloud.chosen is None else {cloud.chosen: "chosen"}
    reference = _reference_position(cloud, metric)
    labels = [] if reference is None else [("reference", *reference)]
    return labels + [(name, *found[number]) for number, name in {**cloud.baselines, **names}.items() if number in found]


def _reference_position(cloud: Cloud, metric: str) -> tuple[float, float] | None:
    value = 1.0 if metric == COST else cloud.reference.get(metric)
    if value is None or TOP1_ERROR not in cloud.reference:
        return None
    return plotted(metric, value), plotted(TOP1_ERROR, cloud.reference[TOP1_ERROR])


def _lower_edge(cloud: Cloud, trials: Sequence[TrialRecord]) -> float:
    useful = [_accuracy(t) for t in trials if t.feasible or t.number == cloud.chosen]
    if TOP1_ERROR in cloud.reference:
        useful.append(plotted(TOP1_ERROR, cloud.reference[TOP1_ERROR]))
    if len(useful) < 2:
        return min((_accuracy(t) for t in trials), default=0.0)
    margin = max(0.4 * (max(useful) - min(useful)), 1.0)
    return max(min(useful) - margin, min(_accuracy(t) for t in trials))


def _accuracy(trial: TrialRecord) -> float:
    return plotted(TOP1_ERROR, trial.metrics[TOP1_ERROR])


def _title(metric: str) -> str:
    if metric == COST:
        return "cost (reference = 1)"
    return f"{label(metric)} ({unit(metric)})" if unit(metric) else label(metric)
