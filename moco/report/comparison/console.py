"""The end of a comparison on the console: a row a strategy, what came of it, and where the page is."""

from __future__ import annotations

from pathlib import Path

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from moco.report.comparison.text import number, short_seconds, summary
from moco.report.console import STYLES, ending
from moco.report.formatting import NOT_AVAILABLE
from moco.run_folder.comparison_record import ComparisonRecord


def compare_summary(content: ComparisonRecord, page: Path | None = None) -> RenderableType:
    """The strategies with their medians, the verdicts in sentences, and the path of the page.

    Args:
        page: RUN/compare.html; None where none was written.
    """
    found = summary(content)
    outcome = [Text(found.headline, STYLES[found.tone]), *map(Text, found.more)]
    return ending([_table(content), *outcome], content.warnings, page)


def _table(content: ComparisonRecord) -> Table:
    quantities = [name for name in ("score", "hypervolume") if f"{name}_at_equal_trials" in content.tests]
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("strategy", no_wrap=True)
    for name in ("seeds", *quantities, "first feasible", "a suggestion", "charged"):
        table.add_column(name, justify="right")
    for name, entry in content.summary.items():
        first, thinking = entry.first_feasible.trials, entry.suggestion_s
        table.add_row(
            Text(name),
            str(entry.seeds),
            *(number(entry.medians.get(f"{quantity}_at_equal_trials")) for quantity in quantities),
            NOT_AVAILABLE if first is None else f"trial {first:g}",
            NOT_AVAILABLE if thinking is None else short_seconds(thinking.median),
            short_seconds(entry.charged_s),
        )
    return table
