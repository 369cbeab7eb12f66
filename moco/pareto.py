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


def front(trials: Iterable[Trial], feasible_only: bool = True) -> list[Trial]:
    """The complete trials that no other dominates, by their first loss; infeasible ones left out unless asked for."""
    candidates = [t for t in trials if t.outcome is not None and (t.feasible or not feasible_only)]
    keep = non_dominated([t.outcome.losses for t in candidates if t.outcome is not None])
    chosen = [t for t, kept in zip(candidates, keep, strict=True) if kept]
    return sorted(chosen, key=lambda t: t.outcome.losses if t.outcome is not None else ())
