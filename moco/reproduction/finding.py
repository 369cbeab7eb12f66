"""A finding: one plain claim, and the test that says of raw results whether it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from moco.reproduction.subjects import SUBJECTS
from moco.run_folder.record import Record

Evidence = Sequence[Mapping[str, Any]]
"""What the seeds of the cards of a finding have kept for it, a mapping a seed and card."""


class Outcome(StrEnum):
    """What can be said of a claim."""

    HOLDS = "holds"
    FAILS = "fails"
    INCONCLUSIVE = "inconclusive"
    NOT_RUN = "not run"


@dataclass(frozen=True, kw_only=True)
class Judgement(Record):
    """What a test says: the outcome, the effect with its 95 % interval, and how many observations it rests on.

    Attributes:
        sentence: what was found, for a reader who does not know the test.
        p: of the named test, where it gives one.
    """

    outcome: str
    sentence: str
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    observations: int = 0


@dataclass(frozen=True)
class Finding:
    """A finding of a published system.

    Attributes:
        id: `Q01` to `Q21`.
        claim: in one plain sentence.
        test: the name of the statistical test.
        rule: when the claim counts as false, decided before anything was measured.
        effect: what the number is that the judgement states as its effect.
        judge: the test on evidence of at least one seed.
        needs: what is missing where no card gives evidence yet.
    """

    id: str
    claim: str
    test: str
    rule: str
    effect: str
    judge: Callable[[Evidence], Judgement]
    needs: str = ""

    def judged(self, evidence: Evidence) -> Judgement:
        """The judgement; `not run`, with what is missing, where there is no evidence."""
        if not evidence:
            why = self.needs or "no card with evidence for it has been run"
            return Judgement(outcome=Outcome.NOT_RUN, sentence=f"Not run: {why}.")
        found = self.judge(evidence)
        return replace(found, sentence=f"{found.sentence} {_measured_on(evidence)}")


def _measured_on(evidence: Evidence) -> str:
    """The networks with their images, and the number of seeds, that a judgement rests on."""
    networks = sorted({str(one["network"]) for one in evidence if "network" in one})
    told = [SUBJECTS[name].told if name in SUBJECTS else name for name in networks]
    seeds = len({one.get("seed", 0) for one in evidence})
    where = f" on {', '.join(told)}" if told else ""
    return f"Measured{where}; {seeds} seed{'' if seeds == 1 else 's'}."
