"""Warnings of strategies before they run: too many trials for one, options that have no effect here.

A default that has no effect is no news, and an experiment out of a run folder spells all defaults out: so an option is
told of only where it differs from its default.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from moco.problem import Problem
from moco.space import SearchSpace
from moco.strategy import Strategy, checked_searcher

AGENTS = ("ddpg", "ppo")
KEEPS_BOUNDS = {**dict.fromkeys(AGENTS, "bounds"), "cmaes": "repair"}
"""By searcher, the option that says how it keeps bounds on costs that the space computes exactly."""


def strategy_warnings(strategies: Sequence[Strategy], problem: Problem, trials: int) -> list[str]:
    """All of them, each once.

    Raises:
        ConfigError: a strategy cannot take the space.
    """
    return [*slow_strategies(strategies, problem.space, trials), *idle_options(strategies, problem)]


def slow_strategies(strategies: Sequence[Strategy], space: SearchSpace, trials: int) -> list[str]:
    """Searchers that are not made for so many trials, each once.

    Raises:
        ConfigError: a strategy cannot take the space.
    """
    searchers = dict.fromkeys(strategy.searcher for strategy in strategies)
    return [text for searcher in searchers for text in checked_searcher(searcher, space, trials)]


def idle_options(strategies: Sequence[Strategy], problem: Problem) -> list[str]:
    """Options that were chosen and have no effect on this problem, by the strategies' labels."""
    return [
        f"{strategy.label}.{text}"
        for strategy in strategies
        for text in (*_state(strategy, problem.space), *_bounds(strategy, problem))
    ]


def _state(strategy: Strategy, space: SearchSpace) -> Iterator[str]:
    """An agent that is to see a sensitivity analysis where there is none."""
    if strategy.searcher not in AGENTS or strategy.options.state != "s3":
        return
    if not any(name.startswith("kl_") for group in space.groups for name in group.features):
        yield (
            "state: 's3' shows no sensitivities: no layer has features kl_*, which space.sensitivity takes from what "
            "`moco sensitivity` has written"
        )


def _bounds(strategy: Strategy, problem: Problem) -> Iterator[str]:
    """A way to keep exact bounds where none can be kept."""
    option = KEEPS_BOUNDS.get(strategy.searcher)
    if option is None:
        return
    chosen = getattr(strategy.options, option)
    if chosen in ("none", getattr(type(strategy.options)(), option)):
        return
    space = problem.space
    known = space.cost(space.canonical(space.uniform(0.0)))
    exact = [bound.metric for bound in problem.bounds if bound.op == "<=" and bound.metric in known]
    if not exact:
        names = f" ({', '.join(known)})" if known else ""
        yield f"{option}: '{chosen}' has no effect: no bound is '<=' on a cost that the space computes exactly{names}"
    elif not _binds(strategy, problem):
        yield f"{option}: '{chosen}' has no effect: even the lightest policy misses the bounds on {', '.join(exact)}"


def _binds(strategy: Strategy, problem: Problem) -> bool:
    """Whether the searcher finds exact bounds that can be kept: asked of the parts that decide it there."""
    # SciPy's statistics, which take a second, only where they are used
    from moco.searchers.agents.layer_walk import LayerWalk
    from moco.searchers.shared.repair import Repair

    found: Any = LayerWalk(problem, strategy.options).cost_bounds if strategy.searcher in AGENTS else Repair(problem)
    return bool(found.binds)
