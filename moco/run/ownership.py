"""One owner of a run folder and of a study in its ledger, for the life of a search."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moco.errors import DeviceLostError
from moco.file_lock import Lock
from moco.run_folder.writing import ledger_address, opened
from moco.secret import Secret
from moco.tracking.database import ledger_lock


@contextmanager
def owned(out: Path, study: str | None, storage: Secret | None, *, resume: bool) -> Iterator[Lock]:
    """The run folder and the study of that name in its ledger, for one search alone; the ledger's lock is given.

    Args:
        study: None where the search keeps no ledger.
        storage: the ledger's database; None where it is in the run folder.

    Raises:
        RunFolderError: another search has one of them, or the folder is not one to search in.
    """
    with opened(out, resume) as folder:
        lock = folder if study is None else ledger_lock(ledger_address(out, storage), study)
        lock.warnings = tuple(dict.fromkeys((*folder.warnings, *lock.warnings)))
        advice = "start again" if study is None else "finished trials are kept, continue with --resume"
        try:
            yield lock
        except DeviceLostError as error:
            raise DeviceLostError(f"{error}; {advice} when the device is back") from error
        finally:
            lock.release()
