"""What a command has found, as text and tables on the console: the rows are those of the pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from moco.comparison.correlation.matrices import Correlations, Matrix
from moco.comparison.importance import Importance
from moco.interfaces import Finding
from moco.metrics import COLUMNS, METRICS
from moco.report.comparison.text import TITLES, number, short_seconds, summary
from moco.report.correlation_text import TITLES as NETWORKS
from moco.report.correlation_text import absences, by_pair, cell, lead, named, proxies, set_apart, striking, told
from moco.report.formatting import NOT_AVAILABLE, after_trials, label, seconds, shown, shown_ratio, unit
from moco.report.importance_page import IMPORTANCE_HEAD, TITLE, importance_absence, importance_note, importance_rows
from moco.report.payoff_figure import HEAD as PAYOFF_HEAD
from moco.report.payoff_figure import lead as payoff_lead
from moco.report.payoff_figure import left_out, payoff_rows, payoff_warnings
from moco.report.profile_page import (
    HEAD,
    LAYERS_HEAD,
    Found,
    layer_rows,
    layers_text,
    profile_rows,
    side_head,
    side_rows,
    tails_text,
)
from moco.report.stages_page import STAGE_HEAD, stage_rows
from moco.report.tables import yes_no
from moco.report.verdict import TONES, Row, compare, compared_metrics, verdict
from moco.run_folder.comparison_record import ComparisonRecord
from moco.run_folder.profile import Profile, RuntimeComparison
from moco.run_folder.result import Result
from moco.run_folder.stages import StagesRecord

STYLES = {"good": "bold green", "warn": "bold yellow", "bad": "bold red", "plain": "bold"}  # by the tone of an outcome
_PARAMETERS = 5  # shown of a search


def console_summary(result: Result) -> RenderableType:
    """The chosen network against the reference and the baselines, the verdict, and the warnings."""
    return _ending([_networks(compare(result)), outcome_line(result)], result.warnings)


def outcome_line(result: Result) -> Text:
    """The verdict of a search."""
    found = verdict(result)
    return Text(f"{found.status.value}: {found.text}", STYLES[TONES[found.status]])


def importance_summary(found: Importance) -> RenderableType:
    """The parameters that decided most, or why none can be told."""
    if (absence := importance_absence(found)) is not None:
        return Text(absence)
    shown, count = found.parameters[:_PARAMETERS], len(found.parameters) - _PARAMETERS
    table = _filled(IMPORTANCE_HEAD, importance_rows(shown), f"{TITLE}, of {found.trials} networks")
    absent, more = importance_note(found), f"{count} more in the report" if count > 0 else None
    return Group(table, *(Text(line) for line in (absent, more) if line is not None))


def compare_summary(content: ComparisonRecord) -> RenderableType:
    """The strategies with their medians, the verdicts in sentences, and the warnings."""
    more = map(Text, summary(content).more)
    return _ending([_strategies(content), comparison_line(content), *more], content.warnings)


def comparison_line(content: ComparisonRecord) -> Text:
    """The main verdict of a comparison."""
    found = summary(content)
    return Text(found.headline, STYLES[found.tone])


def correlations_summary(found: Correlations) -> RenderableType:
    """The matrices, what is counted against the latency, the clearest rank reversals, and the runs set apart."""
    whole = found.matrices[0]
    reversed_ = [f"rank reversal: {told(one)}" for one in striking(whole)]
    lines = [*absences(whole), *proxies(whole), *reversed_, *set_apart(found)]
    return Group(Text(lead(found)), *map(_matrix, found.matrices), *map(Text, lines))


def correlations_line(found: Correlations) -> Text:
    """How far counted numbers predict the latency, or what was correlated where none was timed."""
    return Text("; ".join(proxies(found.matrices[0])) or lead(found))


def profile_tables(found: Found) -> list[RenderableType]:
    """A metric a row with its ratio to the reference, layers and slow calls; or a column a runtime."""
    if isinstance(found, RuntimeComparison):
        turns = ", in turn" if found.measurements else ""
        sides = _filled(side_head(found), side_rows(found), f"{found.profiles[0].name}{turns}")
        notes = [Text(f"{profile.runtime}: {text}") for profile in found.profiles for text in _notes(profile)]
        return [_ending([sides, *notes, *map(Text, found.notes)], found.warnings)]
    layers = [_filled(LAYERS_HEAD, layer_rows(found), "operators")] if found.layers else []
    return [_filled(HEAD, profile_rows(found), found.name), *layers, *map(Text, _notes(found))]


def stages_table(found: StagesRecord) -> RenderableType:
    """A stage a row, with what it delivered beside the original network."""
    return _filled(STAGE_HEAD, stage_rows(found), found.experiment)


def _notes(profile: Profile) -> list[str]:
    return [text for text in (layers_text(profile), tails_text(profile)) if text]


def payoff_table(report: Mapping[str, Any]) -> RenderableType:
    """A row for each pair of layers and precision: its time, the widths and the ranks that pay; doubts below.

    `report` is the content of payoff.json.
    """
    table = Table(title=payoff_lead(report), title_justify="left", box=None, pad_edge=False, header_style="dim")
    for name in PAYOFF_HEAD:
        table.add_column(name, overflow="fold", no_wrap=name in {"precision", "time"})
    for row in payoff_rows(report):
        table.add_row(*map(Text, row))
    return _ending([table, *(Text(f"not probed: {text}") for text in left_out(report))], payoff_warnings(report))


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


def _filled(head: Sequence[str], rows: Iterable[Sequence[str]], title: str) -> Table:
    """A table of these cells: what a row is of, and its numbers."""
    table = _table(*head)
    table.title, table.title_justify = title, "left"
    for cells in rows:
        table.add_row(*map(Text, cells))
    return table


def _ending(parts: list[RenderableType], warnings: Iterable[str]) -> RenderableType:
    """What came of a run, then its warnings."""
    return Group(*parts, *(Text(f"warning: {text}", "yellow") for text in warnings))


def _table(first: str, *others: str) -> Table:
    """An empty table: what a row is of, and its numbers."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _networks(rows: list[Row]) -> Table:
    metrics = [name for name in compared_metrics(rows) if name in COLUMNS] or compared_metrics(rows)
    timed = ["CPU"] if any(row.processor_s is not None for row in rows) else []
    table = _table("network", *(f"{label(name)} {unit(name)}".rstrip() for name in metrics), "feasible", *timed)
    for row in rows:
        style = "bold" if row.name in {"chosen", "best effort"} else None
        last = ["" if row.processor_s is None else seconds(row.processor_s)] if timed else []
        table.add_row(Text(row.name), *(_cell(row, name) for name in metrics), yes_no(row.feasible), *last, style=style)
    return table


def _matrix(matrix: Matrix) -> RenderableType:
    """Pearson below the diagonal, Spearman above it; columns by number."""
    title = f"{NETWORKS[matrix.networks]} ({matrix.trials})"
    if matrix.reason is not None:
        return Text(f"{title}: {NOT_AVAILABLE}, {matrix.reason}")
    table = Table(title=f"{title}: Pearson below, Spearman above the diagonal", title_justify="left", box=None)
    table.pad_edge, table.padding, table.header_style = False, (0, 1, 0, 0), "dim"
    table.add_column("", no_wrap=True)
    pairs = by_pair(matrix)
    for place in range(1, len(METRICS) + 1):
        table.add_column(str(place), justify="right", no_wrap=True)
    for i, a in enumerate(METRICS):
        same = NOT_AVAILABLE if a in matrix.absent else "1"
        cells = [same if i == j else cell(pairs[a, b][int(j > i)]) for j, b in enumerate(METRICS)]
        table.add_row(f"{i + 1} {named(a)}", *cells)
    return table


def _strategies(content: ComparisonRecord) -> Table:
    quantities = [name for name in TITLES if f"{name}_at_equal_trials" in content.tests]
    table = _table("strategy", "seeds", *quantities, "first feasible", "a suggestion", "charged")
    for name, entry in content.summary.items():
        first, thinking = entry.first_feasible.trials, entry.suggestion_s
        table.add_row(
            Text(name),
            str(entry.seeds),
            *(number(entry.medians.get(f"{quantity}_at_equal_trials")) for quantity in quantities),
            NOT_AVAILABLE if first is None else after_trials(first),
            NOT_AVAILABLE if thinking is None else short_seconds(thinking.median),
            short_seconds(entry.charged_s),
        )
    return table


def _cell(row: Row, name: str) -> Text:
    text = shown(name, row.metrics.get(name)).removesuffix(unit(name)).rstrip()
    relative = row.ratios.get(name)
    return Text(text if relative is None else f"{text} {shown_ratio(relative)}", justify="right")
