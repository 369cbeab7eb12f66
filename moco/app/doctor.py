"""`moco doctor` for a person: what this machine can measure and run."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from moco.interfaces import Finding


def doctor_table(findings: Sequence[Finding]) -> Table:
    """A finding a row, with what to do about it."""
    table = Table(title="This machine", title_justify="left")
    for column in ("", "what", "found", "what to do"):
        table.add_column(column)
    for finding in findings:
        table.add_row("ok" if finding.ok else "-", *map(Text, (finding.name, finding.detail, finding.advice)))
    return table


def doctor_line(findings: Sequence[Finding]) -> str:
    """How many are well, and which are not."""
    lacking = [finding.name for finding in findings if not finding.ok]
    told = f"{len(findings) - len(lacking)} of {len(findings)} findings are well"
    return f"{told}; not {', '.join(lacking)}" if lacking else told
