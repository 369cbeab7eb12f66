"""What `moco distill` has found: the content of student.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moco.errors import RunFolderError
from moco.run_folder.record import Record
from moco.run_folder.result import BoundRecord, CertificateRecord
from moco.run_folder.writing import STUDENT
from moco.store_table import MALFORMED

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class FileRecord(Record):
    """A network as a file, on images that neither training nor choice has seen, and timed beside the teacher.

    Attributes:
        name: `teacher`, or the student's name, precision and seed.
        file: in the run folder; None of the teacher.
        accuracy: top-1 on the certification images, with its exact 95 % interval (Clopper-Pearson).
        change_pp: of that accuracy against the teacher's on the same images, in points, and its 95 % interval; None of
            the teacher.
        metrics, intervals: on the search split, and as timed; 95 %.
        feasible: on the search split, with the floor; None of the teacher, and where a metric is not known.
        bounds: all but the floor, by the pessimistic ends of the timing.
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
    feasible: bool | None = None
    bounds: tuple[BoundRecord, ...] = ()


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
    """All students of a run; `best` is the name of the file that is delivered."""

    experiment: str
    teacher_network: str
    teacher: FileRecord
    student: str
    training: str
    images: int  # of the certification split
    hardware: Mapping[str, Any]  # of the target
    versions: Mapping[str, str]
    data: Mapping[str, str]  # hash of the images by set
    created: str  # time at which it was finished, ISO 8601, UTC
    processor_s: float  # of this session, the trainings' seconds of earlier ones included
    seeds: tuple[SeedRecord, ...]
    best: str
    certificate: CertificateRecord
    warnings: tuple[str, ...] = ()
    format: int = FORMAT

    @property
    def delivered(self) -> FileRecord:
        """The file that is delivered."""
        return next(file for one in self.seeds for file in one.files if file.name == self.best)

    @property
    def chosen(self) -> SeedRecord:
        """The student that is delivered."""
        return next(one for one in self.seeds if any(file.name == self.best for file in one.files))

    @property
    def holds(self) -> bool:
        """Whether the floor, where one is asked for, and every bound hold on fresh evidence."""
        return self.certificate.holds is not False and all(bound.holds for bound in self.certificate.bounds)


def read_record(out: Path) -> StudentRecord:
    """What student.json of a run folder tells; a RunFolderError where there is none, or it is not readable."""
    try:
        return StudentRecord.from_json(json.loads((out / STUDENT).read_text(encoding="utf-8")))
    except (OSError, *MALFORMED) as error:
        raise RunFolderError(
            f"{out / STUDENT}: expected what moco distill writes, got {type(error).__name__}"
        ) from None
