"""What a tracker shows of a search, and who says it: reports know the words, trackers only write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from moco.run_folder.manifest import LayerRecord
from moco.run_folder.reading import RunFolder

MOST_METRICS = 40
"""Of a search's own run: those that searches are compared by. More of them hide each other in a tracker's tables."""


@dataclass(frozen=True)
class ShownSearch:
    """A finished search as a tracker shows it."""

    verdict: str  # the name of the outcome (moco.report.verdict.Status)
    certified: bool  # whether a floor was asked, and holds on unseen images
    description: str  # the verdict's sentence
    metrics: Mapping[str, float]
    curves: Mapping[str, Mapping[int, float]]  # metrics with a value after each trial, counted from 1
    front: Sequence[Mapping[str, Any]]  # a row a network by column; None where a cell is empty
    importance: Sequence[Mapping[str, Any]]  # a row a parameter: what decided the score
    figure: str | None  # the front against all trials, as an HTML page


class Presenter(Protocol):
    """Says a search in a report's words."""

    def policy(self, policy: Mapping[str, Any] | None, layers: Sequence[LayerRecord]) -> str:
        """A policy in a few words."""

    def search(self, run: RunFolder) -> ShownSearch:
        """A finished search."""
