"""How much a candidate is expected to enlarge the dominated hypervolume, by samples of its losses.

For one or two losses each sample's gain is exact. For more it is the mean over directions of what a candidate adds
along that direction: the volume that points Y dominate below r is `c_m E_lambda max_y min_i ((r_i - y_i)+ /
lambda_i)^m` with lambda uniform on the positive part of the unit sphere and `c_m = pi^(m/2) / (2^m Gamma(m/2 + 1))` (D.
Golovin and Q. Zhang, "Random hypervolume scalarizations for provable multi-objective black box optimization", ICML
2020, lemma 5).

| symbol | meaning |
|---|---|
| samples | (s, n, m) losses of n candidates in s draws |
| front | (k, m) losses of the points that no other dominates |
| r | reference point (m,): nothing beyond it counts |
"""

from __future__ import annotations

import math

import numpy as np

DIRECTIONS = 128


def expected_improvement(
    samples: np.ndarray, met: np.ndarray, front: np.ndarray, r: np.ndarray, along: np.ndarray
) -> np.ndarray:
    """Mean gain in hypervolume (n,) of each candidate; a draw that misses a constraint gains nothing.

    Args:
        met: (s, n) whether the constraints are met in a draw.
        along: directions (d, m) for three losses or more, the same for all candidates that are compared.
    """
    losses = samples.shape[2]
    if losses <= 2:
        gains = _area_gain(samples, front, r) if losses == 2 else _length_gain(samples, front, r)
    else:
        gains = _direction_gain(samples, front, r, along)
    return np.asarray(np.mean(gains * met, axis=0))


def directions(losses: int, rng: np.random.Generator) -> np.ndarray:
    """(`DIRECTIONS`, losses) uniform on the positive part of the unit sphere."""
    drawn = np.abs(rng.standard_normal((DIRECTIONS, losses)))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def _length_gain(samples: np.ndarray, front: np.ndarray, r: np.ndarray) -> np.ndarray:
    """(s, n) by how much the only loss falls below the least so far."""
    best = min(float(r[0]), float(front.min(initial=np.inf)))
    return np.asarray(np.maximum(best - samples[:, :, 0], 0.0))


def _area_gain(samples: np.ndarray, front: np.ndarray, r: np.ndarray) -> np.ndarray:
    """(s, n) area that each point dominates below r and the front does not, summed over the strips of the staircase."""
    order = front[np.argsort(front[:, 0])]
    order = order[np.all(order < r, axis=1)]
    left = np.concatenate([[-np.inf], order[:, 0]])  # strip j spans left[j] to right[j] and is free below height[j]
    right = np.concatenate([order[:, 0], [r[0]]])
    height = np.concatenate([[r[1]], order[:, 1]])
    first, second = samples[:, :, 0, None], samples[:, :, 1, None]
    widths = np.maximum(right - np.maximum(first, left), 0.0)
    return np.asarray(np.sum(widths * np.maximum(height - second, 0.0), axis=2))


def _direction_gain(samples: np.ndarray, front: np.ndarray, r: np.ndarray, along: np.ndarray) -> np.ndarray:
    """(s, n) volume gained, estimated along these directions (d, m)."""
    m, unit = samples.shape[2], _extent(front, r)
    samples, front, r = samples / unit, front / unit, r / unit
    constant = math.pi ** (m / 2) / (2**m * math.gamma(m / 2 + 1))
    below = np.ascontiguousarray(np.moveaxis(np.maximum(r - samples, 0.0), 2, 0))  # steps over whole losses are fast
    reached = np.min(np.maximum(r - front, 0.0)[None] / along[:, None], axis=2).max(axis=1, initial=0.0)
    total = np.zeros(samples.shape[:2])
    for direction, known in zip(along, reached, strict=True):
        own = below[0] / direction[0]
        for loss in range(1, m):
            np.minimum(own, below[loss] / direction[loss], out=own)
        total += np.maximum(own**m - known**m, 0.0)
    return np.asarray(constant * np.prod(unit) * total / len(along))


def _extent(front: np.ndarray, r: np.ndarray) -> np.ndarray:
    """(m,) how far the front reaches below r in each loss: directions must see losses of unlike units alike."""
    reached = np.maximum(r - front, 0.0).max(axis=0, initial=0.0)
    beyond = np.where(r == 0, 1.0, np.abs(r))  # of losses in which no point lies below r, their size must do
    return np.where(reached > 0, reached, beyond)
