"""A lock across processes on a device of this machine: who times something on it has it alone."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

Waiting = Callable[[], AbstractContextManager[object]]
"""Entered while the lock is waited for, to account for the time."""


class DeviceLock:
    """Held while a device is timed; other processes on this machine that time the same device wait."""

    def __init__(self, device: Mapping[str, Any]) -> None:
        """Name the lock by what the target says of its device (`Target.describe`)."""
        name = hashlib.sha256(json.dumps(dict(device), sort_keys=True, default=str).encode()).hexdigest()[:16]
        self.path = Path(tempfile.gettempdir()) / f"moco-{os.getuid()}-{name}.lock"

    @contextmanager
    def held(self, waiting: Waiting = nullcontext) -> Iterator[None]:
        """Hold the lock for a block. The kernel frees it when the process ends, however it ends."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with waiting():
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
