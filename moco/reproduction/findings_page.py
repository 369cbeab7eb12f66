"""docs/findings.md: one table of all cards and findings, each line with what was found in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from moco.reproduction.card import Card
from moco.reproduction.findings.registry import FINDINGS
from moco.reproduction.raw import Raw
from moco.reproduction.record import evidence_for

INTRODUCTION = """# Findings

What holds of the published systems' findings, and which of their tables were measured again. This page is written by
`moco reproduce --findings docs/findings.md` from the raw results of the cards; no figure in it is typed by hand.
Networks and data are stand-ins that fit two processor cores: a verdict is one about those that its sentence names, not
about the published ones. `inconclusive` says that the test could tell neither the claim nor its opposite; `not run`,
that no card has given evidence. How verdicts are made: [reproducing](reproducing.md).
"""


def findings_page(cards: Mapping[str, Card], raws: Mapping[str, Sequence[Raw]]) -> str:
    """The page; `raws` by card."""
    lines = [INTRODUCTION, "| what | found |", "|---|---|"]
    lines += [_card_line(card, raws.get(name, ())) for name, card in cards.items()]
    for name, finding in FINDINGS.items():
        evidence = [
            one for card, found in raws.items() if name in cards[card].findings for one in evidence_for(name, found)
        ]
        judgement = finding.judged(evidence)
        lines.append(f"| {name} {judgement.outcome} | {finding.claim} {judgement.sentence} |")
    lines += ["", "## Tests and rules", "", "| finding | test | effect | with 95 % interval | p | n | rule |"]
    lines.append("|---|---|---|---|---|---|---|")
    for name, finding in FINDINGS.items():
        evidence = [
            one for card, found in raws.items() if name in cards[card].findings for one in evidence_for(name, found)
        ]
        found = finding.judged(evidence)
        value = "n/a" if found.effect is None else f"{found.effect:.4g}"
        ends = "" if found.low is None or found.high is None else f" ({found.low:.4g} to {found.high:.4g})"
        p = "n/a" if found.p is None else f"{found.p:.2g}"
        lines.append(
            f"| {name} | {finding.test} | {finding.effect} | {value}{ends} | {p} | {found.observations} "
            f"| {finding.rule} |"
        )
    return "\n".join(lines) + "\n"


def _card_line(card: Card, raws: Sequence[Raw]) -> str:
    title = f"[{card.title}](cards/{card.file_name}.md)" if raws else card.title
    if card.needs or not raws:
        why = f": {card.needs}" if card.needs else ": nobody has measured it here yet; moco reproduce " + card.id
        return f"| {card.id} not run | {title}. Not run{why}. |"
    rows = {(row.name, row.network) for raw in raws for row in raw.rows}
    networks = ", ".join(sorted({network for _, network in rows}))
    absent = f"; {_count(len(card.absences), 'published row')} cannot be shown here" if card.absences else ""
    return (
        f"| {card.id} run ({raws[0].scale}) | {title}: {_count(len(rows), 'row')} on {networks}, "
        f"{_count(len(raws), 'seed')}{absent}. |"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
