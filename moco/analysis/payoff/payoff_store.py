"""Pay-offs that were measured before on this machine, in a table of the evaluation store's file."""

from __future__ import annotations

import json
from collections.abc import Sequence

from moco.analysis.payoff.verdicts import PayOff
from moco.store_table import StoreTable


class PayOffStore(StoreTable):
    """Pay-offs by geometry and precision, for one context: hardware fingerprint and plan."""

    kind = "pay-off"
    create = (
        """CREATE TABLE IF NOT EXISTS payoffs (context TEXT, geometry TEXT, precision TEXT, payoff TEXT,
        PRIMARY KEY (context, geometry, precision)) WITHOUT ROWID""",
    )

    def get(self, geometry: str, precisions: Sequence[str], min_gain: float) -> tuple[PayOff, ...] | None:
        """The stored pay-offs of a geometry, in these precisions; None where one is missing.

        Raises:
            RunFolderError: the store cannot be read.
        """
        with self.doing("read"):
            rows = self.database.execute(
                "SELECT precision, payoff FROM payoffs WHERE context = ? AND geometry = ?", (self.context, geometry)
            ).fetchall()
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
        with self.doing("written"):
            self.database.executemany("INSERT OR REPLACE INTO payoffs VALUES (?, ?, ?, ?)", rows)
