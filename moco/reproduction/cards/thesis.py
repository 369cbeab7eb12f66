"""T1.AG and T1.RC: the thesis's tables 5.1 to 5.6."""

from __future__ import annotations

from moco.reproduction.card import Card, Scale
from moco.reproduction.cards.thesis_search import COLUMNS, constrained, guaranteed

GUARANTEED_CARD = Card(
    id="T1.AG",
    title="Twelve metrics of networks found under an accuracy floor of -10 points",
    system="S1",
    columns=COLUMNS,
    runner=guaranteed,
    published={
        "Ref": {"reward": "-1", "top1_error": "R50 5.19 %, R18 20.5 %, MBv2 18.8 %"},
        "CP": {"reward": "R50 -.78, R18 -.83, MBv2 -.86", "top1_change_pp": "-4.45, -2.7, -0.8"},
        "FP": {"reward": "R50 -.94, R18 NoOp, MBv2 -.92", "top1_change_pp": "-18.5, 0, -43.3"},
        "TD": {"reward": "NoOp on all three"},
    },
    findings=("Q01", "Q02", "Q18", "Q21"),
    seeds={Scale.SMALL: 5, Scale.FULL: 5},
    files=frozenset({Scale.SMALL, Scale.FULL}),
)
CONSTRAINED_CARD = Card(
    id="T1.RC",
    title="Twelve metrics of networks found under budgets of 0.8 for size and latency",
    system="S1",
    columns=COLUMNS,
    runner=constrained,
    published={
        "Ref": {"reward": "-50"},
        "CP": {"reward": "R50 89.1, R18 -50, MBv2 70.5"},
        "FP": {"reward": "R50 34.5, R18 -50, MBv2 28.5 (infeasible as printed)"},
        "TD": {"reward": "R50 0, R18 0, MBv2 -50", "top1_error": "100 % on all three", "parameters": "MBv2 7.5 M"},
    },
    findings=("Q03", "Q04", "Q05", "Q18", "Q21"),
    seeds={Scale.SMALL: 5, Scale.FULL: 5},
    files=frozenset({Scale.SMALL, Scale.FULL}),
)
