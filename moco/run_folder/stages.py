"""The content of OUT/stages.json: what the stages of one experiment found, over size and accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from moco.run_folder.record import Record, left_out
from moco.run_folder.result import CertificateRecord
from moco.run_folder.trial_record import Delivered

STAGES_FILE, PAGE = "stages.json", "stages.html"


@dataclass(frozen=True, kw_only=True)
class FrontPoint(Record):
    """A network of a stage that is not worse than another one in both size and accuracy."""

    stage: int  # from 1 on
    trial: int
    metrics: Mapping[str, float]  # packed size, top-1 error on the search images, size of the file; in stored units
    before_recovery: Mapping[str, float] | None = left_out()  # errors, where that was asked for


@dataclass(frozen=True, kw_only=True)
class StageRecord(Record):
    """A stage that is over."""

    number: int  # from 1 on
    name: str
    folder: str  # its run folder, within that of the experiment
    methods: tuple[str, ...] = ()  # that it searched
    kept: tuple[str, ...] = ()  # what it kept of the stages before it, in words
    exit: str | None = None
    trials: int = 0
    processor_s: float | None = None
    points: tuple[tuple[float, float], ...] = ()  # (packed size in MB, top-1 error) of all its networks
    front: tuple[FrontPoint, ...] = ()  # its networks that keep its bounds
    best: Delivered | None = None  # what it delivered, and the next stage began with


@dataclass(frozen=True, kw_only=True)
class StagesRecord(Record):
    """What an experiment in stages found; all numbers are beside the original network."""

    experiment: str
    network: str | None = None
    planned: tuple[str, ...] = ()  # names of all its stages
    reference: Mapping[str, float] = field(default_factory=dict)  # metrics of the original network
    stages: tuple[StageRecord, ...] = ()  # those that are over, in their order
    front: tuple[FrontPoint, ...] = ()  # of all stages together
    delivered: str | None = None  # the folder of the last stage's network; None where there is none
    certificate: CertificateRecord | None = None  # of that network, against the original one
    holds: bool | None = None  # whether it keeps what was asked, on fresh evidence
    notes: tuple[str, ...] = ()
