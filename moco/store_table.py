"""A table of the evaluation store's file, SQLite, whose rows hold for one context.

It is a cache: what cannot be read of it is measured again, what cannot be written is not kept, and neither ends a
search. `warnings` tells it, once.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

WAIT_S = 5.0
"""How long another process may hold the file; after that the store is done without."""
MALFORMED = (AttributeError, LookupError, RecursionError, TypeError, ValueError, ArithmeticError)
"""What is raised by reading a row that moco has not written, or not to the end."""


class StoreTable:
    """A table; after the first error of the database's it holds nothing and takes nothing."""

    kind: str  # of the store, for warnings
    create: Sequence[str]  # the statements that make the table where it is not there

    def __init__(self, path: Path, context: Mapping[str, Any]) -> None:
        """Open or create the store for a context of JSON."""
        self.path = path
        self._problems: dict[str, str] = {}  # by their kind, the first of each
        # Of all that decides a row beside its own key.
        self.context = hashlib.sha256(json.dumps(context, sort_keys=True).encode()).hexdigest()
        self._database: sqlite3.Connection | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
            self._database.text_factory = lambda text: text.decode(errors="replace")  # one bad row is one row's fault
            for statement in self.create:
                self._database.execute(statement)
        except (sqlite3.Error, OSError) as error:
            self._do_without("opened", error)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with the file, and what was done about it."""
        return tuple(self._problems.values())

    def rows(self, query: str, *values: Any) -> list[Any]:
        """What the query finds; nothing where the file cannot be read."""
        if self._database is None:
            return []
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            self._do_without("read", error)
            return []

    def write(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Execute a statement for each row, where the file can be written."""
        if self._database is None:
            return
        try:
            self._database.executemany(statement, rows)
        except (sqlite3.Error, UnicodeEncodeError) as error:
            self._do_without("written", error)

    def parsed(self, row: str, parse: Callable[[Any], T]) -> T | None:
        """What a row holds, as `parse` makes it of its JSON; None where it is malformed."""
        try:
            return parse(json.loads(row))
        except MALFORMED as error:
            self.tell("row", f"a row cannot be used ({type(error).__name__}: {str(error)[:100]}); it is measured anew")
            return None

    def tell(self, about: str, problem: str) -> None:
        """Keep a problem for `warnings`, unless there is one of its kind already."""
        self._problems.setdefault(about, f"{self.path}: the {self.kind} store: {problem}")

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            with suppress(sqlite3.Error):
                self._database.close()

    def _do_without(self, what: str, error: Exception) -> None:
        self.tell(
            "file",
            f"it cannot be {what}: {error}; all is measured anew and nothing more is kept there; move the file away, "
            "or set `store: false`",
        )
        self.close()
        self._database = None
