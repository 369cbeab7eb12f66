"""Keys of measurements that were asked for and not yet answered, kept in moco's home.

An agent measures nothing twice for one key. A client that lost the agent, or was killed, therefore asks for the same
measurement with the same key again; once it has the answer, the next one of the same files is another measurement.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from moco.errors import MeasurementError, RunFolderError
from moco.file_lock import FileLock
from moco.home import home
from moco.whole_file import write_bytes

FOLDER = "remote_measurements"
OLDEST_S = 86_400.0
"""After a day a measurement is taken anew: the device is no longer what it was."""


@contextmanager
def key_of(request: str) -> Iterator[str]:
    """The key to ask with for what the request, a hash of it, describes; kept where the block does not get an answer.

    Where another process asks for the same at this moment, or the home cannot be written, the key is not kept.
    """
    try:
        path = home() / FOLDER / f"{request}.key"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_suffix(".lock"), f"{path}: this is being measured", "wait for it")
    except (RunFolderError, OSError):
        yield uuid.uuid4().hex
        return
    with lock:
        key = _kept(path)
        try:
            yield key
        except MeasurementError:  # an answer too
            _forget(path)
            raise
        _forget(path)


def forget(request: str) -> None:
    """Ask with a new key from now on: what was asked for has been cancelled."""
    with suppress(OSError):
        _forget(home() / FOLDER / f"{request}.key")


def _kept(path: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):
        if time.time() - path.stat().st_mtime < OLDEST_S and (key := path.read_text("utf-8")):
            return key
    key = uuid.uuid4().hex
    with suppress(RunFolderError):  # without it a client that is killed measures once more
        write_bytes(path, key.encode())
    return key


def _forget(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
