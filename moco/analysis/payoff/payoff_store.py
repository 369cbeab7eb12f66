"""Pay-offs that were measured before on this machine, in a table of the evaluation store's file."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from moco.analysis.payoff.verdicts import PayOff
from moco.errors import RunFolderError


class PayOffStore:
    """Pay-offs by geometry and precision, for one context: hardware fingerprint and plan."""

    def __init__(self, path: Path, context: Mapping[str, Any]) -> None:
        """Open or create the store.

        Args:
            context: JSON that, with the geometry and the precision, decides a pay-off.

        Raises:
            RunFolderError: the file cannot be opened or written.
        """
        self.path = path
        self.context = hashlib.sha256(json.dumps(context, sort_keys=True).encode()).hexdigest()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=30, isolation_level=None)
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS payoffs (context TEXT, geometry TEXT, precision TEXT, payoff TEXT, "
                "PRIMARY KEY (context, geometry, precision)) WITHOUT ROWID"
            )
        except (sqlite3.Error, OSError) as error:
            raise RunFolderError(f"{path}: the pay-off store cannot be opened: {error}; set `store: false`") from None

    def get(self, geometry: str, precisions: Sequence[str], min_gain: float) -> tuple[PayOff, ...] | None:
        """The stored pay-offs of a geometry, in these precisions; None where one is missing.

        Raises:
            RunFolderError: the store cannot be read.
        """
        try:
            rows = self._database.execute(
                "SELECT precision, payoff FROM payoffs WHERE context = ? AND geometry = ?", (self.context, geometry)
            ).fetchall()
        except sqlite3.Error as error:
            raise RunFolderError(f"{self.path}: the pay-off store cannot be read: {error}") from None
        found = {precision: PayOff.from_json(json.loads(payoff), min_gain) for precision, payoff in rows}
        if not set(precisions) <= set(found):
            return None
        return tuple(found[precision] for precision in precisions)

    def put(self, payoffs: Sequence[PayOff]) -> None:
        """Store pay-offs, in place of earlier ones of the same geometry and precision.

        Raises:
            RunFolderError: the store cannot be written.
        """
        rows = [(self.context, p.geometry, p.precision, json.dumps(p.to_json())) for p in payoffs]
        try:
            self._database.executemany("INSERT OR REPLACE INTO payoffs VALUES (?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise RunFolderError(f"{self.path}: the pay-off store cannot be written: {error}") from None

    def close(self) -> None:
        """Close the file."""
        self._database.close()
