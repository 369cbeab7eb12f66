"""Greedy descent: every layer proposes its next step, and the one that loses least for what it saves is taken.

T.-J. Yang et al., "NetAdapt: platform-aware neural network adaptation for mobile applications", ECCV 2018. It goes from
the uncompressed network to the lightest one, so its rounds are a front from light to heavy.

Departures from the paper:
1. A proposal is the smallest next step of a grid (`steps` from neutral to the far end), not what saves a given amount;
   steps are compared by the growth of the loss per amount saved. There is no tuning between rounds.
2. The first round tries the next step of every parameter. Later ones try the steps that were best when they were last
   tried, until the best of them is better than all others were, or `shortlist` were tried (M. Minoux, "Accelerated
   greedy algorithms for maximizing submodular set functions", 1978): a round of all would take 20 trials for a single
   step of a network of 20 layers.
3. A step that misses a bound is not taken from a point that meets all. A descent ends where no step is left, or where
   the bounds are first met. The next begins where the last ended, before that step, or at neutral where nothing is
   bounded, with steps half as long; when they are shorter than the finest, neighbours of the best trial follow.
4. A step whose policy is rejected, or whose evaluation fails, is passed over. Nothing is random.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from moco.encoding import project
from moco.interfaces import SearcherCapabilities
from moco.policy import Policy
from moco.policy_costs import PolicyCosts
from moco.problem import Problem
from moco.searchers.shared.option_checks import at_least
from moco.searchers.shared.proposals import ProposalCounter
from moco.searchers.shared.trial_history import TrialHistory
from moco.searchers.steps.single_steps import Key, Line, lines, point_at
from moco.space import SearchSpace
from moco.trial import Point, Suggestion, Trial

FINEST = 2**-6
"""Shortest step: a channel of 64. To look for shorter ones takes time, and they differ by less than is measured."""


@dataclass(frozen=True)
class GreedyOptions:
    """Options of greedy descent."""

    steps: int = 4  # steps from neutral to the far end of a numeric parameter in the first descent, >= 1
    shortlist: int = 3  # how many steps are tried again in a round at most, >= 1

    def __post_init__(self) -> None:
        at_least("steps", self.steps, 1)
        at_least("shortlist", self.shortlist, 1)


@dataclass(frozen=True)
class Move:
    """The next step along a line."""

    key: Key
    point: Point
    policy: Policy


def moves(space: SearchSpace, point: Point, grid: Sequence[Point]) -> list[Move]:
    """The smallest next step along every line that changes the policy; `grid` is uniform points, light to heavy."""
    policy = space.canonical(point)
    found = []
    for line in lines(space, point):
        for after in _along(point, line, grid):
            moved = space.canonical(after)
            if moved != policy:
                found.append(Move(line.key, after, moved))
                break
    return found


def _along(point: Point, line: Line, grid: Sequence[Point]) -> Iterator[Point]:
    """The points of the grid beyond the present one."""
    name = line.parameter
    if name is None:
        yield point_at(point, line, point)
        return
    sign = 1.0 if grid[-1][name] > grid[0][name] else -1.0
    for uniform in grid:
        if sign * uniform[name] > sign * point[name]:
            yield point_at(point, line, uniform)


class Descent:
    """One descent from neutral to the far end in so many steps, as far as the trials told have decided it.

    `growth` is by line that of the loss per amount saved when it was last tried; infinite where it is blocked.
    """

    def __init__(self, space: SearchSpace, point: Point, steps: int, growth: Mapping[Key, float]) -> None:
        """Begin at a point; what is known of other descents orders the lines, and nothing is blocked."""
        self._space, self.steps = space, steps
        self._grid = [space.uniform(k / steps) for k in range(steps + 1)]
        self.growth = {key: value for key, value in growth.items() if value < math.inf}
        self.go_to(point)

    def go_to(self, point: Point) -> None:
        """Take a step."""
        self.point, self.policy = point, self._space.canonical(point)
        self._moves: Sequence[Move] | None = None

    def ordered(self) -> list[Move]:
        """The moves from here that are not blocked: those of lines that were never tried, then the most promising."""
        if self._moves is None:
            self._moves = moves(self._space, self.point, self._grid)
        allowed = [move for move in self._moves if self.growth.get(move.key, 0.0) < math.inf]
        return sorted(allowed, key=lambda move: (move.key in self.growth, self.growth.get(move.key, 0.0)))

    def promising(self, shortlist: int) -> list[Move]:
        """The moves that a round tries at most, in this order."""
        ordered = self.ordered()
        unknown = sum(move.key not in self.growth for move in ordered)
        return ordered[: unknown + shortlist]


class GreedySearcher:
    """Greedy descent of the loss (`moco.policy_costs`)."""

    Options = GreedyOptions
    capabilities = SearcherCapabilities()

    def __init__(self, problem: Problem, options: GreedyOptions, seed: int) -> None:  # noqa: ARG002
        self._problem, self._space, self._options = problem, problem.space, options
        self._spending = PolicyCosts(problem)
        self._asks, self._told = ProposalCounter(problem, seed=0, redraws=0), TrialHistory()
        self._neutral = problem.space.uniform(0.0)
        self._descent: Descent | None = Descent(self._space, self._neutral, options.steps, {})

    def ask(self) -> Suggestion:
        """The next step to try of this round; then, with asks pending, of those that the round can do without."""
        point = self._told.next_of(self._untold(), self._asks.count)
        return self._asks.next(lambda _: self._best()) if point is None else self._asks.number(point)

    def tell(self, trial: Trial) -> None:
        """Remember the result, and take the steps that it decides."""
        self._asks.tell(trial)
        self._told.add(trial)
        while self._descent is not None and self._decide(self._descent):
            pass

    def _untold(self) -> list[Point]:
        if self._descent is None:
            return []
        here = [] if self._descent.policy in self._told else [self._descent.point]
        return [*here, *(move.point for move in self._descent.ordered() if move.policy not in self._told)]

    def _decide(self, descent: Descent) -> bool:
        """Take the best step of the round, or end the descent, where the trials told suffice; whether they did."""
        if descent.policy not in self._told:
            return False
        here, tried = self._told.complete(descent.policy), dict[Key, float]()
        promising = descent.promising(self._options.shortlist)
        for move in promising:
            if min(tried.values(), default=math.inf) <= descent.growth.get(move.key, -math.inf):
                break
            if move.policy not in self._told:
                return False
            tried[move.key] = self._growth(here, self._told.complete(move.policy))
        descent.growth |= tried
        best = min((move for move in promising if move.key in tried), key=lambda move: tried[move.key], default=None)
        if best is None:
            self._descent = self._finer(descent)
        elif tried[best.key] < math.inf:
            reached = self._told.complete(best.policy)
            if self._problem.bounds and not _feasible(here) and _feasible(reached):
                self._descent = self._finer(descent)
            else:
                descent.go_to(best.point)
        return True

    def _growth(self, here: Trial | None, there: Trial | None) -> float:
        """Growth of the loss per amount saved by a step; infinite where it may not be taken."""
        if there is None or (self._problem.bounds and _feasible(here) and not _feasible(there)):
            return math.inf
        if here is None:
            return self._spending.loss_of(there)
        saved = self._spending.saved(here, there)
        grown = self._spending.loss_of(there) - self._spending.loss_of(here)
        return grown / saved if saved > 0 else math.inf

    def _finer(self, descent: Descent) -> Descent | None:
        if 1 / (2 * descent.steps) < FINEST:
            return None
        begin = descent.point if self._problem.bounds else self._neutral
        return Descent(self._space, begin, 2 * descent.steps, descent.growth)

    def _best(self) -> Point:
        return self._neutral if self._told.best is None else project(self._space, self._told.best.point)


def _feasible(trial: Trial | None) -> bool:
    return trial is not None and trial.feasible
