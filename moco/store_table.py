"""A table of the evaluation store's file, SQLite beside the runs, whose rows hold for one context."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moco.errors import RunFolderError


class StoreTable:
    """A table; what is read of it or written to it is read or written within `doing`."""

    kind: str  # of the store, for errors
    create: Sequence[str]  # the statements that make the table where it is not there

    def __init__(self, path: Path, context: Mapping[str, Any]) -> None:
        """Open or create the store for a context of JSON; a RunFolderError where the file cannot be opened."""
        self.path = path
        # Of all that decides a row beside its own key.
        self.context = hashlib.sha256(json.dumps(context, sort_keys=True).encode()).hexdigest()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.database = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
            for statement in self.create:
                self.database.execute(statement)
        except (sqlite3.Error, OSError) as error:
            raise RunFolderError(
                f"{path}: the {self.kind} store cannot be opened: {error}; set `store: false`"
            ) from None

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Name the file, in a RunFolderError, where it cannot be `read` or `written`."""
        try:
            yield
        except sqlite3.Error as error:
            raise RunFolderError(f"{self.path}: the {self.kind} store cannot be {what}: {error}") from None

    def close(self) -> None:
        """Close the file."""
        self.database.close()
