"""Policies as inputs of a model: how far each parameter lies from neutral, as decoded."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from optuna.distributions import CategoricalDistribution

from moco.encoding import encode, project
from moco.searchers.steps.ladder import kinds
from moco.space import SearchSpace
from moco.trial import Point

SAME = 1e-9  # depths that differ by no more are the same


class PolicyFeatures:
    """A column a number: 0 at neutral, 1 at the end that is further away; a column a choice: 1 where it is taken.

    A discrete number stands in the middle of its interval, so half an interval off either end.
    On a space without a neutral point the depth is the distance from the lower bound.
    """

    def __init__(
        self, space: SearchSpace, directed: Collection[str] | None = None, ordered: Collection[str] = ()
    ) -> None:
        """`directed`: the numbers whose depth compresses; None for all. `ordered`: choices listed by depth."""
        self._space, self._ordered = space, ordered
        self._directed = {*(space.distributions if directed is None else directed), *ordered}
        self._columns: dict[str, tuple[int, ...]] = {}
        neutral = encode(space, project(space, space.neutral)) if space.neutral else np.zeros(len(space.distributions))
        self._neutral = [float(coordinate) for coordinate in neutral]
        width = 0
        for name, distribution in space.distributions.items():
            size = len(distribution.choices) if self._is_choice(name) else 1  # type: ignore[attr-defined]
            self._columns[name] = tuple(range(width, width + size))
            width += size
        self.width = width

    def by_kind(self) -> list[tuple[int, ...]]:
        """Columns of each kind of parameter; none on a plain space."""
        return [tuple(c for name in names for c in self._columns[name]) for names in kinds(self._space).values()]

    def by_parameter(self) -> list[tuple[int, ...]]:
        """Columns of each parameter."""
        return list(self._columns.values())

    def compressing(self) -> list[tuple[int, str, int, bool]]:
        """Columns that compress the further from 0 they are, either way where neutral lies within a range.

        Each with its parameter, the place of its kind, and whether it is a choice.
        """
        neutral, found = self.of_unit(np.array([self._neutral]))[0], []
        for place, names in enumerate(kinds(self._space).values()):
            for name in names:
                is_choice = self._is_choice(name)
                columns = [column for column in self._columns[name] if not (is_choice and neutral[column])]
                found += [(column, name, place, is_choice) for column in columns if is_choice or name in self._directed]
        return found

    def of_points(self, points: Sequence[Point]) -> np.ndarray:
        """(n, width) of points that were executed; those off the grid are brought back to it."""
        return self.of_unit(np.array([encode(self._space, project(self._space, point)) for point in points]))

    def of_unit(self, unit: np.ndarray) -> np.ndarray:
        """(n, width) of coordinates (n, n_parameters) in the unit cube."""
        found = np.zeros((len(unit), self.width))
        for place, name in enumerate(self._space.distributions):
            columns, coordinates, neutral = self._columns[name], unit[:, place], self._neutral[place]
            if self._is_choice(name):
                chosen = np.minimum((coordinates * len(columns)).astype(int), len(columns) - 1)
                found[np.arange(len(unit)), np.array(columns)[chosen]] = 1.0
            else:
                found[:, columns[0]] = np.abs(coordinates - neutral) / max(neutral, 1 - neutral)
        return found

    def compared(self, told: np.ndarray, candidates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(k, n) whether told inputs (k, width) are nowhere deeper than candidates (n, width), and nowhere less deep.

        Choices, and numbers that are not directed, have no depth: they must be the same.
        """
        shape = len(told), len(candidates)
        shallower, deeper, above, below = (np.ones(shape, dtype=bool) for _ in range(4))
        ones, least, most = (np.ascontiguousarray(x.T) for x in (told, candidates - SAME, candidates + SAME))
        for name, columns in self._columns.items():
            has_depth = len(columns) == 1 and name in self._directed
            for column in columns:
                np.less_equal(ones[column, :, None], most[column, None, :], out=above)
                np.greater_equal(ones[column, :, None], least[column, None, :], out=below)
                shallower &= above
                deeper &= below
                if not has_depth:
                    shallower &= below
                    deeper &= above
        return shallower, deeper

    def _is_choice(self, name: str) -> bool:
        """Whether it is a choice without an order."""
        return isinstance(self._space.distributions[name], CategoricalDistribution) and name not in self._ordered
