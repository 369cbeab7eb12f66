"""What recovery gave the networks of a search: their accuracy before and after it, in a picture and in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import plotly.graph_objects as go

from moco.metrics import TOP1_ERROR
from moco.report.document import Html, note, plot, section
from moco.report.figures import ACCENT, CHOSEN, MUTED, base_figure
from moco.report.formatting import plotted, points, shown
from moco.run_folder.result import Result
from moco.run_folder.trial_record import TrialRecord

TITLE = "Before and after recovery"
RUINED = 0.5
"""A network is called ruined that has less than this share of the original's accuracy."""
_NOTE = (
    "Before: the same policy's file built without the steps of `recovery`, scored on the same search images; layers "
    "that a method of pruning refits are refitted in both. Networks of which nothing was recovered are left out, and "
    "finalists, which were trained otherwise."
)


@dataclass(frozen=True)
class Pair:
    """Top-1 errors of one network, fractions of the search images."""

    trial: int
    before: float
    after: float


def recovery_pairs(trials: Sequence[TrialRecord]) -> list[Pair]:
    """The distinct networks of which both errors are known."""
    return [
        Pair(trial.number, trial.before_recovery[TOP1_ERROR], trial.metrics[TOP1_ERROR])
        for trial in trials
        if trial.distinct and TOP1_ERROR in trial.before_recovery and TOP1_ERROR in trial.metrics
    ]


def recovery_section(result: Result, trials: Sequence[TrialRecord]) -> Html:
    """The picture and what it says; empty where no network was scored before its recovery."""
    pairs = recovery_pairs(trials)
    if not pairs:
        return Html("")
    chosen = None if result.best is None else result.best.trial
    figure = plot("recovery-figure", "Top-1 accuracy of each network", recovery_figure(pairs, chosen))
    told = recovery_sentence(pairs, result.reference.get(TOP1_ERROR))
    return section("recovery", TITLE, figure, note(told), note(_NOTE))


def recovery_sentence(pairs: Sequence[Pair], reference: float | None) -> str:
    """How many networks recovery helped, by how much, and how many are ruined before and after it."""
    gains = [pair.before - pair.after for pair in pairs]
    better, worse = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    text = (
        f"Of {len(pairs)} networks {better} are more accurate after recovery and {worse} less; the median of the "
        f"change is {points(median(gains))}."
    )
    if reference is None:
        return text
    least = RUINED * (1 - reference)
    before, after = (sum(1 - error < least for error in errors) for errors in zip(*map(_errors, pairs), strict=True))
    limit = shown(TOP1_ERROR, 1 - least)
    ruined = f"Ruined, below {limit}, which is half of the original's accuracy, are {before} before and {after} after."
    return f"{text} {ruined}"


def recovery_figure(pairs: Sequence[Pair], chosen: int | None) -> go.Figure:
    """Accuracy after recovery against that before it, in percent; on the line nothing changed."""
    figure = base_figure(360, "top-1 accuracy before recovery (%)", "after recovery (%)")
    ends = [plotted(TOP1_ERROR, error) for pair in pairs for error in _errors(pair)]
    line = {"color": MUTED, "width": 1, "dash": "dot"}
    span = [min(ends), max(ends)]
    figure.add_scatter(x=span, y=span, mode="lines", name="unchanged", line=line, hoverinfo="skip")
    for name, colour, size, shown_pairs in (
        ("network", ACCENT, 8, [pair for pair in pairs if pair.trial != chosen]),
        ("chosen", CHOSEN, 14, [pair for pair in pairs if pair.trial == chosen]),
    ):
        if shown_pairs:
            figure.add_scatter(
                x=[plotted(TOP1_ERROR, pair.before) for pair in shown_pairs],
                y=[plotted(TOP1_ERROR, pair.after) for pair in shown_pairs],
                mode="markers",
                name=name,
                marker={"color": colour, "size": size, "opacity": 0.7},
                hovertext=[f"trial {pair.trial}" for pair in shown_pairs],
                hovertemplate="%{hovertext}: %{x:.2f} → %{y:.2f} %<extra></extra>",
                cliponaxis=False,
            )
    return figure


def _errors(pair: Pair) -> tuple[float, float]:
    return pair.before, pair.after
