"""The evaluation store: SQLite in `MOCO_HOME`, so that nothing is evaluated twice (W21).

The key is a hash of everything that the result depends on; a new objective over old evaluations is answered from it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import replace
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
        found = self._stored(policy)
        if found is not None and not set(metrics) <= set(found.metrics):
            found = None
        self.hits, self.misses = (self.hits + 1, self.misses) if found else (self.hits, self.misses + 1)
        return found

    def all(self, metrics: Collection[str] = ()) -> list[tuple[Policy, Evaluation]]:
        """Every stored evaluation of this context that has these metrics, in the order of the policies' texts."""
        rows = self.rows("SELECT policy, evaluation FROM evaluations WHERE context = ? ORDER BY policy", self.context)
        found = ((self.parsed(text, Policy.of), self.parsed(evaluation, _evaluation)) for text, evaluation in rows)
        pairs = [(policy, evaluation) for policy, evaluation in found if policy is not None and evaluation is not None]
        return [(policy, evaluation) for policy, evaluation in pairs if set(metrics) <= set(evaluation.metrics)]

    def put(self, policy: Policy, evaluation: Evaluation) -> None:
        """Store an evaluation; an earlier one of the same policy is kept unless it lacks a metric of this one."""
        earlier = self._stored(policy)
        if earlier is None or not set(evaluation.metrics) <= set(earlier.metrics):
            row = self.context, policy.text, json.dumps(evaluation.to_json())
            self.write("INSERT OR REPLACE INTO evaluations VALUES (?, ?, ?)", [row])

    def disown(self, policy: Policy) -> None:
        """Forget a policy whose evaluation was a hit, and turned out to be none."""
        self.hits, self.misses = self.hits - 1, self.misses + 1
        self.forget(policy)

    def forget(self, policy: Policy) -> None:
        """Take out what is stored of the policy, which has turned out to be wrong."""
        self.write("DELETE FROM evaluations WHERE context = ? AND policy = ?", [(self.context, policy.text)])

    def _stored(self, policy: Policy) -> Evaluation | None:
        query = "SELECT evaluation FROM evaluations WHERE context = ? AND policy = ?"
        rows = self.rows(query, self.context, policy.text)
        return self.parsed(rows[0][0], _evaluation) if rows else None


def _evaluation(data: Any) -> Evaluation:
    """The evaluation of a row; a ValueError or the like where one of its numbers is none."""
    found = Evaluation.from_json(data)
    for name, metric in found.metrics.items():
        for number in (metric.value, 0.0 if metric.sem is None else metric.sem):
            if isinstance(number, bool) or not math.isfinite(number):
                raise ValueError(f"{name} is {number!r}")
    return replace(found, seconds={stage: float(spent) for stage, spent in found.seconds.items()})
