"""What every searcher here keeps: how often it was asked, which policies it has been told, and what its model broke at.

What a model computes of extreme results may overflow, and what libraries make of it may raise anything. No such failure
ends a search: the ask falls back to a uniform draw. The user is warned of the first at once; each stands in the notes
of the next suggestion, so that the ledger has it and the result tells how many there were.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from moco.encoding import decode, from_unit
from moco.errors import in_one_line
from moco.policy import Policy
from moco.problem import Problem
from moco.randomness import generator
from moco.trial import FAILURES, Point, Suggestion, Trial

Draw = Callable[[np.random.Generator], Point]
REDRAWS = 10
"""A policy that was told before is redrawn up to this often. Rounding makes repeats frequent (W21), and each costs a
trial of the budget and teaches nothing: a model that has found a good region proposed 70 repeats in 100 trials."""
NEIGHBOURS = 50
"""After that, so many neighbours of the last draw are tried, ever further away, before it is proposed again: a small
space may have no other policy left."""


class ProposalCounter:
    """Numbers the asks, and gives each its own generator, spawned from (seed, n).

    A searcher that was rebuilt and told the ledger goes on after the last ask that it has heard of.
    """

    def __init__(self, problem: Problem, seed: int, redraws: int = REDRAWS) -> None:
        self._problem = problem
        self._redraws = redraws
        self._seed = seed
        self._told: set[Policy] = set()
        self._has_failed = False
        self._failures: list[str] = []  # that no suggestion's notes have yet
        self.count = 0

    def next(
        self,
        draw: Callable[[np.random.Generator], Point],
        instead: Callable[[np.random.Generator], Point] | None = None,
    ) -> Suggestion:
        """The next suggestion: the first draw, or else a neighbour of the last one, whose policy was not yet told.

        Where a draw fails, or leads out of the space, what `instead` gives is proposed; by default a uniform draw.
        """
        rng = generator(self._seed, "searcher", self.count)
        with self.surviving("propose"):
            return self._new(draw, rng)
        return self.number((instead or self._uniform)(rng))

    def _uniform(self, rng: np.random.Generator) -> Point:
        return decode(self._problem.space, rng.random(len(self._problem.space.distributions)))

    @contextmanager
    def surviving(self, what: str) -> Iterator[None]:
        """Within, the searcher learns or proposes: what its model raises is told once, and goes no further.

        Numpy's warnings of overflow are nobody's concern: what comes of it is either usable or raises.
        """
        try:
            with np.errstate(all="ignore"):
                yield
        except Exception as error:  # a model's numerics may fail in any way
            told = f"could not {what} by its model, and goes on without where it cannot: {in_one_line(error)}"
            self._failures.append(told)
            if not self._has_failed:
                self._has_failed = True
                warnings.warn(f"the searcher {told}", stacklevel=2)

    def _new(self, draw: Draw, rng: np.random.Generator) -> Suggestion:
        point = draw(rng)
        for _ in range(self._redraws):
            if self._is_new(point):
                break
            point = draw(rng)
        if self._is_new(point):
            return self.number(point)
        for attempt in range(NEIGHBOURS):
            neighbour = self._neighbour(point, 1 + attempt * len(point) // NEIGHBOURS, rng)
            if self._is_new(neighbour):
                return self.number(neighbour)
        return self.number(point)

    def _is_new(self, point: Point) -> bool:
        return self._problem.space.canonical(point) not in self._told

    def _neighbour(self, point: Point, changes: int, rng: np.random.Generator) -> Point:
        """The point with so many of its parameters drawn anew, uniformly."""
        names = list(self._problem.space.distributions)
        changed = rng.choice(len(names), size=min(changes, len(names)), replace=False)
        drawn = {names[i]: from_unit(self._problem.space.distributions[names[i]], float(rng.random())) for i in changed}
        return {**point, **drawn}

    def number(self, point: Point) -> Suggestion:
        """The point as the next suggestion; its notes have what the model failed at since the last."""
        notes = {FAILURES: self._failures} if self._failures else {}
        suggestion = Suggestion(self.count, point, notes)
        self._failures = []
        self.count += 1
        return suggestion

    def tell(self, trial: Trial) -> None:
        """Count a finished trial's ask, and remember its policy, whatever became of it."""
        self.count = max(self.count, trial.suggestion.id + 1)
        if trial.suggestion.failures:  # one that is rebuilt fails again at what the ledger has already
            self._failures = []
        if trial.policy is not None:
            self._told.add(trial.policy)
