"""Exact costs of many policies at once: in this space they are sums over blocks of filters x bits.

`macs = c + sum_b m_b k_b`, `packed bytes = c + sum_b k_b (p_b w_b + q_b)` and `bops = c + sum_b o_b k_b w_b a`, with
k_b filters and w_b weight bits of block b and a activation bits of the network. The constants are read off the codec's
own cost function at a few policies, so there is one definition of each cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.recorded.space import ACTIVATION_BITS
from moco.space import SearchSpace

EXACT = ("macs", "parameters", "bops", "packed_size_mb")


@dataclass(frozen=True)
class ExactCosts:
    """Coefficients by cost, of the features of `_features`."""

    names: tuple[str, ...]
    coefficients: np.ndarray

    @staticmethod
    def of(space: SearchSpace) -> ExactCosts:
        """Solve for the coefficients at random policies, more of them than there are coefficients."""
        names, rng = tuple(space.distributions), np.random.default_rng(0)
        count = 4 * 4 * len(names)
        grids = [np.arange(d.low, d.high + 1, d.step) for d in space.distributions.values()]  # type: ignore[attr-defined]
        points = np.column_stack([rng.choice(grid, size=count) for grid in grids])
        costs = [space.cost(space.canonical(dict(zip(names, map(int, row), strict=True)))) for row in points]
        wanted = np.array([[cost[name] for name in EXACT] for cost in costs])
        features = _features(names, points)
        scale = np.abs(features).max(axis=0)
        solved = np.linalg.lstsq(features / scale, wanted, rcond=None)[0] / scale[:, None]
        return ExactCosts(names, solved)

    def __call__(self, points: np.ndarray) -> dict[str, np.ndarray]:
        """Costs by name, (n,) each, of points (n, n_parameters) in the space's order."""
        found = _features(self.names, points) @ self.coefficients
        return {name: found[:, column] for column, name in enumerate(EXACT)}


def _features(names: tuple[str, ...], points: np.ndarray) -> np.ndarray:
    """(n, 1 + 3 blocks): one, filters, filters x weight bits, filters x weight bits x activation bits."""
    keep = np.array([points[:, i] for i, name in enumerate(names) if name.endswith(".keep")], dtype=float).T
    weights = np.array([points[:, i] for i, name in enumerate(names) if name.endswith(".weight_bits")], dtype=float).T
    activations = points[:, [names.index(ACTIVATION_BITS)]]
    bits = keep * weights
    return np.column_stack([np.ones(len(points)), keep, bits, bits * activations, activations])
