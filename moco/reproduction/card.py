"""A card: a published table or figure, and what measures it again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from moco.reproduction.raw import Raw, RawRow
from moco.reproduction.setting import Drawn, Setting


class Scale(StrEnum):
    """How much of a card is run: a part within minutes, or as much as was published."""

    SMALL = "small"
    FULL = "full"


Published = Mapping[str, Mapping[str, str]]
"""The printed values as texts, by row and column: those of other networks and data, to be compared in kind."""


@dataclass(frozen=True)
class Absence:
    """A row of a published table that cannot be measured here, and why."""

    row: str
    network: str
    reason: str

    def as_row(self, columns: Sequence[str]) -> RawRow:
        """The row: every column absent for that reason."""
        return RawRow(name=self.row, network=self.network, absent=dict.fromkeys(columns, self.reason))


@dataclass(frozen=True, kw_only=True)
class Card:
    """A published table or figure.

    Attributes:
        id: of the reference's section 2.1, such as `T1.AG`.
        system: whose it is.
        columns: of its rows, metrics of moco or columns of its own.
        runner: measures one seed.
        findings: those that it gives evidence for.
        absences: rows that cannot be shown here.
        seeds, minutes: by scale, how many seeds are run, and what one takes on two cores at most.
        files: whether it needs CIFAR-10 and its trained networks, by scale.
        aliases: other names that it goes by.
        figure: draws its raw results of all seeds, as SVG; None where it has no figure of its own.
        needs: what is missing before it can be measured at all; empty where it can.
    """

    id: str
    title: str
    system: str
    columns: tuple[str, ...]
    runner: Callable[[Setting], Drawn]
    published: Published = field(default_factory=dict)
    findings: tuple[str, ...] = ()
    absences: tuple[Absence, ...] = ()
    seeds: Mapping[Scale, int] = field(default_factory=lambda: {Scale.SMALL: 3, Scale.FULL: 5})
    minutes: Mapping[Scale, float] = field(default_factory=lambda: {Scale.SMALL: 10, Scale.FULL: 720})
    files: frozenset[Scale] = frozenset({Scale.FULL})
    aliases: tuple[str, ...] = ()
    figure: Callable[[Sequence[Raw]], str] | None = None
    needs: str = ""

    @property
    def file_name(self) -> str:
        """What its files are called."""
        return self.id.replace("/", "_")
