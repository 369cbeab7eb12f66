"""Which policies are recorded: a declared mixture, dense where fronts lie, each policy once.

| source | policies |
|---|---|
| `ladder` | uniform ones: every kind of parameter at a common value, all combinations of the values below |
| `step` | single steps: one parameter of an unpruned uniform policy of few bits moved by one to three values |
| `random` | every parameter uniform |
| `around` | a uniform policy with about a third of its parameters moved by one or two values |
| `child` | a child of two members of the present front of (top-1 error, one of the costs), as in NSGA-II |

After the ladder and the steps each policy is drawn from one of the last three, in the shares of `SHARES`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.recorded.space import values
from moco.pareto import non_dominated
from moco.randomness import generator
from moco.space import SearchSpace

LADDER_PLACES = {"keep": (0, 1, 2, 3, 4, 6), "weight_bits": (0, 1, 2, 3, 4, 5, 6), "activation_bits": (0, 2, 4)}
"""By kind of parameter, how many sixths of the way from its highest value to its lowest."""

STEP_PLACES = {"keep": (0,), "weight_bits": (2, 4, 5), "activation_bits": (3,)}
STEPS = (1, 2, 3)
SHARES = {"random": 0.10, "around": 0.25, "child": 0.65}
PARENTS = 60
"""A child's parents are drawn from so many of the best policies by rank of their front."""


def kind_of(name: str) -> str:
    """What a parameter sets: the last part of its name."""
    return name.rpartition(".")[2]


class Mixture:
    """The n-th policy as values of the parameters (n_parameters,), a function of the seed and of all earlier rows."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self._names = list(space.distributions)
        self._grids = [values(distribution) for distribution in space.distributions.values()]
        self._seed = seed
        self._design = list(self._designed())

    def draw(self, n: int, places: np.ndarray, losses: Sequence[np.ndarray]) -> tuple[str, np.ndarray]:
        """Source and places of the n-th policy's values in their grids.

        Args:
            places: of all earlier rows, (n, n_parameters).
            losses: one (n, 2) of error and cost for each cost that fronts are drawn for.
        """
        known = {row.tobytes() for row in places}
        if n < len(self._design):
            return self._design[n]
        rng = generator(self._seed, "record", n)
        while True:
            source = str(rng.choice(list(SHARES), p=list(SHARES.values())))
            drawn = self._drawn(source, rng, places, losses[int(rng.integers(len(losses)))])
            if drawn.tobytes() not in known:
                return source, drawn

    def point(self, places: np.ndarray) -> dict[str, int]:
        """The point whose values have these places."""
        return {name: int(grid[p]) for name, grid, p in zip(self._names, self._grids, places, strict=True)}

    def places(self, points: np.ndarray) -> np.ndarray:
        """Places of values (n, n_parameters) in their grids."""
        columns = [np.searchsorted(grid, column) for grid, column in zip(self._grids, points.T, strict=True)]
        return np.array(columns, dtype=np.int64).T.reshape(len(points), len(self._grids))

    def _designed(self) -> Iterator[tuple[str, np.ndarray]]:
        """The ladder and the single steps, each policy once."""
        seen: set[bytes] = set()
        for source, row in (*(("ladder", r) for r in self._uniform(LADDER_PLACES)), *self._steps()):
            if row.tobytes() not in seen:
                seen.add(row.tobytes())
                yield source, row

    def _uniform(self, below: dict[str, tuple[int, ...]]) -> Iterator[np.ndarray]:
        for keep in below["keep"]:
            for weights in below["weight_bits"]:
                for activations in below["activation_bits"]:
                    lowered = {"keep": keep, "weight_bits": weights, "activation_bits": activations}
                    yield self._at(lowered)

    def _at(self, sixths: dict[str, int]) -> np.ndarray:
        """The uniform policy whose kinds are so many sixths of the way down."""
        down = [sixths[kind_of(name)] / 6 for name in self._names]
        places = [round((1 - share) * (len(g) - 1)) for share, g in zip(down, self._grids, strict=True)]
        return np.array(places, dtype=np.int64)

    def _steps(self) -> Iterator[tuple[str, np.ndarray]]:
        for base in self._uniform(STEP_PLACES):
            for parameter in range(len(base)):
                for step in STEPS:
                    row = base.copy()
                    row[parameter] += step if row[parameter] < step else -step
                    yield "step", row

    def _drawn(self, source: str, rng: np.random.Generator, places: np.ndarray, losses: np.ndarray) -> np.ndarray:
        sizes = np.array([len(grid) for grid in self._grids])
        if source == "random":
            return rng.integers(sizes)
        if source == "around":
            sixths = {kind: 6 - int(rng.integers(7)) for kind in sorted({kind_of(name) for name in self._names})}
            return self._moved(self._at(sixths), rng, 0.35, sizes)
        parents = places[best_by_rank(losses, PARENTS)]
        one, other = parents[rng.integers(len(parents), size=2)]
        child = np.where(rng.random(len(one)) < 0.5, one, other)
        return self._moved(child, rng, 1.5 / len(child), sizes)

    def _moved(self, row: np.ndarray, rng: np.random.Generator, share: float, sizes: np.ndarray) -> np.ndarray:
        """The row with about that share of its values moved by one or two places."""
        moves = rng.choice([-2, -1, 1, 2], size=len(row)) * (rng.random(len(row)) < share)
        moved: np.ndarray = np.clip(row + moves, 0, sizes - 1)
        return moved


def best_by_rank(losses: np.ndarray, count: int) -> np.ndarray:
    """Indices of the first fronts of losses (n, 2), whole fronts until there are `count`."""
    left, found = np.arange(len(losses)), np.empty(0, dtype=int)
    while len(left) and len(found) < count:
        front = non_dominated(losses[left])
        found, left = np.append(found, left[front]), left[~front]
    return found
