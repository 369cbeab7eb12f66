"""Files that are written whole or not at all, whatever ends the process meanwhile."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from moco.errors import RunFailedError, RunFolderError

OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""Errors of a disk that is full or broken: a failure, and no fault of what was asked."""


@contextmanager
def writes(what: str) -> Iterator[None]:
    """Within, `what` is written; a RunFolderError, or a RunFailedError of a full disk, says that it cannot be."""
    try:
        yield
    except OSError as error:
        kind = RunFailedError if error.errno in OF_THE_DISK else RunFolderError
        raise kind(f"{what} cannot be written: {error.strerror or error}") from None


def write_bytes(path: Path, content: bytes) -> None:
    """Write the file, so that readers see the old content or the new one; its folder is made where it is not there.

    A RunFolderError where that fails, or a RunFailedError.
    """
    partial = path.with_name(path.name + ".partial")
    with writes(f"{path}:"):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            partial.replace(path)
        except OSError:
            with suppress(OSError):
                partial.unlink()
            raise
