"""A bound that no policy of the space can meet is refused before the search, with the least that can be reached (W14).

Bounds on what the space computes exactly (MACs, parameters, …) are asked of policies that are moved, one parameter
after the other, towards the bound. Bounds on what must be measured are asked of the extreme policies: the lightest, and
everything compressed as far as it goes, once for each choice of precision. They are built without recovery, which
changes no cost. A measured bound is refused only where all of them miss it by more than their noise and `MARGIN`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from moco.constraints import Bound
from moco.errors import ConfigError
from moco.metrics import ERRORS, shown
from moco.policy import Policy
from moco.problem import Problem
from moco.space import SearchSpace
from moco.trial import Evaluation, MetricValue, Point

MARGIN = 0.1
"""Of a bound: a policy that is not among the extreme ones may be that much better than they are."""
NOISE = 3.0
"""Standard errors of a measured value, within which its bound may be met."""

Measure = Callable[[Policy], Evaluation | None]
"""What a policy spends on the target; None where it cannot be built there."""


def check_reachable(problem: Problem, measure: Measure) -> None:
    """Raise a ConfigError that names a bound which no policy of the space meets, and the least that is reached."""
    known = problem.space.cost(problem.space.canonical(problem.space.uniform(0.0)))
    bounds = [replace(bound, confidence=None) for bound in problem.bounds if bound.metric not in ERRORS]
    exact = [bound for bound in bounds if bound.metric in known]
    for bound in exact:
        point = nearest_to(bound, problem.space)
        cost = MetricValue(problem.space.cost(problem.space.canonical(point))[bound.metric])
        if bound.violation(cost) > 0:
            raise ConfigError(_refusal(bound, cost, problem, "the least it reaches is"))
    measured = [bound for bound in bounds if bound not in exact and bound.metric in problem.reference]
    if known:
        _check_measured(measured, problem, measure)


def empty_promises(problem: Problem) -> Iterator[str]:
    """A warning for each bound on an error that every network meets: an accuracy of 0 % is enough."""
    for bound in problem.bounds:
        if bound.metric in ERRORS and bound.op == "<=" and bound.value >= 1:
            reference = problem.reference[bound.metric].value
            yield (
                f"every network meets the bound on {bound.metric}, at most {shown(bound.metric, bound.value)}, as "
                f"the reference's is {shown(bound.metric, reference)}: what is certified promises nothing"
            )


def _check_measured(bounds: list[Bound], problem: Problem, measure: Measure) -> None:
    """Measure extreme policies until each bound was met by one."""
    missed: dict[Bound, MetricValue] = {}
    open_bounds, policies = bounds, dict.fromkeys(map(problem.space.canonical, extremes(problem.space)))
    for policy in policies:
        if not open_bounds:
            return
        evaluation = measure(policy)
        if evaluation is None:
            return  # what cannot be built says nothing
        metrics = problem.metrics(evaluation)
        open_bounds = [bound for bound in open_bounds if _clearly_missed(bound, metrics[bound.metric])]
        for bound in open_bounds:
            best = missed.get(bound, metrics[bound.metric])
            missed[bound] = min(best, metrics[bound.metric], key=bound.violation)
    for bound in open_bounds:
        raise ConfigError(_refusal(bound, missed[bound], problem, "of its extreme policies the best reaches"))


def extremes(space: SearchSpace) -> Iterator[Point]:
    """The points of the least exact costs, then everything as far from neutral as it goes, with each choice."""
    for metric in space.cost(space.canonical(space.uniform(0.0))):
        yield nearest_to(Bound(metric, "<=", 0.0), space)
    for variant in range(space.n_variants()):
        yield space.uniform(1.0, variant)


def nearest_to(bound: Bound, space: SearchSpace) -> Point:
    """A point that meets the bound on an exact cost, or misses it by the least.

    From the ends of the space, parameters are moved one by one to the value that helps most, until none does. Costs
    are monotone in widths, ranks and bits, so that no policy does better.
    """

    def missed(point: Point) -> float:
        return bound.violation(MetricValue(space.cost(space.canonical(point))[bound.metric]))

    ends = [space.uniform(level, variant) for level in (1.0, 0.0) for variant in range(space.n_variants())]
    best = min(ends, key=missed)
    least, before = missed(best), math.inf
    while 0 < least < before:
        before = least
        for name in space.distributions:
            for value in _ends(space, name):
                moved = {**best, name: value}
                if (now := missed(moved)) < least:
                    best, least = moved, now
    return best


def _ends(space: SearchSpace, name: str) -> list[object]:
    """All choices of a categorical parameter; both ends of another one, and its neutral value."""
    distribution = space.distributions[name]
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    neutral = [space.neutral[name]] if name in space.neutral else []
    return [distribution.low, distribution.high, *neutral]


def _clearly_missed(bound: Bound, value: MetricValue) -> bool:
    return bound.violation(value) > MARGIN + NOISE * (bound.violation_sem(value) or 0.0)


def _refusal(bound: Bound, least: MetricValue, problem: Problem, reached: str) -> str:
    reference = problem.reference.get(bound.metric)
    share = f" ({least.value / reference.value:.3g}x of the reference's)" if reference and reference.value else ""
    asked, best = f"{bound.metric} {bound.op} {shown(bound.metric, bound.value)}", shown(bound.metric, least.value)
    return (
        f"objective: no policy of this space meets {asked}: {reached} {best}{share}; "
        "relax the bound, or widen the experiment's `space`"
    )
