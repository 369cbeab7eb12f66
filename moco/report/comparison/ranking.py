"""The ranking of strategies as a picture: mean ranks on a line, and bars over those that cannot be told apart.

J. Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7 (2006), figure 1. The bars follow
the verdicts of the pairs (Wilcoxon's test, Holm's correction) in place of one critical difference, which is that of a
weaker test.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import plotly.graph_objects as go

from moco.comparison.rank_tests import Verdict
from moco.report.figures import ACCENT, MUTED, base_figure
from moco.run_folder.comparison_record import MeasureTests


def ranking_figure(tests: MeasureTests) -> go.Figure | None:
    """Mean rank of each strategy over the seeds, the best on the left; None where there are fewer than three."""
    if tests.friedman is None:
        return None
    ranks = dict(sorted(tests.friedman.mean_ranks.items(), key=lambda entry: entry[1]))
    bars = alike(ranks, tests)
    figure = base_figure(110 + 26 * len(ranks) + 14 * len(bars), "mean rank over the seeds (1 is best)", "")
    figure.add_scatter(
        x=list(ranks.values()),
        y=[escape(name) for name in ranks],
        mode="markers+text",
        text=[f" {rank:.2f}" for rank in ranks.values()],
        textposition="middle right",
        marker={"color": ACCENT, "size": 11},
        hovertemplate="%{y}: mean rank %{x:.2f}<extra></extra>",
        showlegend=False,
    )
    for place, (first, last) in enumerate(bars):
        height = f"cannot be told apart{' ' * place}"  # a category of its own: a row below the strategies
        figure.add_scatter(
            x=[ranks[first], ranks[last]],
            y=[height, height],
            mode="lines+markers",
            line={"color": MUTED, "width": 5},
            marker={"color": MUTED, "size": 5},
            hovertemplate=f"from {escape(first)} to {escape(last)} no two can be told apart<extra></extra>",
            showlegend=False,
        )
    figure.update_xaxes(range=[0.8, len(ranks) + 0.4], dtick=1)
    figure.update_yaxes(autorange="reversed", showgrid=True, tickfont={"size": 12})
    return figure


def alike(ranks: Mapping[str, float], tests: MeasureTests) -> list[tuple[str, str]]:
    """First and last strategy of each longest stretch of the ranking in which no pair is decided."""
    decided = {frozenset((pair.first, pair.second)) for pair in tests.pairs if pair.verdict != Verdict.CANNOT_TELL}
    names, stretches = sorted(ranks, key=lambda name: ranks[name]), []
    reached = 0
    for start in range(len(names)):
        end = start
        while end + 1 < len(names) and not any(
            frozenset((name, names[end + 1])) in decided for name in names[start : end + 1]
        ):
            end += 1
        if end > start and end > reached:
            stretches.append((names[start], names[end]))
        reached = max(reached, end)
    return stretches
