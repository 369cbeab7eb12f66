"""The figure of F1.GAP: what S1's rule promises and what comes true, then the certificate's word and what it delivers.

A line a choice, the worst first. The left half is the failure: promised on 250 images, lost on 750 others. The right
half is the cure, on images that neither has seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from moco.reproduction.raw import Raw, RawRow

LABELS, HALF, VERDICT, MARGIN = 250, 320, 110, 20
"""Widths in pixels: of the names, of each half, of the certificate's word between them, and at the right."""
WIDTH = LABELS + 2 * HALF + VERDICT + MARGIN
TOP, STEP = 128, 15
FLOOR = -10.0
"""Points that the rule allows to lose."""
PROMISED, KEPT, BROKEN, GREY, BELOW = "#666", "#0072b2", "#cc0000", "#666", "#fbe3e0"
HOLDS, REFUSED = "#009e73", "#cc0000"
STYLE = "font-family:system-ui,sans-serif;font-size:12px"
ACTIONS = {"CP": "channels, refit", "FP": "filters", "TD": "Tucker"}


def gap_figure(raws: Sequence[Raw]) -> str:
    """An SVG: a line a row of the card and seed; changes of top-1 accuracy against the whole network, points."""
    found = [(row, raw.seed) for raw in raws for row in raw.rows]
    found.sort(key=lambda one: _of(one[0], "others_pp"))
    rows = [row for row, _ in found]
    lowest = min([FLOOR, *(_of(row, name) for row in rows for name in ("others_pp", "delivered_pp"))])
    low, bottom = 5 * (lowest // 5), TOP + STEP * len(rows)
    left, right = _Axis(LABELS, low), _Axis(LABELS + HALF + VERDICT, low)
    parts = [*_frame(left, bottom), *_frame(right, bottom), *_heads(rows)]
    for place, (row, seed) in enumerate(found):
        parts += _line(left, right, row, seed, TOP + STEP * place + STEP / 2)
    told = "change of top-1 accuracy against the whole network, points"
    parts.append(_text(WIDTH / 2, bottom + 34, told, "middle", GREY))
    parts += [_text(MARGIN, bottom + 62 + 18 * place, line) for place, line in enumerate(_summary(rows))]
    size = f'width="{WIDTH}" height="{bottom + 112}" viewBox="0 0 {WIDTH} {bottom + 112}"'
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} style="{STYLE}">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


class _Axis:
    """Points of change as pixels of one half."""

    def __init__(self, begin: int, lowest: float) -> None:
        self.begin, self.lowest, self.highest = begin, lowest, 2.5

    def x(self, change: float) -> float:
        return self.begin + (change - self.lowest) / (self.highest - self.lowest) * HALF

    @property
    def ticks(self) -> list[float]:
        step = 5.0 if self.highest - self.lowest <= 30 else 10.0
        first = step * -(-self.lowest // step)
        return [first + step * n for n in range(int((self.highest - first) // step) + 1)]


def _line(left: _Axis, right: _Axis, row: RawRow, seed: int, y: float) -> list[str]:
    promised, true, delivered = (_of(row, name) for name in ("chosen_on_pp", "others_pp", "delivered_pp"))
    colour = BROKEN if true < FLOOR else KEPT
    return [
        _text(LABELS - 10, y + 4, f"{_name(row)}, seed {seed}", "end", BROKEN if true < FLOOR else "black"),
        f'<line x1="{left.x(promised):.1f}" x2="{left.x(true):.1f}" y1="{y}" y2="{y}" stroke="{colour}"/>',
        _promise(left.x(promised), y),
        _dot(left.x(true), y, colour),
        _word(LABELS + HALF + VERDICT / 2, y, row),
        _dot(right.x(delivered), y, BROKEN if delivered < FLOOR else HOLDS),
    ]


def _word(x: float, y: float, row: RawRow) -> str:
    """What the certificate says of the choice."""
    if _refused(row):
        return _text(x, y + 4, "✕ refused", "middle", REFUSED)
    return _text(x, y + 4, "✓ holds", "middle", HOLDS)


def _frame(axis: _Axis, bottom: float) -> list[str]:
    floor, top = axis.x(FLOOR), TOP - 6
    parts = [
        f'<rect x="{axis.begin}" y="{top}" width="{floor - axis.begin:.1f}" height="{bottom - top}" fill="{BELOW}"/>'
    ]
    for tick in axis.ticks:
        x = axis.x(tick)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}" stroke="#ddd"/>')
        parts.append(_text(x, bottom + 15, f"{tick:+g}" if tick else "0", "middle", GREY))
    parts.append(f'<line x1="{floor:.1f}" x2="{floor:.1f}" y1="{top}" y2="{bottom}" stroke="black"/>')
    return [*parts, _text(floor - 4, top - 4, "below the floor", "end", BROKEN)]


def _heads(rows: Sequence[RawRow]) -> list[str]:
    """What each half shows, and its marks."""
    middles = [LABELS + HALF / 2, LABELS + HALF + VERDICT / 2, LABELS + HALF + VERDICT + HALF / 2]
    broken = sum(_of(row, "others_pp") < FLOOR for row in rows)
    delivered = sum(_of(row, "delivered_pp") < FLOOR for row in rows)
    heads = (
        (f"S1's rule: {broken} of {len(rows)} choices break the floor", "certificate", _cure(delivered, len(rows))),
        (
            "each kept it on the 250 images it was chosen on",
            "at 95 %",
            "on the images that certify, new to all choices",
        ),
    )
    parts = [
        _text(x, 22 + 18 * line, text, "middle", "black" if line == 0 else GREY, bold=line == 0)
        for line, texts in enumerate(heads)
        for x, text in zip(middles, texts, strict=True)
    ]
    y = 68
    parts += [_promise(LABELS + 30, y), _text(LABELS + 40, y + 4, "promised on its 250")]
    parts += [_dot(LABELS + 170, y, KEPT), _dot(LABELS + 184, y, BROKEN)]
    parts.append(_text(LABELS + 194, y + 4, "true on 750 others"))
    parts += [_dot(middles[2] - 90, y, HOLDS), _text(middles[2] - 80, y + 4, "what is delivered in its place")]
    return parts


def _cure(below: int, count: int) -> str:
    return f"Delivered with it: {below or 'none'} of {count} below the floor"


def _summary(rows: Sequence[RawRow]) -> tuple[str, str, str]:
    """What the certificate stops, what it lets through on images that it has not seen either, and the price."""
    refused = [row for row in rows if _refused(row)]
    through = [row for row in rows if not _refused(row)]
    stopped, missed = (sum(_of(row, "others_pp") < FLOOR for row in some) for some in (refused, through))
    costs = [np.mean([_of(row, name) for row in rows]) for name in ("cost", "delivered_cost")]
    known = f"{stopped} that break the floor on the 750 others, which it has not seen"
    price = f"what is delivered costs {costs[1]:.2f} of the whole network on average, what was chosen {costs[0]:.2f}"
    return (
        f"The certificate refuses {len(refused)} of {len(rows)} choices, among them {known}.",
        f"Of the {len(through)} that it lets through, {missed} break it there.",
        f"The price: {price}.",
    )


def _refused(row: RawRow) -> bool:
    return _of(row, "certified_pp") < FLOOR


def _name(row: RawRow) -> str:
    """The row's name in words: which action, and which 250 images."""
    action, _, images = row.name.partition(", ")
    return f"{ACTIONS.get(action, action)}{' (first classes)' if images.startswith('first') else ''}"


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = "black", *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{weight}>{escape(text)}</text>'


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y}" r="4.5" fill="{colour}"/>'


def _promise(x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y}" r="4" fill="white" stroke="{PROMISED}" stroke-width="1.5"/>'


def _of(row: RawRow, column: str) -> float:
    return row.values[column].value
