"""A search in the report's words, for trackers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from moco.report.front_table import front_page, front_table
from moco.report.importance_numbers import importance_curves, importance_table
from moco.report.policy_text import in_short
from moco.report.search_numbers import anytime_curves, search_metrics
from moco.report.verdict import Status, verdict
from moco.run_folder.manifest import LayerRecord
from moco.run_folder.reading import RunFolder
from moco.tracking.shown_search import ShownSearch


class ReportWords:
    """Says of a search what its report says (`moco.tracking.shown_search.Presenter`)."""

    def policy(self, policy: Mapping[str, Any] | None, layers: Sequence[LayerRecord]) -> str:
        """A policy in a few words."""
        return in_short(policy, layers)

    def search(self, run: RunFolder) -> ShownSearch:
        """A finished search."""
        found = verdict(run.result, run.manifest.network.name)
        return ShownSearch(
            verdict=found.status.value,
            certified=found.status is Status.CERTIFIED,
            description=found.text,
            metrics=search_metrics(run.result),
            curves={**anytime_curves(run.trials, run.result.reference_point), **importance_curves(run.trials)},
            front=front_table(run),
            importance=importance_table(run.trials),
            figure=front_page(run),
        )
