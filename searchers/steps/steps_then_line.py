"""Single steps first, then a line of policies from light to heavy that follows from them: what two baselines share.

On the line, binary search for the places where feasibility changes; when those are found, the widest gaps are halved,
which spreads what is left of a budget over the whole line. When the line is known, neighbours of the best trial follow.
Nothing is random.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from moco.encoding import project
from moco.errors import ConfigError
from moco.interfaces import SearcherCapabilities
from moco.policy import Policy
from moco.problem import Problem
from moco.searchers.shared.option_checks import at_least
from moco.searchers.shared.proposals import ProposalCounter
from moco.searchers.shared.trial_history import TrialHistory
from moco.searchers.steps.measured_curves import Alternative, MeasuredCurves
from moco.trial import MetricValue, Point, Suggestion, Trial


@dataclass(frozen=True)
class Line:
    """Points from light to heavy."""

    size: int  # how many there are
    at: Callable[[int], Point]  # the point at a position, from 0


@dataclass(frozen=True)
class StepsOptions:
    """What both baselines have to choose."""

    levels: int = 2  # measured levels of each numeric parameter, >= 1; with the choices they are the first asks
    features: bool = True
    """Whether a sensitivity analysis in the space's features, where it has every parameter, takes the place of those
    asks; not where what is spent must be measured."""

    def __post_init__(self) -> None:
        at_least("levels", self.levels, 1)
        if not isinstance(self.features, bool):
            raise ConfigError(f"searcher.features: expected true or false, got {self.features!r}")


class StepsThenLine:
    """Asks for the single steps, then along the line that a strategy makes of them."""

    make_line: Callable[[Point, Mapping[str, Sequence[Alternative]]], Line]  # of neutral and alternatives by unit
    Options = StepsOptions
    capabilities = SearcherCapabilities()

    def __init__(self, problem: Problem, options: StepsOptions, seed: int) -> None:  # noqa: ARG002
        self._problem = problem
        self._asks, self._told = ProposalCounter(problem, seed=0, redraws=0), TrialHistory()
        self._sensitivities = MeasuredCurves(problem, options.levels, options.features)
        self._line: Line | None = None
        self._policies: dict[int, Policy] = {}

    def ask(self) -> Suggestion:
        """The next single step, or else the next point of the line."""
        count = self._asks.count
        point = self._told.next_of(self._sensitivities.untold(self._told), count)
        if point is None:
            if self._line is None:
                self._line = self.make_line(self._sensitivities.base, self._sensitivities.alternatives(self._told))
                self._policies = {}
            point = self._first_untold(self._line, self._told.n_pending(count))
        return self._asks.next(lambda _: self._best()) if point is None else self._asks.number(point)

    def tell(self, trial: Trial) -> None:
        """Remember the result; one of a single step changes the line."""
        self._asks.tell(trial)
        self._told.add(trial)
        if trial.policy is not None and self._sensitivities.concerns(trial.policy):
            self._line = None

    def _first_untold(self, line: Line, pending: int) -> Point | None:
        """The next point of the line to evaluate, or None; as many are passed over as are pending.

        Where all bounds are on exact costs, the place where they are met is found without a trial, and comes first.
        """
        feasible: dict[int, bool | None] = {}
        place = self._exact_place(line)
        while (position := next_position(line.size, feasible) if place is None else place) is not None:
            policy, place = self._policy(line, position), None
            if policy in self._told:
                trial = self._told.complete(policy)
                feasible[position] = None if trial is None else trial.feasible
            elif exactly_feasible(self._problem, policy) is False:
                feasible[position] = False
            elif pending > 0:
                pending -= 1
                feasible[position] = None
            else:
                return line.at(position)
        return None

    def _exact_place(self, line: Line) -> int | None:
        """The feasible side of the place where exact feasibility changes; None where it does not, or is not known."""
        low, high = 0, line.size - 1
        at_low, at_high = (exactly_feasible(self._problem, self._policy(line, end)) for end in (low, high))
        if at_low is None or at_high is None or at_low == at_high:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            like_low = exactly_feasible(self._problem, self._policy(line, middle)) == at_low
            low, high = (middle, high) if like_low else (low, middle)
        return low if at_low else high

    def _policy(self, line: Line, position: int) -> Policy:
        if position not in self._policies:
            self._policies[position] = self._problem.space.canonical(line.at(position))
        return self._policies[position]

    def _best(self) -> Point:
        best = self._told.best
        return self._sensitivities.base if best is None else project(self._problem.space, best.point)


def next_position(size: int, feasible: Mapping[int, bool | None]) -> int | None:
    """The position to try next, or None; known ones are `feasible` or not, or None where that was not learned."""
    for end in (0, size - 1):
        if end not in feasible:
            return end
    known = sorted(feasible)
    gaps = [(low, high) for low, high in pairwise(known) if high - low > 1]
    if not gaps:
        return None

    def wanted(gap: tuple[int, int]) -> tuple[bool, int]:
        low, high = feasible[gap[0]], feasible[gap[1]]
        return low is not None and high is not None and low != high, gap[1] - gap[0]

    low, high = max(gaps, key=wanted)
    return (low + high) // 2


def exactly_feasible(problem: Problem, policy: Policy) -> bool | None:
    """Whether the policy meets the bounds, as far as its exact costs tell; None where that must be measured."""
    costs = problem.space.cost(policy)
    known = [bound for bound in problem.bounds if bound.metric in costs]
    if any(bound.violation(MetricValue(costs[bound.metric])) > 0 for bound in known):
        return False
    return True if known and len(known) == len(problem.bounds) else None
