"""What `moco distill` has found: the content of student.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from moco.run_folder.record import Record

FORMAT = 1
FILE = "student.json"


@dataclass(frozen=True, kw_only=True)
class FileRecord(Record):
    """A network as a file, on images that neither training nor choice has seen, and timed beside the teacher.

    Attributes:
        name: `teacher`, or the student's name, seed and precision.
        file: in the run folder; None of the teacher.
        accuracy: top-1 on the certification images, with its exact 95 % interval (Clopper-Pearson).
        change_pp: of that accuracy against the teacher's on the same images, in points, and its 95 % interval; None of
            the teacher.
        metrics, intervals: on the search split, and as timed; 95 %.
    """

    name: str
    file: str | None = None
    sha256: str | None = None
    accuracy: float
    accuracy_interval: tuple[float, ...]
    change_pp: float | None = None
    change_interval: tuple[float, ...] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SeedRecord(Record):
    """One student: what its training took, and its files, that in float first."""

    seed: int
    epochs: float
    steps: int
    processor_s: float  # of the training, with the teacher's answers that were asked for in it
    losses: tuple[float, ...]  # mean of each epoch
    weights: str  # in the run folder
    files: tuple[FileRecord, ...]


@dataclass(frozen=True, kw_only=True)
class StudentRecord(Record):
    """All students of a run; `best` is the seed that erred least on the search split, in float."""

    experiment: str
    teacher: FileRecord
    student: str
    training: str
    images: int  # of the certification split
    hardware: Mapping[str, str]
    seeds: tuple[SeedRecord, ...]
    best: int
    format: int = FORMAT

    @property
    def chosen(self) -> SeedRecord:
        """The best seed."""
        return next(one for one in self.seeds if one.seed == self.best)
