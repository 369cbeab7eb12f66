"""Uniform policies from light to heavy: the baseline that treats every layer group alike.

The first pass walks `steps` equal steps from neutral to the far end of every parameter, each with every variant of the
categorical ones (all in float32, then all in int8, …); each further pass halves the step and visits the levels between.
Levels that round to a policy of an earlier one are left out, and when none is left the walk begins anew.
Nothing is random and nothing is learned: the n-th ask is the n-th policy of the walk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from moco.interfaces import SearcherCapabilities
from moco.policy import Policy
from moco.problem import Problem
from moco.searchers.shared.option_checks import at_least
from moco.searchers.shared.proposals import ProposalCounter
from moco.space import SearchSpace
from moco.trial import Point, Suggestion, Trial

FINEST = 2**-10  # step of the last pass: finer than the widths of any layer that is met in practice


@dataclass(frozen=True)
class UniformOptions:
    """How coarse the ladder begins."""

    steps: int = 4  # steps of the first pass, >= 1; 4 gives the levels 0, 1/4, 1/2, 3/4 and 1

    def __post_init__(self) -> None:
        at_least("steps", self.steps, 1)


def levels(steps: int) -> Iterator[float]:
    """Levels in [0, 1], from light to heavy within each pass, each level once, down to a step of `FINEST`."""
    yield from (k / steps for k in range(steps + 1))
    for halvings in count(1):
        finer = steps * 2**halvings
        if 1 / finer < FINEST:
            return
        yield from (k / finer for k in range(1, finer, 2))


def ladder(space: SearchSpace, steps: int) -> Iterator[Point]:
    """The uniform points of the space in the order of the walk, each policy once."""
    n_policies = space.n_policies()
    seen: set[Policy] = set()
    for level in levels(steps):
        for variant in range(space.n_variants()):
            point = space.uniform(level, variant)
            policy = space.canonical(point)
            if policy not in seen:
                seen.add(policy)
                yield point
        if len(seen) == n_policies:
            return


class UniformSearcher:
    """Walks the ladder."""

    Options = UniformOptions
    capabilities = SearcherCapabilities()

    def __init__(self, problem: Problem, options: UniformOptions, seed: int) -> None:
        self._asks = ProposalCounter(problem, seed)
        self._rest = ladder(problem.space, options.steps)
        self._walked: list[Point] = []

    def ask(self) -> Suggestion:
        """The next policy of the walk."""
        return self._asks.number(self._rung(self._asks.count))

    def tell(self, trial: Trial) -> None:
        """Count the ask."""
        self._asks.tell(trial)

    def _rung(self, n: int) -> Point:
        while len(self._walked) <= n:
            point = next(self._rest, None)
            if point is None:
                break
            self._walked.append(point)
        return self._walked[n % len(self._walked)]
