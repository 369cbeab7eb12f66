"""The front of a surrogate, by a long evolutionary search over it and then by trying every neighbour of the front."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from moco.pareto import hypervolume, non_dominated

POPULATION, GENERATIONS, RESTARTS = 300, 150, 3
Losses = Callable[[np.ndarray], np.ndarray]
"""(n, 2) losses of places (n, n_parameters) in the grids."""


def surrogate_front(
    losses: Losses, sizes: np.ndarray, reference: np.ndarray, starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Places and losses of the non-dominated policies below the reference point, by their first loss.

    Args:
        sizes: (n_parameters,) number of values of each parameter.
        starts: (k, n_parameters) places of good policies to begin with.
    """
    best, values = _kept(starts, losses(starts), reference)
    for restart in range(RESTARTS):
        rng = np.random.default_rng(restart)
        found, found_values = best, values
        for _ in range(GENERATIONS):
            children = _children(found, sizes, rng)
            both = np.unique(np.vstack([found, children]), axis=0)
            found, found_values = _kept(both, losses(both), reference)
        best, values = _kept(np.vstack([best, found]), np.vstack([values, found_values]), reference)
    return _polished(losses, sizes, reference, best, values)


def _polished(
    losses: Losses, sizes: np.ndarray, reference: np.ndarray, best: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The front after all single-place neighbours of its members were tried, until they no longer add a thousandth."""
    volume = hypervolume(values, reference)
    while True:
        moves = [sign * np.eye(len(sizes), dtype=int) for sign in (-1, 1)]
        neighbours = (best[:, None, :] + np.vstack(moves)[None, :, :]).reshape(-1, len(sizes))
        neighbours = np.unique(np.clip(neighbours, 0, sizes - 1), axis=0)
        best, values = _kept(np.vstack([best, neighbours]), np.vstack([values, losses(neighbours)]), reference)
        grown = hypervolume(values, reference)
        if grown < volume * 1.0002:
            return best, values
        volume = grown


def _children(parents: np.ndarray, sizes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    one, other = parents[rng.integers(len(parents), size=(2, POPULATION))]
    child = np.where(rng.random(one.shape) < 0.5, one, other)
    moves = rng.choice([-2, -1, 1, 2], size=child.shape) * (rng.random(child.shape) < 2 / child.shape[1])
    return np.asarray(np.clip(child + moves, 0, sizes - 1))


def _kept(places: np.ndarray, values: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The non-dominated ones below the reference point, by their first loss; all of them where none is below."""
    below = np.all(values < reference, axis=1)
    if below.any():
        places, values = places[below], values[below]
    front = np.flatnonzero(non_dominated(values))
    front = front[np.argsort(values[front, 0])]
    return places[front], values[front]
