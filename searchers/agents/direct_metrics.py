"""What the device showed of the network before, as a part of the state: the ablation of S1.31 (Q19).

The thesis left direct metrics (latency, throughput, energy, …) out of the state, as they slowed convergence. A network
is measured once, after its last layer (S1.25), so what a walk can see are the metrics of the network before it. They
travel in the suggestion's notes, from which the state follows again when the trial is learned from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from moco.metrics import METRICS, Group
from moco.problem import Problem
from moco.trial import Trial, TrialState

NOTE = "direct"
LARGEST = 3.0  # of a feature: eight times the reference, or an eighth of it


class DirectMetrics:
    """The direct metrics of a problem's reference, by which those of a network are divided."""

    def __init__(self, problem: Problem, use: bool) -> None:
        """Find them; none where they are not to be used."""
        known = {name for name, metric in METRICS.items() if metric.group is Group.DIRECT}
        found = {name: value.value for name, value in problem.reference.items() if name in known and value.value > 0}
        self._reference: dict[str, float] = dict(sorted(found.items())) if use else {}
        self._last = [0.0] * len(self._reference)

    def __len__(self) -> int:
        return len(self._reference)

    def tell(self, trial: Trial) -> None:
        """Remember what a complete trial showed; what it lacks counts as the reference's."""
        if trial.state is TrialState.COMPLETE and trial.evaluation is not None:
            metrics = trial.evaluation.metrics
            shown = [(metrics[name].value if name in metrics else of, of) for name, of in self._reference.items()]
            self._last = [_logarithm(value / of) for value, of in shown]

    @property
    def notes(self) -> dict[str, Any]:
        """What the next walk sees, for its suggestion; nothing where it sees none."""
        return {NOTE: list(self._last)} if self._reference else {}

    def seen(self, notes: Mapping[str, Any]) -> np.ndarray:
        """(metrics,) that a walk saw: base-2 logarithms of the ratios; 0 of a start, which saw none."""
        found = notes.get(NOTE, ())
        return np.array(found if len(found) == len(self) else [0.0] * len(self), dtype=float)


def _logarithm(ratio: float) -> float:
    return max(-LARGEST, min(LARGEST, math.log2(ratio))) if ratio > 0 and math.isfinite(ratio) else 0.0
