"""The evaluation store: SQLite beside the runs, so that nothing is evaluated twice (W21).

The key is a hash of everything that the result depends on; a new objective over old evaluations is answered from it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from moco.errors import RunFolderError
from moco.policy import Policy
from moco.trial import Evaluation


class EvaluationStore:
    """Evaluations by policy, for one context (network, data, recovery, runtime, machine, timing plan)."""

    def __init__(self, path: Path, context: Mapping[str, Any]) -> None:
        """Open or create the store.

        Args:
            context: JSON that, with the policy, decides an evaluation.

        Raises:
            RunFolderError: the file cannot be opened or written.
        """
        self.path = path
        self.context = hashlib.sha256(json.dumps(context, sort_keys=True).encode()).hexdigest()
        self.hits = self.misses = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
            # A power failure may cost the last evaluations, never the file; waiting for the disk cost 5 ms a candidate.
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS evaluations "
                "(context TEXT, policy TEXT, evaluation TEXT, PRIMARY KEY (context, policy)) WITHOUT ROWID"
            )
        except (sqlite3.Error, OSError) as error:
            raise RunFolderError(
                f"{path}: the evaluation store cannot be opened: {error}; set `store: false`"
            ) from None

    def get(self, policy: Policy, metrics: Collection[str] = ()) -> Evaluation | None:
        """The stored evaluation of the policy in this context, if it has these metrics; counted as a hit or a miss.

        Raises:
            RunFolderError: the store cannot be read.
        """
        try:
            found = self._stored(policy)
        except sqlite3.Error as error:
            raise RunFolderError(f"{self.path}: the evaluation store cannot be read: {error}") from None
        if found is not None and not set(metrics) <= set(found.metrics):
            found = None
        self.hits, self.misses = (self.hits + 1, self.misses) if found else (self.hits, self.misses + 1)
        return found

    def all(self, metrics: Collection[str] = ()) -> list[tuple[Policy, Evaluation]]:
        """Every stored evaluation of this context that has these metrics, in the order of the policies' texts.

        Raises:
            RunFolderError: the store cannot be read.
        """
        try:
            rows = self._database.execute(
                "SELECT policy, evaluation FROM evaluations WHERE context = ? ORDER BY policy", (self.context,)
            ).fetchall()
        except sqlite3.Error as error:
            raise RunFolderError(f"{self.path}: the evaluation store cannot be read: {error}") from None
        found = ((Policy(text), Evaluation.from_json(json.loads(evaluation))) for text, evaluation in rows)
        return [(policy, evaluation) for policy, evaluation in found if set(metrics) <= set(evaluation.metrics)]

    def put(self, policy: Policy, evaluation: Evaluation) -> None:
        """Store an evaluation; an earlier one of the same policy is kept unless it lacks a metric of this one.

        Raises:
            RunFolderError: the store cannot be written.
        """
        try:
            earlier = self._stored(policy)
            if earlier is not None and set(evaluation.metrics) <= set(earlier.metrics):
                return
            self._database.execute(
                "INSERT OR REPLACE INTO evaluations VALUES (?, ?, ?)",
                (self.context, policy.text, json.dumps(evaluation.to_json())),
            )
        except sqlite3.Error as error:
            raise RunFolderError(f"{self.path}: the evaluation store cannot be written: {error}") from None

    def _stored(self, policy: Policy) -> Evaluation | None:
        row = self._database.execute(
            "SELECT evaluation FROM evaluations WHERE context = ? AND policy = ?", (self.context, policy.text)
        ).fetchone()
        return Evaluation.from_json(json.loads(row[0])) if row else None

    def close(self) -> None:
        """Close the file."""
        self._database.close()
