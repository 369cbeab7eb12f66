"""Finished answers by their key, on disk: what was asked for once is answered again, and not done again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

PRUNE_EVERY = 50


class Answers:
    """A folder of answers: NAME.json, and NAME.f32 with the logits of those that have some."""

    def __init__(self, folder: Path, device: str, most: int, most_bytes: int) -> None:
        """Use the folder, made if need be, for answers of that device; at most so many, and bytes, are kept."""
        self.folder, self.device, self._most, self._most_bytes, self._new = folder, device, most, most_bytes, 0
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, key: str) -> Path:
        """Where the answer of that key lies, or will."""
        name = hashlib.sha256(f"{self.device} {key}".encode()).hexdigest()
        return self.folder / f"{name}.json"

    def get(self, key: str) -> dict[str, Any] | None:
        """The answer; None where there is none, or it cannot be read."""
        try:
            found = json.loads(self.path(key).read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def prune(self) -> None:
        """Drop the oldest beyond the bounds; looked at now and then."""
        self._new += 1
        if self._new % PRUNE_EVERY:
            return
        total = 0
        newest = sorted(self.folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for place, path in enumerate(newest):
            logits = path.with_suffix(".f32")
            total += path.stat().st_size + (logits.stat().st_size if logits.exists() else 0)
            if place >= self._most or total > self._most_bytes:
                path.unlink(missing_ok=True)
                logits.unlink(missing_ok=True)
