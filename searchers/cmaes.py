"""CMA-ES: draws a generation from a normal distribution, and moves, stretches and turns it towards the better half.

Thin over the `cmaes` package: N. Hansen, "The CMA evolution strategy: a tutorial", 2016; parameters of few values by
R. Hamano et al., "CMA-ES with margin: lower-bounding marginal probability for mixed-integer black-box optimization",
GECCO 2022; restarts with twice the population by A. Auger and N. Hansen, "A restart CMA evolution strategy with
increasing population size", CEC 2005. It works in the unit cube of the parameters that have more than one value.

It optimises the problem's score. Within a generation feasible members come before infeasible ones, which are ordered by
their summed violations (K. Deb, "An efficient constraint handling method for genetic algorithms", 2000).

Departures from the papers:
1. What is drawn may be repaired before it is proposed (`repair`); the distribution learns the draw, with the result of
   the repaired point, as CMA-ES with margin does with what was rounded.
2. The first mean is the best of the trials that were told before its own, starts included; the middle without any.
3. A member whose policy was told before takes that result and is not proposed. Where members fail or are rejected, or
   asks are pending beyond the generation, further draws from the same distribution are proposed, and the first results
   that fill the generation count. Later ones are lost to the distribution.
4. Parameters on a logarithmic scale are rounded without a margin.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
from cmaes import CMAwM

from moco.cost_bounds import FILL, NONE, SHRINK, Repair, idle_bounds
from moco.encoding import decode, encode, project
from moco.interfaces import SearcherCapabilities
from moco.problem import Problem
from moco.randomness import derived_seed, generator
from moco.searchers.shared.option_checks import at_least, one_of, positive
from moco.searchers.shared.proposals import ProposalCounter
from moco.searchers.shared.trial_history import TrialHistory
from moco.space import SearchSpace, n_values
from moco.trial import Point, Suggestion, Trial, TrialState
from moco.trial_rank import rank

FREE_GENERATIONS = 5  # after so many generations of members that were all told before, a new point is proposed
MOST_DOUBLINGS = 4  # of the population, by restarts: in a small space that is known whole it would grow without end


@dataclass(frozen=True)
class CMAESOptions:
    """Options of CMA-ES."""

    sigma: float = 0.3  # first standard deviation, in widths of a parameter's range, in (0, 1]
    population: int | None = None  # members of a generation, >= 2; None takes the tutorial's 4 + floor(3 ln d)
    repair: str = FILL
    """What is done to a point where bounds on exact costs (macs, parameters, bops, …) bind: `none`; `shrink`, all
    coordinates moved to the light end by the same amount until the bounds are met; `fill`, also to the heavy end as far
    as they allow."""

    def __post_init__(self) -> None:
        positive("sigma", self.sigma, 1.0)
        if self.population is not None:
            at_least("population", self.population, 2)
        one_of("repair", self.repair, (NONE, SHRINK, FILL))


@dataclass(frozen=True)
class Member:
    """A draw (d,) from the distribution, and the point that is proposed for it."""

    x: np.ndarray
    point: Point


class Axes:
    """The parameters that have more than one value, as coordinates of the unit cube."""

    def __init__(self, space: SearchSpace) -> None:
        """Find them, with the step of those that have few values."""
        self._middle = np.full(len(space.distributions), 0.5)
        distributions = dict(enumerate(space.distributions.values()))
        self._open = [i for i, distribution in distributions.items() if n_values(distribution) != 1]
        counts = [None if getattr(distributions[i], "log", False) else n_values(distributions[i]) for i in self._open]
        self.steps = np.array([0.0 if n is None else 1 / n for n in counts])
        self.bounds = np.stack([self.steps / 2, 1 - self.steps / 2], axis=1)

    def __len__(self) -> int:
        return len(self._open)

    def cube(self, x: np.ndarray) -> np.ndarray:
        """Coordinates (n_parameters,) of a draw (d,)."""
        coordinates = self._middle.copy()
        coordinates[self._open] = x
        return coordinates

    def of(self, coordinates: np.ndarray) -> np.ndarray:
        """The draw (d,) that coordinates (n_parameters,) stand for."""
        return np.asarray(np.clip(coordinates[self._open], *self.bounds.T))


def values_of(trials: Sequence[Trial]) -> list[float]:
    """One value a trial, smaller is better: minus its score; infeasible ones lie above by their summed violations."""
    ranks = [rank(trial) for trial in trials]
    worst = max((-score for feasible, score in ranks if feasible), default=0.0)
    return [-merit if feasible else worst - merit for feasible, merit in ranks]


class CMAESSearcher:
    """CMA-ES of the problem's score."""

    Options = CMAESOptions
    capabilities = SearcherCapabilities(categorical=False)

    def __init__(self, problem: Problem, options: CMAESOptions, seed: int) -> None:
        self._space, self._options, self._seed = problem.space, options, seed
        self._asks, self._told = ProposalCounter(problem, seed), TrialHistory()
        self._axes = Axes(problem.space)
        self._repair = Repair(problem) if options.repair != NONE else None
        self._best_before: Trial | None = None
        self._restarts = self._generation = 0
        self._extra: list[tuple[np.ndarray, Trial]] = []
        self._members: list[Member] = []
        self._begun = False
        self._begin(np.full(len(self._axes), 0.5))

    def warnings(self, problem: Problem) -> list[str]:
        """Options that have no effect on the problem."""
        return idle_bounds("repair", self._options, problem, self._repair is not None and self._repair.binds)

    def ask(self) -> Suggestion:
        """The next member of the generation that was not told yet, or one more draw."""
        untold = [member for member in self._members if self._space.canonical(member.point) not in self._told]
        member = self._told.next_of(untold, self._asks.count)
        if member is not None:
            return self._noted(self._asks.number(member.point), member.x)
        drawn: list[Member] = []
        suggestion = self._asks.next(lambda rng: self._drawn_again(drawn, rng))
        known = next((member.x for member in drawn if member.point == suggestion.point), None)
        return self._noted(suggestion, self._axes.of(encode(self._space, suggestion.point)) if known is None else known)

    def tell(self, trial: Trial) -> None:
        """Take a result into the generation; when that is full, update the distribution and draw the next."""
        self._asks.tell(trial)
        self._told.add(trial)
        if trial.state is not TrialState.COMPLETE or not len(self._axes):
            return
        x = trial.suggestion.notes.get("x")
        if x is not None and trial.suggestion.notes.get("generation") == self._generation:
            self._begun = True
            if not any(np.array_equal(member.x, x) for member in self._members):
                self._extra.append((np.array(x), trial))
        elif not self._begun and (self._best_before is None or rank(trial) > rank(self._best_before)):
            self._best_before = trial
            self._begin(self._axes.of(encode(self._space, project(self._space, trial.point))))
        if self._begun:
            with self._asks.surviving("learn"):
                self._advance()

    def _begin(self, mean: np.ndarray) -> None:
        """A fresh distribution around the mean (d,), twice as many members at each restart."""
        if not len(mean):
            return
        usual = self._options.population or 4 + int(3 * np.log(len(mean)))
        self._cma = CMAwM(
            mean=np.clip(mean, *self._axes.bounds.T),
            sigma=self._options.sigma,
            bounds=self._axes.bounds,
            steps=self._axes.steps,
            seed=derived_seed(self._seed, "searcher", "cmaes", self._restarts),
            population_size=usual * 2 ** min(self._restarts, MOST_DOUBLINGS),
        )
        self._draw_members()

    def _draw_members(self) -> None:
        self._members = [self._member(*self._cma.ask()) for _ in range(self._cma.population_size)]
        self._extra = []

    def _member(self, rounded: np.ndarray, x: np.ndarray) -> Member:
        coordinates = self._axes.cube(rounded)
        if self._repair is None:
            return Member(x, decode(self._space, coordinates))
        return Member(x, self._repair(coordinates, fill=self._options.repair == FILL))

    def _advance(self) -> None:
        """Close the generation while the results that are known fill it."""
        for _ in range(FREE_GENERATIONS):
            results = [*self._known_members(), *self._extra][: self._cma.population_size]
            if len(results) < self._cma.population_size:
                return
            values = values_of([trial for _, trial in results])
            self._cma.tell([(x, value) for (x, _), value in zip(results, values, strict=True)])
            self._generation += 1
            if self._cma.should_stop():
                self._restarts += 1
                self._begin(generator(self._seed, "searcher", "restart", self._restarts).random(len(self._axes)))
            else:
                self._draw_members()

    def _known_members(self) -> list[tuple[np.ndarray, Trial]]:
        found = ((member.x, self._told.complete(self._space.canonical(member.point))) for member in self._members)
        return [(x, trial) for x, trial in found if trial is not None]

    def _drawn_again(self, drawn: list[Member], rng: np.random.Generator) -> Point:
        """The point of one more draw from the present distribution, which stays as it is."""
        if not len(self._axes):
            return decode(self._space, np.full(len(self._space.distributions), 0.5))
        cma = deepcopy(self._cma)
        cma.reseed_rng(int(rng.integers(2**32)))
        drawn.append(self._member(*cma.ask()))
        return drawn[-1].point

    def _noted(self, suggestion: Suggestion, x: np.ndarray) -> Suggestion:
        notes = {**suggestion.notes, "generation": self._generation, "x": [float(value) for value in x]}
        return replace(suggestion, notes=notes)
