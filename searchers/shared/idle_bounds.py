"""What a searcher says where it is to keep exact bounds and none can be kept.

A default that has no effect is no news, and an experiment out of a run folder spells all defaults out: so an option is
told of only where it differs from its default.
"""

from __future__ import annotations

from typing import Any

from moco.problem import Problem

NONE = "none"


def idle_bounds(option: str, options: Any, problem: Problem, binds: bool) -> list[str]:
    """A line where that option of `options`, a way to keep bounds on exact costs, was chosen and has no effect.

    Args:
        binds: whether the searcher has found exact bounds that can be kept.
    """
    chosen = getattr(options, option)
    if binds or chosen in (NONE, getattr(type(options)(), option)):
        return []
    space = problem.space
    known = space.cost(space.canonical(space.uniform(0.0)))
    exact = [bound.metric for bound in problem.bounds if bound.op == "<=" and bound.metric in known]
    if exact:
        return [f"{option}: '{chosen}' has no effect: even the lightest policy misses the bounds on {', '.join(exact)}"]
    names = f" ({', '.join(known)})" if known else ""
    return [f"{option}: '{chosen}' has no effect: no bound is '<=' on a cost that the space computes exactly{names}"]
