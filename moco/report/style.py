"""Colours of the report, one accent and colours that the colour-blind can tell apart (after Okabe and Ito, 2008)."""

from __future__ import annotations

INK = "#1c2430"
MUTED = "#6b7684"
FAINT = "#a9b8c6"
GRID = "#e6eaef"
ACCENT = "#0a6c96"
CHOSEN = "#d55e00"

PRECISION_COLOURS = {"float32": "#9aa7b4", "float16": "#56b4e9", "bfloat16": "#56b4e9", "int8": ACCENT}
SPARE_COLOURS = ("#009e73", "#e69f00", "#cc79a7", "#7a5195", "#5d6d2e", "#8c4a2f", "#444444")
