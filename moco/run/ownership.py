"""One owner of a run folder and of a study in its ledger, for the life of a search."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from moco.errors import DeviceLostError, RunFolderError
from moco.file_lock import Lock
from moco.run_folder.manifest import Manifest
from moco.run_folder.writing import MANIFEST, opened
from moco.secret import Secret
from moco.tracking.database import ledger_address, ledger_lock


@contextmanager
def owned(out: Path, study: str | None, storage: Secret | None, *, resume: bool) -> Iterator[Lock]:
    """The run folder and the study of that name in its ledger, for one search alone; the ledger's lock is given.

    Args:
        study: None where the search keeps no ledger.
        storage: the ledger's database; None where it is in the run folder.

    Raises:
        RunFolderError: another search has one of them, or the folder is not one to search in.
    """
    address = ledger_address(out, storage)
    with opened(out, resume) as folder:
        lock = folder if study is None else ledger_lock(address, study)
        lock.warnings = tuple(dict.fromkeys((*folder.warnings, *lock.warnings)))
        advice = "start again" if study is None else "finished trials are kept, continue with --resume"
        try:
            yield lock
        except DeviceLostError as error:
            raise DeviceLostError(f"{error}; {advice} when the device is back") from error
        finally:
            lock.release()


def claim(out: Path, fingerprint: Mapping[str, str], older: Mapping[str, str] | None = None) -> Manifest | None:
    """The manifest of the search that is continued in `out`; None where none has begun.

    Args:
        older: parts of the fingerprint as earlier versions of moco made them; they are as good.

    Raises:
        RunFolderError: another experiment's search has begun in this folder; what differs is named.
    """
    path = out / MANIFEST
    try:
        manifest = Manifest.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (KeyError, TypeError):
        manifest = Manifest()
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path}: cannot be read: {error}") from None
    found = manifest.fingerprint
    if found is None:
        raise RunFolderError(f"{path}: not what a search writes; choose another --out")
    differing = [part for part, value in fingerprint.items() if found.get(part) not in {value, (older or {}).get(part)}]
    if differing:
        raise RunFolderError(
            f"{out}: belongs to another experiment ('{manifest.name}'): other {' and '.join(differing)}; only "
            "budget, tracking, certificate and store may change on --resume; choose another --out"
        )
    return manifest
