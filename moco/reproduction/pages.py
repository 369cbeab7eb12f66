"""A card as Markdown and as a page."""

from __future__ import annotations

from html import escape

from moco.metrics import METRICS, shown
from moco.reproduction.record import CardRecord, Cell, JudgedFinding, Row

NOT_THERE = "n/a"
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem;max-width:80rem}table{border-collapse:collapse}"
    "td,th{border:1px solid #ccc;padding:.3rem .5rem;text-align:left;vertical-align:top}div{overflow-x:auto}"
)


def markdown(record: CardRecord, figure: str | None = None) -> str:
    """The card as a Markdown page; `figure` is the file of its figure, beside it."""
    lines = [f"# {record.id}: {record.title}", "", *(f"{text}  " for text in _facts(record)), ""]
    for finding in record.findings:
        lines += [f"- {_verdict(finding)}", *(f"  - {text}" for text in _test(finding))]
    lines += [] if figure is None else ["", f"![{record.title}]({figure})"]
    head = ["row", "network", "searcher", "budget", "fine-tuned", "seeds", *map(_label, record.columns)]
    lines += ["", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(text.replace('|', '/') for text in _cells(record, row))} |" for row in record.rows]
    lines += ["", *_absences(record), *(f"- {note}" for note in record.notes)]
    return "\n".join(lines).rstrip() + "\n"


def page(record: CardRecord, figure: str | None = None) -> str:
    """The card as a page, complete in itself; `figure` is SVG."""
    head = ["row", "network", "searcher", "budget", "fine-tuned", "seeds", *map(_label, record.columns)]
    table = [_tr(head, "th"), *(_tr(_cells(record, row), "td") for row in record.rows)]
    findings = [_li(_verdict(one) + " " + " ".join(_test(one))) for one in record.findings]
    notes = [_li(text.removeprefix("- ")) for text in (*_absences(record), *record.notes)]
    body = [
        f"<h1>{escape(record.id)}: {escape(record.title)}</h1>",
        *(f"<p>{escape(text)}</p>" for text in _facts(record)),
        f"<ul>{''.join(findings)}</ul>",
        figure or "",
        f"<div><table>{''.join(table)}</table></div>",
        f"<ul>{''.join(notes)}</ul>",
    ]
    title = escape(f"{record.id}: {record.title}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _facts(record: CardRecord) -> list[str]:
    seeds = ", ".join(map(str, record.seeds)) or "none"
    facts = [f"System {record.system}, scale {record.scale}, seeds {seeds}."]
    facts += [f"Measured on: {line}." for line in record.hardware]
    for name, data in record.data.items():
        splits = ", ".join(f"{split} {size}" for split, size in data.splits.items())
        facts.append(f"{name}: {data.source}, content {data.sha256}, images: {splits}.")
    return facts


def _verdict(finding: JudgedFinding) -> str:
    return f"{finding.id} {finding.judgement.outcome}: {finding.claim} {finding.judgement.sentence}"


def _test(finding: JudgedFinding) -> list[str]:
    found = finding.judgement
    ends = "" if found.low is None or found.high is None else f" ({found.low:.4g} to {found.high:.4g})"
    effect = NOT_THERE if found.effect is None else f"{found.effect:.4g}{ends}"
    p = "" if found.p is None else f", p = {found.p:.2g}"
    return [f"{finding.test}; {finding.effect}: {effect}{p}, n = {found.observations}.", f"Rule: {finding.rule}"]


def _cells(record: CardRecord, row: Row) -> list[str]:
    facts = [row.name, row.network, row.searcher, row.budget, row.fine_tuned, str(row.n_seeds)]
    return [*facts, *(_value(row, column) for column in record.columns)]


def _value(row: Row, column: str) -> str:
    cell = row.values.get(column)
    ours = NOT_THERE if cell is None else _shown(column, cell)
    printed = row.published.get(column)
    return ours if printed is None else f"{ours}; published: {printed}"


def _shown(column: str, cell: Cell) -> str:
    def text(value: float) -> str:
        return shown(column, value) if column in METRICS else f"{value:.4g}"

    spread = "" if cell.sd is None else f" ± {text(cell.sd)}"
    ends = "" if cell.low is None or cell.high is None else f" [{text(cell.low)}, {text(cell.high)}]"
    return f"{text(cell.mean)}{spread}{ends}"


def _label(column: str) -> str:
    return column.replace("_", " ") if column not in METRICS else METRICS[column].label or column.replace("_", " ")


def _absences(record: CardRecord) -> list[str]:
    told: dict[str, list[str]] = {}
    for row in record.rows:
        for column, reason in row.absent.items():
            told.setdefault(f"{row.name}, {row.network}: {reason}", []).append(column)
    return [
        f"- {who} ({'every column' if len(columns) == len(record.columns) else ', '.join(columns)})"
        for who, columns in told.items()
    ]


def _tr(cells: list[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _li(text: str) -> str:
    return f"<li>{escape(text)}</li>"
