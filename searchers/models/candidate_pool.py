"""Candidates for a model to choose from: children of good points, in the unit cube, always on the space's own grid.

| child | of |
|---|---|
| mutant | one parent, by a few moves |
| crossed | two, by exchanging whole layer groups or single values; half of them are moved too |
| shifted | one, all parameters of a kind (or a random half of them) moved the same way |
| new | none: uniform |

A discrete parameter moves by whole places, a continuous one by a normal step whose size is drawn anew for every child,
a categorical one to any other choice.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution

from moco.searchers.steps.ladder import kinds
from moco.space import SearchSpace, n_values

SHARES = (0.5, 0.8, 0.92)  # a uniform number below the first makes a mutant, then crossed, shifted and new ones
MOST_MOVES = 4  # parameters of a mutant that move, 1 to this many, all numbers alike
SMALLEST, LARGEST = 0.01, 0.3  # standard deviation of a continuous step, drawn between these evenly in its logarithm
FAR = 0.3  # share of discrete moves that go two places instead of one


class CandidatePool:
    """Makes children in the unit cube of a space (n_parameters coordinates in the space's order)."""

    def __init__(self, space: SearchSpace, ordered: Collection[str] = ()) -> None:
        """`ordered`: choices that move by places, as they are listed."""
        names = list(space.distributions)
        self._sizes = np.array([_places(distribution) for distribution in space.distributions.values()])
        self._is_choice = np.array(
            [isinstance(d, CategoricalDistribution) and name not in ordered for name, d in space.distributions.items()]
        )
        self._kinds = _members(names, kinds(space).values())
        self._groups = _members(names, [group.parameters for group in space.groups])
        if not len(self._groups):
            self._groups = np.eye(len(names), dtype=bool)
        self._group_counts = self._groups.astype(float)

    def children(self, parents: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
        """(count, n_parameters) children of parents (k, n_parameters)."""
        one, other = parents[rng.integers(len(parents), size=(2, count))]
        how = np.searchsorted(SHARES, rng.random(count), side="right")
        crossed = self._crossed(one, other, rng)
        child = np.where((how == 1)[:, None], crossed, one)
        few = self._few(count, rng) & ((how == 0) | ((how == 1) & (rng.random(count) < 0.5)))[:, None]
        alike, way = self._of_a_kind(count, rng)
        shifted = alike & (how == 2)[:, None]
        signs = np.where(shifted, way[:, None], rng.choice([-1.0, 1.0], size=child.shape))
        child = self._moved(child, few | shifted, signs, rng)
        child = np.where((how == 3)[:, None], rng.random(child.shape), child)
        return self.on_grid(child)

    def on_grid(self, points: np.ndarray) -> np.ndarray:
        """The points with each discrete coordinate in the middle of its value's interval."""
        sizes = np.maximum(self._sizes, 1)
        places = np.clip(np.floor(points * sizes), 0, sizes - 1)
        return np.asarray(np.where(self._sizes > 0, (places + 0.5) / sizes, np.clip(points, 0.0, 1.0)))

    def _crossed(self, one: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Each layer group from either parent; with probability 1/2 each value instead."""
        count, parameters = one.shape
        # Numpy multiplies truth values element by element; counts go by BLAS.
        by_group = (rng.random((count, len(self._groups))) < 0.5).astype(float) @ self._group_counts > 0
        by_value = rng.random((count, parameters)) < 0.5
        return np.where(np.where(rng.random((count, 1)) < 0.5, by_group, by_value), other, one)

    def _few(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """(count, n_parameters) which parameters move: 1 to `MOST_MOVES` of them."""
        drawn = rng.random((count, len(self._sizes)))
        moves = rng.integers(1, MOST_MOVES + 1, size=(count, 1))
        if drawn.shape[1] <= MOST_MOVES:
            return np.asarray(np.argsort(np.argsort(drawn, axis=1), axis=1) < moves)
        least = np.sort(np.partition(drawn, MOST_MOVES, axis=1)[:, : MOST_MOVES + 1], axis=1)
        return np.asarray(drawn < np.take_along_axis(least, moves, axis=1))

    def _of_a_kind(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(count, n_parameters) the members of a kind, all or a random half of them, and (count,) which way they go."""
        way = rng.choice([-1.0, 1.0], size=count)
        if not len(self._kinds):
            return self._few(count, rng), way
        members = self._kinds[rng.integers(len(self._kinds), size=count)]
        half = rng.random(members.shape) < 0.5
        return members & (half | (rng.random((count, 1)) < 0.5)), way

    def _moved(self, points: np.ndarray, moves: np.ndarray, signs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The points (count, n_parameters) with these coordinates moved; beyond an end a move stops there."""
        count, sizes = len(points), np.maximum(self._sizes, 1)
        spread = np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST), size=(count, 1)))
        places = (1 + (rng.random(points.shape) < FAR)) * np.maximum(1, np.round(spread * sizes / 3))
        steps = np.where(self._sizes > 0, places / sizes, np.abs(rng.normal(size=points.shape)) * spread)
        chosen = (points + rng.integers(1, np.maximum(sizes, 2), size=points.shape) / sizes) % 1.0
        moved = np.where(self._is_choice, chosen, np.clip(points + signs * steps, 0.0, 1.0 - 1e-9))
        return np.where(moves, moved, points)


def _places(distribution: BaseDistribution) -> int:
    """Number of equal intervals that the values cut their axis into; 0 where it is continuous or logarithmic."""
    return 0 if getattr(distribution, "log", False) else n_values(distribution) or 0


def _members(names: list[str], groups: object) -> np.ndarray:
    """(groups, n_parameters) which parameters are of which group; groups without any are left out."""
    rows = [[name in set(group) for name in names] for group in groups if group]  # type: ignore[attr-defined]
    return np.array(rows, dtype=bool).reshape(len(rows), len(names))
