"""A teacher that is prepared once, and a run that is finished once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from moco.experiment.build import Overrides, build_job, untracked
from moco.experiment.student import distilled, load_student
from moco.run.job import Prepared, prepare
from moco.students.record import StudentRecord
from tests.students.lessons import lesson


@dataclass(frozen=True)
class Finished:
    """A run of `moco distill` that came to its end."""

    experiment: Path
    out: Path
    record: StudentRecord


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One student, taught by the golden files' network."""
    folder = tmp_path_factory.mktemp("finished")
    path = lesson(folder)
    out = folder / "run"
    record = distilled(load_student(path, allow_import=True), out, modules=folder)
    return Finished(path, out, record)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    """The same teacher, ready for its students."""
    folder = tmp_path_factory.mktemp("prepared")
    experiment = untracked(load_student(lesson(folder), allow_import=True))
    job = build_job(experiment, folder / "run", Overrides(folder=folder))
    with closing(prepare(replace(job, profile_only=True), folder)) as found:
        yield found
