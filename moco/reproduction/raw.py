"""What a seed of a card has measured: rows of values with intervals, what was not measured and why, and evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from moco.metrics import METRICS, interval
from moco.run_folder.record import Record
from moco.trial import MetricValue

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Reading(Record):
    """A value, with the ends of its 95 % interval where the one measurement gives one."""

    value: float
    low: float | None = None
    high: float | None = None

    @staticmethod
    def of(name: str, metric: MetricValue) -> Reading:
        """A metric with the interval of its standard error; of a count without one."""
        if metric.sem is None or name not in METRICS:
            return Reading(value=metric.value)
        low, high = interval(name, metric.value, metric.sem)
        return Reading(value=metric.value, low=low, high=high)


@dataclass(frozen=True, kw_only=True)
class RawRow(Record):
    """A row of a card as one seed has it.

    Attributes:
        name: of the row in the published table, such as `CP`; rows of several seeds are joined by it and the network.
        fine_tuned: `no`, or what was trained and for how long.
        values: by column; what could not be measured stands in `absent`, with the reason.
    """

    name: str
    network: str
    action: str = "none"
    searcher: str = "none"
    protocol: str = "none"
    budget: str = "none"
    fine_tuned: str = "no"
    values: Mapping[str, Reading] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DataFacts(Record):
    """Which images a network was scored on."""

    source: str
    sha256: str  # of the contents of the training and the test set
    splits: Mapping[str, int]  # images by split
    fingerprints: Mapping[str, str]  # of the rows of each split


@dataclass(frozen=True, kw_only=True)
class Raw(Record):
    """All that one seed of a card has measured; `evidence` is what findings are judged by, JSON by finding.

    `hardware` is the line of the machine and runtime that it was measured on.
    """

    card: str
    scale: str
    seed: int
    rows: tuple[RawRow, ...]
    evidence: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, DataFacts] = field(default_factory=dict)  # by network
    hardware: str = ""
    moco: str | None = None  # the version that measured it; None in files from before versions were kept
    notes: tuple[str, ...] = ()
    format: int = FORMAT
