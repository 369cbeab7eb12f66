"""Files by their SHA-256, streamed to disk and kept within a bound."""

from __future__ import annotations

import asyncio
import hashlib
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path


class FileStore:
    """A folder of files, each named by its SHA-256."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        """Use the folder, made if need be; parts of uploads that were broken off are removed."""
        self.folder, self.parts, self._most = folder, folder.with_name("parts"), most_bytes
        for each in (self.folder, self.parts):
            each.mkdir(parents=True, exist_ok=True)
        for part in self.parts.iterdir():
            part.unlink()

    def has(self, sha256: str) -> bool:
        """Whether the file is there; it counts as used now."""
        with suppress(FileNotFoundError):
            os.utime(self.folder / sha256)
            return True
        return False

    def drop(self, sha256: str) -> None:
        """Keep the file no longer."""
        (self.folder / sha256).unlink(missing_ok=True)

    async def receive(self, sha256: str, chunks: AsyncIterator[bytes]) -> str:
        """The SHA-256 of what came; it is kept where it is the one expected, and whatever fails leaves nothing."""
        part, digest = self.parts / uuid.uuid4().hex, hashlib.sha256()
        try:
            with part.open("wb") as file:
                async for chunk in chunks:
                    digest.update(chunk)
                    file.write(chunk)
                file.flush()
                await asyncio.to_thread(os.fsync, file.fileno())  # a power failure must not leave half a file
            if digest.hexdigest() == sha256:
                part.replace(self.folder / sha256)
                self._thin_out()
            return digest.hexdigest()
        finally:
            part.unlink(missing_ok=True)

    def _thin_out(self) -> None:
        kept = sorted(self.folder.iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        total = 0
        for path in kept:
            total += path.stat().st_size
            if total > self._most and path != kept[0]:
                path.unlink(missing_ok=True)
