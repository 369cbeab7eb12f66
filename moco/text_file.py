"""Text files of the user's: regular files of a bounded size, so that no reader waits or fills the memory."""

from __future__ import annotations

import errno
import stat
from pathlib import Path


def read_text(path: Path, most_bytes: int) -> str:
    """The UTF-8 text of a file, a byte order mark left out.

    Raises:
        OSError: it is not there or not readable, no regular file (a FIFO has no end), or larger; `strerror` says which.
        UnicodeDecodeError: it is not UTF-8.
    """
    try:
        found = path.stat()
    except ValueError as error:  # a NUL in the name
        raise OSError(errno.EINVAL, str(error)) from None
    if stat.S_ISDIR(found.st_mode):
        raise OSError(errno.EISDIR, "it is a folder")
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    if found.st_size > most_bytes:
        raise OSError(errno.EFBIG, f"it has {found.st_size} bytes, expected at most {most_bytes}")
    return path.read_text(encoding="utf-8-sig")
