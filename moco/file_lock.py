"""A lock by a file, held for the life of a process: freed by the kernel when the process dies, however it dies."""

from __future__ import annotations

import errno
import json
import os
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from moco.errors import RunFolderError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_WITHOUT_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL}
"""What a file system answers that has no locks."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock."""

    pid: int
    host: str
    since: str  # time at which it was taken, ISO 8601, UTC

    @staticmethod
    def here() -> Holder:
        """This process, from now on."""
        return Holder(os.getpid(), socket.gethostname(), datetime.now(UTC).isoformat(timespec="seconds"))

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"


def holder_of(path: Path) -> Holder | None:
    """Who holds the lock on that file, which is only looked at; None where nobody does, or it cannot be told."""
    with suppress(OSError), path.open("rb") as file:
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(file.fileno())
    return None


class Lock:
    """That one search alone does something, until it is released. By itself it locks nothing, as `warnings` may say."""

    def __init__(self, *warnings: str) -> None:
        """Lock nothing."""
        self.warnings = warnings

    def confirm(self) -> bool:
        """Whether it was held all the time since it was taken; False where it was lost and could be taken again.

        A RunFolderError where another search has it now.
        """
        return True

    def release(self) -> None:
        """Let the next one in."""


class FileLock(Lock):
    """A lock on a file of its own, which names the holder while it is held and is removed afterwards.

    The kernel takes it from nobody who lives. On Linux it works across machines on NFS too, unless it is mounted with
    `local_lock`. Where the file system or the system has no such locks, nothing is locked and `warnings` says so.
    """

    def __init__(self, path: Path, held: str, advice: str) -> None:
        """Take the lock at once.

        `held`, such as `runs/a: a search is running there`, begins a refusal, `advice` ends it: a RunFolderError that
        names another process, or another search of this one, that holds the lock. An OSError where the file cannot be
        made.
        """
        super().__init__()
        self.path = path
        self._descriptor: int | None = None
        self._pid = os.getpid()
        while (descriptor := self._try(held, advice)) is not None and not self._is_at_path(descriptor):
            _close(descriptor)  # its last holder has just removed it
        self._descriptor = descriptor
        if descriptor is None:
            self.warnings = (f"{path}: there are no locks here; see to it that no second search uses the same folder",)
            return
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(asdict(Holder.here())).encode(), 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Release it."""
        self.release()

    def release(self) -> None:
        """Remove the file and let the next one in; a forked child, which does not hold the lock, does nothing."""
        if self._descriptor is None or self._pid != os.getpid():
            return
        with suppress(OSError):
            if self._is_at_path(self._descriptor):
                self.path.unlink()
        _close(self._descriptor)
        self._descriptor = None

    def _try(self, held: str, advice: str) -> int | None:
        """The open and locked file; None where locks do not exist."""
        if fcntl is None:
            return None
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        closed_in_children(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(descriptor)
            _close(descriptor)
            raise RunFolderError(f"{held}, by {holder or 'another process'}; {advice}") from None
        except OSError as error:
            _close(descriptor)
            if error.errno not in _WITHOUT_LOCKS:
                raise
            return None
        return descriptor

    def _is_at_path(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(self.path.stat(), os.fstat(descriptor))
        except FileNotFoundError:
            return False


_OPEN: set[int] = set()
"""Descriptors that a forked child must not keep: a lock lives until the last copy of its descriptor is closed."""


def closed_in_children(descriptor: int) -> None:
    """Have the descriptor closed in every child that is forked from now on; a child that runs a program has none."""
    _OPEN.add(descriptor)


def open_in_children(descriptor: int) -> None:
    """The descriptor is closed, or no longer of concern."""
    _OPEN.discard(descriptor)


def _close(descriptor: int) -> None:
    open_in_children(descriptor)
    os.close(descriptor)


def _holder(descriptor: int) -> Holder | None:
    """Who has written the file; None where it is not yet written."""
    try:
        return Holder(**json.loads(os.pread(descriptor, 4096, 0)))
    except (OSError, ValueError, TypeError):
        return None


def _close_all_in_child() -> None:
    for descriptor in _OPEN:
        with suppress(OSError):
            os.close(descriptor)
    _OPEN.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_all_in_child)
