"""The evaluation store: SQLite beside the runs, so that nothing is evaluated twice (W21).

The key is a hash of everything that the result depends on; a new objective over old evaluations is answered from it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from moco.policy import Policy
from moco.store_table import StoreTable
from moco.trial import Evaluation


class EvaluationStore(StoreTable):
    """Evaluations by policy, for one context (network, data, recovery, runtime, machine, timing plan)."""

    kind = "evaluation"
    create = (
        # A power failure may cost the last evaluations, never the file; waiting for the disk cost 5 ms a candidate.
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = NORMAL",
        """CREATE TABLE IF NOT EXISTS evaluations
        (context TEXT, policy TEXT, evaluation TEXT, PRIMARY KEY (context, policy)) WITHOUT ROWID""",
    )

    def __init__(self, path: Path, context: Mapping[str, Any]) -> None:
        super().__init__(path, context)
        self.hits = self.misses = 0

    def get(self, policy: Policy, metrics: Collection[str] = ()) -> Evaluation | None:
        """The stored evaluation of the policy in this context, if it has these metrics; counted as a hit or a miss."""
        with self.doing("read"):
            found = self._stored(policy)
        if found is not None and not set(metrics) <= set(found.metrics):
            found = None
        self.hits, self.misses = (self.hits + 1, self.misses) if found else (self.hits, self.misses + 1)
        return found

    def all(self, metrics: Collection[str] = ()) -> list[tuple[Policy, Evaluation]]:
        """Every stored evaluation of this context that has these metrics, in the order of the policies' texts."""
        with self.doing("read"):
            rows = self.database.execute(
                "SELECT policy, evaluation FROM evaluations WHERE context = ? ORDER BY policy", (self.context,)
            ).fetchall()
        found = ((Policy(text), Evaluation.from_json(json.loads(evaluation))) for text, evaluation in rows)
        return [(policy, evaluation) for policy, evaluation in found if set(metrics) <= set(evaluation.metrics)]

    def put(self, policy: Policy, evaluation: Evaluation) -> None:
        """Store an evaluation; an earlier one of the same policy is kept unless it lacks a metric of this one."""
        with self.doing("written"):
            earlier = self._stored(policy)
            if earlier is not None and set(evaluation.metrics) <= set(earlier.metrics):
                return
            self.database.execute(
                "INSERT OR REPLACE INTO evaluations VALUES (?, ?, ?)",
                (self.context, policy.text, json.dumps(evaluation.to_json())),
            )

    def _stored(self, policy: Policy) -> Evaluation | None:
        row = self.database.execute(
            "SELECT evaluation FROM evaluations WHERE context = ? AND policy = ?", (self.context, policy.text)
        ).fetchone()
        return Evaluation.from_json(json.loads(row[0])) if row else None
