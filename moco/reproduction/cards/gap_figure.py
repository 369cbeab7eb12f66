"""The figure of F1.GAP: each choice by S1's rule on its 250 images, on the 750 others, and under the certificate."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from moco.reproduction.raw import Raw, RawRow

LEFT, RIGHT, TOP, STEP, GAP = 190, 40, 84, 11, 20
WIDTH = 860
FLOOR = -10.0
"""Points that the rule allows to lose."""
CHOSEN, OTHERS, HOLDS, REFUSED, GREY = "#0072b2", "#d55e00", "#009e73", "#cc0000", "#666"
STYLE = "font-family:system-ui,sans-serif;font-size:12px"


def gap_figure(raws: Sequence[Raw]) -> str:
    """An SVG: a group a row of the card, in it a line a seed; changes of accuracy against the whole network, points."""
    names = list(dict.fromkeys((row.network, row.name) for raw in raws for row in raw.rows))
    rows = {at: [row for raw in raws for row in raw.rows if (row.network, row.name) == at] for at in names}
    lowest = min([FLOOR, *(_of(row, name) for found in rows.values() for row in found for name in ("others_pp",))])
    axis = _Axis(5 * (lowest // 5) - 5)
    parts: list[str] = []
    y = TOP
    for (_, name), found in rows.items():
        middle = y + STEP * (len(found) - 1) / 2 + 4
        parts.append(f'<text x="{LEFT - 12}" y="{middle:.1f}" text-anchor="end">{escape(name)}</text>')
        for row in found:
            parts += _line(axis, row, y)
            y += STEP
        y += GAP
    frame = _frame(axis, y)
    lines = _summary([row for found in rows.values() for row in found])
    summary = [f'<text x="20" y="{y + 54 + 18 * place}">{line}</text>' for place, line in enumerate(lines)]
    size = f'width="{WIDTH}" height="{y + 86}" viewBox="0 0 {WIDTH} {y + 86}"'
    body = "\n".join([*frame, *parts, *_legend(), *summary])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} style="{STYLE}">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


class _Axis:
    """Points of change as pixels."""

    def __init__(self, lowest: float) -> None:
        self.lowest, self.highest = lowest, 5.0

    def x(self, change: float) -> float:
        share = (max(change, self.lowest) - self.lowest) / (self.highest - self.lowest)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    @property
    def ticks(self) -> list[float]:
        step = 5.0 if self.highest - self.lowest <= 60 else 10.0
        first = step * -(-self.lowest // step)
        return [first + step * n for n in range(int((self.highest - first) // step) + 1)]


def _line(axis: _Axis, row: RawRow, y: float) -> list[str]:
    chosen, others, bound = (_of(row, name) for name in ("chosen_on_pp", "others_pp", "certified_pp"))
    verdict = HOLDS if bound >= FLOOR else REFUSED
    ends = sorted((axis.x(chosen), axis.x(others)))
    return [
        f'<line x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{y}" y2="{y}" stroke="#bbb"/>',
        f'<circle cx="{axis.x(chosen):.1f}" cy="{y}" r="4" fill="{CHOSEN}"/>',
        f'<circle cx="{axis.x(others):.1f}" cy="{y}" r="4" fill="{OTHERS}"/>',
        f'<path d="M{axis.x(bound):.1f} {y - 5}v10" stroke="{verdict}" stroke-width="3"/>',
        f'<path d="M{axis.x(_of(row, "delivered_pp")) - 4:.1f} {y}l4 -4l4 4l-4 4z" fill="none" stroke="{HOLDS}"/>',
    ]


def _frame(axis: _Axis, bottom: float) -> list[str]:
    parts = []
    for tick in axis.ticks:
        x = axis.x(tick)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 12}" y2="{bottom - 8}" stroke="#eee"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 8}" text-anchor="middle" fill="{GREY}">{tick:+g}</text>')
    x = axis.x(FLOOR)
    parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 12}" y2="{bottom - 8}" stroke="black"/>')
    parts.append(f'<text x="{x:.1f}" y="{TOP - 18}" text-anchor="middle">floor</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    told = "change of top-1 accuracy against the whole network, points; one line a seed"
    parts.append(f'<text x="{middle:.1f}" y="{bottom + 28}" text-anchor="middle" fill="{GREY}">{told}</text>')
    return parts


def _legend() -> list[str]:
    """What the marks are, in two lines above."""
    told = (
        (CHOSEN, "on the 250 images it was chosen on", "circle"),
        (OTHERS, "on the 750 others", "circle"),
        (REFUSED, "what is certified: below the floor, refused", "bar"),
        (HOLDS, "above it, holds", "bar"),
        (HOLDS, "delivered after certification", "diamond"),
    )
    parts = []
    for place, (colour, text, shape) in enumerate(told):
        x, y = 30 + 275 * (place % 3), 20 + 20 * (place // 3)
        marks = {
            "circle": f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"/>',
            "bar": f'<path d="M{x} {y - 5}v10" stroke="{colour}" stroke-width="3"/>',
            "diamond": f'<path d="M{x - 4} {y}l4 -4l4 4l-4 4z" fill="none" stroke="{colour}"/>',
        }
        parts.append(f'{marks[shape]}<text x="{x + 10}" y="{y + 4}">{text}</text>')
    return parts


def _summary(rows: Sequence[RawRow]) -> tuple[str, str]:
    """How many choices broke the floor on other images, and how many of these the certificate let through."""
    broken = [row for row in rows if _of(row, "unseen_pp") < FLOOR]
    refused = [row for row in rows if _of(row, "certified_pp") < FLOOR]
    missed = [row for row in broken if row not in refused]
    delivered = [row for row in rows if _of(row, "delivered_pp") < FLOOR]
    told = f"Of {len(rows)} choices, all within the floor on their 250 images, {len(broken)} break it on unseen ones."
    answer = f"The certificate refuses {len(refused)} choices, lets {len(missed)} of the broken ones through, and"
    return told, f"{answer} {len(delivered)} of what is delivered measure below the floor."


def _of(row: RawRow, column: str) -> float:
    return row.values[column].value
