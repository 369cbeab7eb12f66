"""A run folder for one search or comparison alone: owned, claimed for its plan, and the plan's job prepared in it."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from torch import nn

from moco.analysis.payoff.verdicts import PayOffReport
from moco.data import DataSets
from moco.data.description import InputDescription
from moco.errors import DeviceLostError, LostError, MocoError, RunFailedError, RunFolderError
from moco.file_lock import Lock
from moco.processor_clock import ProcessorClock
from moco.run.build import job_of
from moco.run.job import Job, Prepared, prepare
from moco.run.plan import JobPlan
from moco.run.progress import Progress
from moco.run.starts import from_records
from moco.run_folder.manifest import Manifest
from moco.run_folder.writing import LEDGER, MANIFEST, opened
from moco.secret import Secret
from moco.torch_threads import one_thread
from moco.tracking.database import ledger_address, ledger_lock

FILES = ".files"
"""Folder of the candidates' files while a search runs."""


@dataclass(frozen=True)
class RunSession:
    """A prepared job in its folder."""

    prepared: Prepared
    out: Path
    times: tuple[str, ...]  # when its sessions were started, this one last
    lock: Lock  # that it alone writes to its ledger
    clock: ProcessorClock  # of this session, since it began to prepare


@contextmanager
def owned(out: Path, study: str | None, storage: Secret | None, *, resume: bool) -> Iterator[Lock]:
    """The run folder and the study of that name in its ledger, for one search alone; the ledger's lock is given.

    `study` is None where the search keeps no ledger, `storage` where the ledger's database is in the run folder. A
    RunFolderError where another search has one of them, or the folder is not one to search in.
    """
    address = ledger_address(out, storage)
    with opened(out, resume) as folder:
        lock = folder if study is None else ledger_lock(address, study)
        lock.warnings = tuple(dict.fromkeys((*folder.warnings, *lock.warnings)))
        advice = "start again" if study is None else "finished trials are kept, continue with --resume"
        try:
            yield lock
        except LostError as error:
            back = " when the device is back" if isinstance(error, DeviceLostError) else ""
            error.args = (f"{error}; {advice}{back}",)
            raise
        except RunFailedError as error:
            if "--resume" not in str(error):
                error.args = (f"{error}; make room; {advice}",)
            raise
        finally:
            lock.release()


def claim(
    out: Path, fingerprint: Mapping[str, str], older: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> Manifest | None:
    """The manifest of the search that is continued in `out`; None where none has begun.

    `older` are parts of the fingerprint as earlier versions of moco made them; they are as good. A RunFolderError where
    another experiment's search has begun in this folder; what differs is named.
    """
    path = out / MANIFEST
    try:
        manifest = Manifest.read(path)
    except FileNotFoundError:
        return None
    except (KeyError, TypeError):
        manifest = Manifest()  # no fingerprint: told below
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path}: cannot be read: {error}") from None
    found = manifest.fingerprint
    if found is None:
        raise RunFolderError(f"{path}: not what a search writes; choose another --out")
    differing = [part for part, value in fingerprint.items() if found.get(part) not in (value, *older.get(part, ()))]
    if differing:
        raise RunFolderError(
            f"{out}: belongs to another experiment ('{manifest.name}'): other {' and '.join(differing)}; only "
            "budget, tracking, certificate and store may change on --resume; choose another --out"
        )
    return manifest


@contextmanager
def session(
    plan: JobPlan,
    out: Path,
    study: str,
    given: tuple[nn.Module | None, DataSets | None] = (None, None),
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> Iterator[RunSession]:
    """The plan's job, prepared in `out`; what an earlier session has measured and chosen there is kept.

    `study` is how the folder's search is called where others might run it too, `given` the network and data sets that
    come from Python in place of the plan's. A MocoError says what is wrong; another search may own the folder, or have
    begun there.
    """
    record, clock = plan.recording, ProcessorClock()
    lock_held = owned(out, study if record.ledger else None, record.storage, resume=resume)
    with lock_held as lock, one_thread(for_children=True), ExitStack() as stack:
        job = job_of(plan, *given, certified=True)
        begun = claim(out, job.fingerprint, record.older_settings)
        if begun and record.ledger and not record.storage and _is_gone(out / LEDGER):
            raise RunFolderError(
                f"{out / LEDGER}: the ledger is {'empty' if (out / LEDGER).exists() else 'gone'}, and with it the "
                f"record of this search; `moco repair {out}` begins a new one, or choose another --out"
            )
        if begun and not (record.ledger and (record.storage or (out / LEDGER).exists())):
            raise RunFolderError(
                f"{out}: nothing to resume, a search without a ledger (tracking.dashboard: false) keeps no trials; "
                "choose another --out"
            )
        if progress is not None:
            progress.step(f"preparing: tracing, exporting, scoring and timing the reference of {job.network_name}")
        job = replace(job, warnings=(*job.warnings, *lock.warnings))
        stack.push(partial(_forget_files, out))
        prepared = stack.enter_context(closing(_prepared(job, out / FILES, begun)))
        earlier = begun.sessions if begun else ()
        yield RunSession(prepared, out, (*earlier, dt.datetime.now(dt.UTC).isoformat(timespec="seconds")), lock, clock)


def _is_gone(ledger: Path) -> bool:
    return not ledger.exists() or not ledger.stat().st_size


def _forget_files(out: Path, kind: type[BaseException] | None, *_: object) -> None:
    """Remove the candidates' files of a search that is done, or refused before it began; others can be resumed."""
    refused = kind is not None and issubclass(kind, MocoError) and not issubclass(kind, LostError)
    if kind in (None, RunFolderError) or (refused and not (out / MANIFEST).exists()):
        shutil.rmtree(out / FILES, ignore_errors=True)


def _prepared(job: Job, files: Path, begun: Manifest | None) -> Prepared:
    """The prepared job; `begun` is what an earlier session has written, None where there was none."""
    if begun is not None:  # its files say what those of its first session said: an older moco's say nothing
        job = replace(job, description=InputDescription.from_json(begun.data.description or {}))
    begun = begun or Manifest()
    job = replace(job, fingerprint=begun.fingerprint or job.fingerprint)
    payoff = PayOffReport.from_json(begun.payoff) if begun.payoff else None
    starts = None if begun.starts is None else from_records(begun.starts)
    return prepare(job, files, begun.reference, payoff, starts)
