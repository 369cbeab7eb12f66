"""The end of a search on the console: verdict, comparison and where the report is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from moco.metrics import COLUMNS
from moco.report.formatting import label, shown, shown_ratio, unit
from moco.report.tables import yes_no
from moco.report.verdict import TONES, Row, compare, compared_metrics, verdict
from moco.run_folder.result import Result

STYLES = {"good": "bold green", "warn": "bold yellow", "bad": "bold red"}
"""By the tone of an outcome."""


def console_summary(result: Result, report: Path | None = None) -> RenderableType:
    """The chosen network against the reference and the baselines, the verdict, and the path of the report.

    Args:
        report: RUN/report.html; None where none was written.
    """
    found = verdict(result)
    outcome = Text(f"{found.status.value}: {found.text}", STYLES[TONES[found.status]])
    return ending([_table(compare(result)), outcome], result.warnings, report)


def ending(parts: list[RenderableType], warnings: Iterable[str], report: Path | None) -> RenderableType:
    """What came of a run, then its warnings and the path of its page."""
    parts += [Text(f"warning: {text}", "yellow") for text in warnings]
    if report is not None:
        parts.append(Text(f"report: {report}"))
    return Group(*parts)


def _table(rows: list[Row]) -> Table:
    metrics = [name for name in compared_metrics(rows) if name in COLUMNS] or compared_metrics(rows)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("network", no_wrap=True)
    for name in metrics:
        table.add_column(f"{label(name)} {unit(name)}".rstrip(), justify="right")
    table.add_column("feasible", justify="right")
    for row in rows:
        style = "bold" if row.name in {"chosen", "best effort"} else None
        table.add_row(Text(row.name), *(_cell(row, name) for name in metrics), yes_no(row.feasible), style=style)
    return table


def _cell(row: Row, name: str) -> Text:
    text = shown(name, row.metrics.get(name)).removesuffix(unit(name)).rstrip()
    relative = row.ratios.get(name)
    return Text(text if relative is None else f"{text} {shown_ratio(relative)}", justify="right")
