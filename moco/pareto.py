"""Dominance, the Pareto archive and the hypervolume. All losses: smaller is better."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import moocore
import numpy as np

from moco.trial import Trial


def non_dominated(losses: Sequence[Sequence[float]] | np.ndarray) -> np.ndarray:
    """Mask (n,) of the points that no other dominates; of equal points the first is kept."""
    if not len(losses):
        return np.zeros(0, dtype=bool)
    return np.asarray(moocore.is_nondominated(np.asarray(losses, dtype=float), keep_weakly=False), dtype=bool)


def hypervolume(losses: Sequence[Sequence[float]] | np.ndarray, reference_point: Sequence[float] | np.ndarray) -> float:
    """Volume dominated by the points (n, m) and bounded by the reference point (m,); 0 for no points."""
    if not len(losses):
        return 0.0
    return float(moocore.hypervolume(np.asarray(losses, dtype=float), ref=np.asarray(reference_point, dtype=float)))


def front(trials: Iterable[Trial]) -> list[Trial]:
    """The feasible trials that no other dominates, by their first loss."""
    candidates = [(trial.outcome.losses, trial) for trial in trials if trial.feasible and trial.outcome is not None]
    keep = non_dominated([losses for losses, _ in candidates])
    chosen = [candidate for candidate, kept in zip(candidates, keep, strict=True) if kept]
    return [trial for _, trial in sorted(chosen, key=lambda candidate: candidate[0])]
