"""A card as it is written: rows over all seeds, beside the published values, and the judgements it bears on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from moco.reproduction.card import Card, Scale
from moco.reproduction.finding import Judgement
from moco.reproduction.findings.registry import FINDINGS
from moco.reproduction.raw import DataFacts, Raw, RawRow
from moco.reproduction.statistics import mean_interval, rounded
from moco.run_folder.record import Record


@dataclass(frozen=True, kw_only=True)
class Cell(Record):
    """A column of a row over its seeds.

    The interval is Student's over the seeds where there are three or more, else that of the one measurement.
    """

    n_seeds: int
    mean: float
    sd: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Row(Record):
    """A row of a card; `absent` says why a column has no value, `published` what was printed in its place."""

    name: str
    network: str
    action: str
    searcher: str
    protocol: str
    budget: str
    fine_tuned: str
    n_seeds: int
    values: Mapping[str, Cell]
    absent: Mapping[str, str]
    published: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class JudgedFinding(Record):
    """A finding with what this card's own evidence says of it."""

    id: str
    claim: str
    test: str
    rule: str
    effect: str
    judgement: Judgement


@dataclass(frozen=True, kw_only=True)
class CardRecord(Record):
    """The content of cards/<id>.json."""

    id: str
    title: str
    system: str
    scale: str
    seeds: tuple[int, ...]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    findings: tuple[JudgedFinding, ...]
    hardware: tuple[str, ...]
    data: Mapping[str, DataFacts] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


SEEDS_FOR_AN_INTERVAL = 3


def record_of(card: Card, scale: Scale, raws: Sequence[Raw]) -> CardRecord:
    """The card of these seeds; rows that cannot be shown here stand at the end."""
    found: dict[tuple[str, str], list[RawRow]] = {}
    for raw in raws:
        for row in raw.rows:
            found.setdefault((row.name, row.network), []).append(row)
    for absence in card.absences:
        found.setdefault((absence.row, absence.network), []).append(absence.as_row(card.columns))
    return CardRecord(
        id=card.id,
        title=card.title,
        system=card.system,
        scale=str(scale),
        seeds=tuple(raw.seed for raw in raws),
        columns=card.columns,
        rows=tuple(_row(card, rows) for rows in found.values()),
        findings=tuple(_judged(name, raws) for name in card.findings),
        hardware=tuple(dict.fromkeys(raw.hardware for raw in raws if raw.hardware)),
        data={name: facts for raw in reversed(raws) for name, facts in raw.data.items()},
        notes=tuple(dict.fromkeys(note for raw in raws for note in raw.notes)),
    )


def evidence_for(finding: str, raws: Sequence[Raw]) -> list[dict[str, object]]:
    """What the seeds have kept for a finding: a mapping an entry, lists of them joined."""
    found: list[dict[str, object]] = []
    for raw in raws:
        kept = raw.evidence.get(finding)
        entries = kept if isinstance(kept, list) else [] if kept is None else [kept]
        found += [{"seed": raw.seed, **entry} for entry in entries]
    return found


def _judged(name: str, raws: Sequence[Raw]) -> JudgedFinding:
    finding = FINDINGS[name]
    judgement = finding.judged(evidence_for(name, raws))
    return JudgedFinding(
        id=name, claim=finding.claim, test=finding.test, rule=finding.rule, effect=finding.effect, judgement=judgement
    )


def _row(card: Card, rows: Sequence[RawRow]) -> Row:
    first = rows[0]
    cells = {column: _cell(rows, column) for column in card.columns}
    values = {column: cell for column, cell in cells.items() if cell is not None}
    absent = {column: first.absent.get(column, "not measured") for column in card.columns if column not in values}
    return Row(
        name=first.name,
        network=first.network,
        action=first.action,
        searcher=first.searcher,
        protocol=first.protocol,
        budget=first.budget,
        fine_tuned=first.fine_tuned,
        n_seeds=0 if not values else len(rows),
        values=values,
        absent=absent,
        published=card.published.get(first.name, {}),
    )


def _cell(rows: Sequence[RawRow], column: str) -> Cell | None:
    readings = [row.values[column] for row in rows if column in row.values]
    if not readings:
        return None
    values = [reading.value for reading in readings]
    mean, low, high = mean_interval(values)
    if len(values) < SEEDS_FOR_AN_INTERVAL:
        ends = [(one.low, one.high) for one in readings]
        known = [(one, other) for one, other in ends if one is not None and other is not None]
        low, high = (min(one for one, _ in known), max(other for _, other in known)) if known else (np.inf, np.inf)
    sd = None if len(values) < 2 else rounded(float(np.std(values, ddof=1)))
    return Cell(n_seeds=len(values), mean=float(f"{mean:.6g}"), sd=sd, low=rounded(low), high=rounded(high))
