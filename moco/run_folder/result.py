"""The content of RUN/result.json: what a search found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from moco.run_folder.manifest import GroupRecord, SpaceRecord
from moco.run_folder.record import Record, as_json, left_out
from moco.run_folder.trial_record import Baseline, Delivered, TrialSummary


@dataclass(frozen=True, kw_only=True)
class Objective(Record):
    """What was asked: the protocol, and its wish in words."""

    protocol: str | None = None
    text: str | None = None


@dataclass(frozen=True, kw_only=True)
class TrialsAndSeconds(Record):
    """So many trials, so many seconds: a budget, whose None is no limit, or when a run got somewhere."""

    trials: int | None = None
    seconds: float | None = None
    processor_seconds: float | None = left_out()


DONE, UNCERTIFIED, INFEASIBLE = "done", "uncertified", "infeasible"
"""How a search ends: as asked, with a floor that does not hold on unseen images, or with a best effort or nothing."""

SAMPLES = "samples_"  # what the key of an interval's samples begins with; their unit follows


@dataclass(frozen=True)
class Interval(Record):
    """A metric measured again, longer: the estimate and its two-sided 95 % interval, in the metric's unit.

    `samples` are the raw samples in `unit`, the reference's and the candidate's; empty where the metric is derived.
    """

    value: float
    low: float
    high: float
    samples: tuple[tuple[float, ...], ...] = ()
    unit: str = "ms"

    def to_json(self) -> dict[str, Any]:
        """As JSON; the key of the samples bears their unit."""
        ends = {name: getattr(self, name) for name in ("value", "low", "high")}
        return {**ends, f"{SAMPLES}{self.unit}": as_json(self.samples)}

    @classmethod
    def from_json(cls, data: Any) -> Interval:
        """The interval that `to_json` wrote."""
        key = next((name for name in data if name.startswith(SAMPLES)), f"{SAMPLES}ms")
        return super().from_json({**data, "samples": data.get(key), "unit": key.removeprefix(SAMPLES)})


@dataclass(frozen=True, kw_only=True)
class HypervolumeRecord(Record):
    """The front's hypervolume and the losses that it is taken from; None where no reference point was given."""

    value: float | None = None
    reference_point: tuple[float, ...] | Mapping[str, float] | None = None


@dataclass(frozen=True, kw_only=True)
class StartRecord(Record):
    """A start: whether it counted in the budget, and its trial; None where the budget ended before it."""

    name: str
    counted: bool
    trial: int | None = None


@dataclass(frozen=True, kw_only=True)
class FinalistRecord(Record):
    """A network that was trained on after the search, as it was after one round, or its weights in other bits."""

    trial: int  # its own, of which the metrics are
    of: int  # the trial whose network was trained
    round: int  # from 0 on
    steps: int  # of all its rounds together
    processor_s: float | None = None  # that the training of this round took; None where it failed
    bits_of: int | None = left_out()  # the finalist whose trained weights it has, in other bits


@dataclass(frozen=True, kw_only=True)
class AttemptRecord(Record):
    """A candidate's test on the certification split, in the terms of its certificate."""

    candidate: int | str | None = None
    estimate: float | str | None = None
    lower_bound: float | str | None = None
    lost: int | None = None
    gained: int | None = None
    holds: bool | None = None
    trial: int | None = None


@dataclass(frozen=True, kw_only=True)
class BoundRecord(Record):
    """A bound but the floor, against the pessimistic end of the longer measurement."""

    metric: str
    bound: str | float | None = None
    estimate: float | None = None
    upper: float | None = None  # the pessimistic end: the lower one of what is to be large
    confidence: float | None = None
    holds: bool | None = None


@dataclass(frozen=True, kw_only=True)
class CertificateRecord(Record):
    """What is promised of the delivered network, also the content of best/certificate.json.

    Estimate and lower bound are in the floor's terms: a difference to the reference, or an accuracy.
    """

    statement: str | None = None
    floor: float | str | None = None  # None where the protocol has none
    estimate: float | str | None = None
    lower_bound: float | str | None = None
    confidence: float | None = None
    images: int | None = None
    method: str | None = None
    holds: bool | None = None
    attempts: tuple[AttemptRecord, ...] = ()
    bounds: tuple[BoundRecord, ...] = ()
    relative: bool | None = None  # whether the floor is a difference; None where an older result does not say
    sha256: str | None = None  # of the delivered file

    @property
    def in_points(self) -> bool:
        """Whether its numbers are differences to the reference, in points."""
        if self.relative is not None:
            return self.relative
        return not (isinstance(self.floor, (int, float)) and self.floor > 0)


@dataclass(frozen=True, kw_only=True)
class Rival(Record):
    """A baseline that was made beside the search, measured at its end as the delivered network was.

    Its accuracy on the certification images is measured, not certified: it was no candidate.
    """

    name: str
    metrics: Mapping[str, float] = field(default_factory=dict)  # with the derived ones; errors on the search split
    intervals: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # 95 %, of errors and of what was timed
    feasible: bool | None = None  # on the search split
    unseen: AttemptRecord | None = None  # on the certification images, in the certificate's terms
    bounds: tuple[BoundRecord, ...] = ()  # all but the floor
    holds: bool | None = None  # floor and bounds, on fresh evidence
    better: bool = False  # than the delivered network: it holds, and what is asked for is better beyond the intervals
    processor_s: float | None = None  # to build, train, score and time it
    note: str | None = None  # what that leaves out
    file: str | None = None  # in the run folder
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class ClassRecord(Record):
    """Top-1 accuracy on the certification images of one class, those of the reference and of the delivered network."""

    label: int
    images: int
    reference: float  # a share of them
    network: float


@dataclass(frozen=True, kw_only=True)
class CacheRecord(Record):
    """Evaluations that were known already, and those that were computed."""

    hits: int | None = None
    misses: int | None = None


@dataclass(frozen=True, kw_only=True)
class Result(Record):
    """What a search found."""

    experiment: str
    network: str | None = None
    description: Mapping[str, Any] | None = left_out()  # of its images and classes: names, size, normalisation
    searcher: str
    seed: int
    exit: str | None = None  # `done`, `uncertified` or `infeasible`; older versions wrote `done` for `uncertified` too
    stopped: bool | None = left_out()  # whether its user ended it before its budget was spent
    objective: Objective = Objective()
    objectives: tuple[str, ...] = ()  # names in the order of the losses
    reference: Mapping[str, float]  # metrics of the uncompressed network
    trials: int  # how many were told
    given: int = 0  # how many of them came beside the budget
    distinct: int | None = None
    feasible: int | None = None
    budget: TrialsAndSeconds | None = None
    failure: str | None = left_out()  # why trials failed most often, where not one is complete
    best: Delivered | None = None
    retimed: Mapping[str, Interval | None] = field(default_factory=dict)  # the longer timing of the delivered network
    intervals: Mapping[str, tuple[float | None, ...] | None] = field(default_factory=dict)  # 95 %, of its metrics
    front: tuple[TrialSummary, ...] = ()
    hypervolume: HypervolumeRecord = HypervolumeRecord()
    finalists: tuple[FinalistRecord, ...] | None = left_out()  # None where the search asked for none
    processor_s: float | None = (
        left_out()
    )  # of the processor, from preparing until the winner was certified, siblings included
    starts: tuple[StartRecord, ...] = ()
    baselines: tuple[Baseline, ...] = ()  # starts
    rivals: tuple[Rival, ...] = ()  # baselines that were made beside the search
    certificate: CertificateRecord | None = None
    per_class: tuple[ClassRecord, ...] = ()  # by label; classes without an image are left out
    seconds: Mapping[str, float | None] = field(default_factory=dict)  # by stage, with `other` and `total`
    cache: CacheRecord = CacheRecord()
    space: SpaceRecord = field(default_factory=SpaceRecord)
    warnings: tuple[str, ...] = ()

    @property
    def groups(self) -> tuple[GroupRecord, ...]:
        """The layer groups of its space; empty where it does not say."""
        return self.space.groups or ()

    @property
    def reference_point(self) -> tuple[float, ...] | None:
        """Losses that hypervolumes are taken from, in the order of the objectives."""
        point = self.hypervolume.reference_point
        if not isinstance(point, Mapping):
            return None if point is None else tuple(map(float, point))
        named = self.objectives and all(name in point for name in self.objectives)
        return tuple(float(point[name]) for name in self.objectives) if named else None
