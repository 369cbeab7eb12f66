"""A run folder for one search or comparison alone: claimed for its plan, and the plan's job prepared in it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from moco.analysis.payoff.verdicts import PayOffReport
from moco.data import DataSets
from moco.errors import RunFolderError
from moco.file_lock import Lock
from moco.run.build import job_of
from moco.run.job import Job, Prepared, prepare
from moco.run.ownership import claim, owned
from moco.run.plan import JobPlan
from moco.run.progress import Progress
from moco.run.starts import from_records
from moco.run_folder.manifest import Manifest
from moco.run_folder.writing import LEDGER
from moco.torch_threads import one_thread

FILES = ".files"
"""Folder of the candidates' files while a search runs."""


@dataclass(frozen=True)
class Session:
    """A prepared job in its folder.

    Attributes:
        times: when its sessions were started, this one last.
        lock: that it alone writes to its ledger.
    """

    prepared: Prepared
    out: Path
    times: tuple[str, ...]
    lock: Lock


@contextmanager
def session(
    plan: JobPlan,
    out: Path,
    study: str,
    given: tuple[nn.Module | None, DataSets | None] = (None, None),
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> Iterator[Session]:
    """The plan's job, prepared in `out`; what an earlier session has measured and chosen there is kept.

    Args:
        study: how the folder's search is called where others might run it too.
        given: network and data sets that come from Python in place of the plan's.

    Raises:
        MocoError: in one line, what is wrong; another search may own the folder, or have begun there.
    """
    record = plan.recording
    lock_held = owned(out, study if record.ledger else None, record.storage, resume=resume)
    with lock_held as lock, one_thread(for_children=True):
        job = job_of(plan, *given)
        begun = claim(out, job.fingerprint, record.older_settings)
        if begun and not (record.ledger and (record.storage or (out / LEDGER).exists())):
            raise RunFolderError(
                f"{out}: nothing to resume, a search without a ledger (tracking.dashboard: false) keeps no trials; "
                "choose another --out"
            )
        if progress is not None:
            progress.step(f"preparing: tracing, exporting, scoring and timing the reference of {job.network_name}")
        job = replace(job, warnings=(*job.warnings, *lock.warnings))
        with closing(_prepared(job, out / FILES, begun)) as prepared:
            earlier = begun.sessions if begun else ()
            yield Session(prepared, out, (*earlier, dt.datetime.now(dt.UTC).isoformat(timespec="seconds")), lock)


def _prepared(job: Job, files: Path, begun: Manifest | None) -> Prepared:
    """The prepared job; `begun` is what an earlier session has written, None where there was none."""
    if begun is None:
        begun = Manifest()
    job = replace(job, fingerprint=begun.fingerprint or job.fingerprint)
    payoff = PayOffReport.from_json(begun.payoff) if begun.payoff else None
    starts = None if begun.starts is None else from_records(begun.starts)
    return prepare(job, files, begun.reference, payoff, starts)
