"""The run folder of `moco distill`: whose it is, what of it stands already, and what is removed at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moco.errors import RunFolderError
from moco.run_folder.writing import EXPERIMENT, LEDGER, MANIFEST, RESULT, STUDENT, opened, read_yaml, write_yaml
from moco.students.record import StudentRecord, read_record

TRAININGS = "seed*/training-*.safetensors"
"""Where trainings stand, until all are done."""
FREE = frozenset({"tracking", "store", "budget", "workers", "compare", "baselines", "searcher", "finalists", "folder"})
"""Sections that no student depends on: they may differ when a run is continued."""


@contextmanager
def claimed(out: Path, written: Mapping[str, Any], *, resume: bool) -> Iterator[StudentRecord | None]:
    """The folder for this run alone, with its experiment; what it has found where it is finished already, else None.

    A RunFolderError where the folder holds something and is not to be continued, another experiment's run, or another
    process works there.
    """
    with opened(out, resume):
        path = out / EXPERIMENT
        if any((out / name).exists() for name in (LEDGER, MANIFEST, RESULT)):
            raise RunFolderError(f"{out}: holds a search, which is none of a student's; choose another --out")
        if path.exists() and not resume:
            raise RunFolderError(f"{out}: holds results already; continue them with --resume or choose another --out")
        if path.exists():
            _check_same(path, written)
        write_yaml(path, dict(written))
        yield read_record(out) if (out / STUDENT).exists() else None


def forget_trainings(out: Path) -> None:
    """Remove where trainings stood, once all that they gave is written."""
    for path in out.glob(TRAININGS):
        path.unlink()


def _check_same(path: Path, written: Mapping[str, Any]) -> None:
    """Pass the experiment that the folder was begun with, but for sections that no student depends on."""
    before = read_yaml(path)
    if not isinstance(before, dict):
        raise RunFolderError(f"{path}: expected sections of an experiment; choose another --out")
    differing = sorted(key for key in {*before, *written} - FREE if before.get(key) != written.get(key))
    if differing:
        raise RunFolderError(
            f"{path.parent}: belongs to another run: other {' and '.join(differing)}; set them back, or choose "
            "another --out"
        )
