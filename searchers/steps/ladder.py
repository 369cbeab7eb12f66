"""Uniform policies by kind of parameter: all ratios to keep alike, all bits of weights alike, from light to heavy.

A *kind* is what the parameters of all layer groups are called after the group's name: `layer1.0.keep` and
`layer2.0.keep` are of kind `keep`. The ladder is the simplex lattice of the kinds' depths (H. Scheffe, "Experiments
with mixtures", 1958): depths that are multiples of 1 / degree and sum to 1 at most, so one kind goes all the way while
the others rest, and together they go a part of it.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from moco.encoding import encode, from_unit, to_unit
from moco.policy import Policy
from moco.searchers.agents.layer_states import LEAST_DIVERGENCE
from moco.searchers.steps.measured_curves import declared_growth
from moco.space import SearchSpace, between, from_neutral, n_values
from moco.trial import Point

FINEST_DEGREE = 8  # of the lattice of a single kind: beyond it neighbours differ by less than is measured
STEP = 0.1  # a single step of a parameter of many values, or of a continuous one, of its range
MOST_UNIFORM = 2000  # uniform policies among which the next rung is chosen


def kinds(space: SearchSpace) -> dict[str, tuple[str, ...]]:
    """Parameters by kind, in the order of the space; empty for a plain space of which nothing is known.

    Of layer groups the names tell the kinds. Without groups, parameters of a neutral value and a distribution that are
    the same are of a kind; where few are, all are of one.
    """
    found: dict[str, list[str]] = {}
    if not space.groups and not space.neutral:
        return {}
    for name, distribution in space.distributions.items():
        kind = kind_of(name) if space.groups else f"{distribution} from {space.neutral[name]}"
        found.setdefault(kind, []).append(name)
    if not space.groups and 2 * len(found) > len(space.distributions):
        return {"all": tuple(space.distributions)}
    return {kind: tuple(names) for kind, names in found.items()}


def kind_of(name: str) -> str:
    """What a parameter is called after its group, without the numbers that tell it from others: `keep`, `w` of `w3`."""
    without = (re.sub(r"[\W_]*\d+", "", part).strip("_") for part in (name.rpartition(".")[2], name))
    return next((kind for kind in without if kind), name)


def at_depth(distribution: BaseDistribution, depth: float, neutral: object) -> Any:
    """The value that lies `depth` (0 to 1) of the way from neutral to the far end; of choices, in their order."""
    if isinstance(distribution, CategoricalDistribution):
        choices = from_neutral(distribution, neutral)
        return choices[round(depth * (len(choices) - 1))]
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    start = distribution.high if neutral is None else float(neutral)  # type: ignore[arg-type]
    far = distribution.low if _falls(distribution, neutral) else distribution.high
    return between(distribution, start, far, depth)


def uniform(space: SearchSpace, depths: Mapping[str, float]) -> Point:
    """The point whose parameters of each kind lie at that kind's depth."""
    kind_of = {name: kind for kind, names in kinds(space).items() for name in names}
    return {n: at_depth(space.distributions[n], depths[kind], space.neutral.get(n)) for n, kind in kind_of.items()}


def rungs(space: SearchSpace, most: int) -> list[Point]:
    """The ladder: at most so many uniform policies, each once, from light to heavy; none for a plain space."""
    names = list(kinds(space))
    if not names:
        return []
    degree = max((d for d in range(1, FINEST_DEGREE + 1) if math.comb(d + len(names), d) <= most), default=1)
    lattice = sorted(_lattice(len(names), degree), key=lambda steps: (sum(steps), [-s for s in steps]))
    found: dict[Policy, Point] = {}
    for steps in lattice:
        point = uniform(space, {name: step / degree for name, step in zip(names, steps, strict=True)})
        found.setdefault(space.canonical(point), point)
    return list(found.values())[:most]


def opening(space: SearchSpace) -> list[Point]:
    """What a ladder that learns begins with: neutral, all kinds half way, and each kind half way alone."""
    names = list(kinds(space))
    alone = [{other: 0.5 * (other == name) for other in names} for name in names]
    depths = [dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.5), *(alone if len(names) > 1 else ())]
    found: dict[Policy, Point] = {}
    for depth in depths if names else ():
        point = uniform(space, depth)
        found.setdefault(space.canonical(point), point)
    return list(found.values())


def all_uniform(space: SearchSpace) -> np.ndarray:
    """(n, n_parameters) coordinates of uniform policies, spread over the depths of all kinds: the rungs that may be."""
    of = kinds(space)
    if not of:
        return np.empty((0, len(space.distributions)))
    sizes = [max(n_values(space.distributions[name]) or MOST_UNIFORM for name in names) for names in of.values()]
    levels = [np.linspace(0.0, 1.0, count) for count in levels_of(sizes, MOST_UNIFORM)]
    points = [uniform(space, dict(zip(of, depths, strict=True))) for depths in itertools.product(*levels)]
    return np.unique([encode(space, point) for point in points], axis=0)


def levels_of(sizes: Sequence[int], most: int) -> list[int]:
    """How many levels of each kind there are so that there are at most so many combinations, as alike as sizes allow.

    One of each that can be varied at all, and no more, where even two of each are too many.
    """
    found = [1 for _ in sizes]
    while True:
        growing = [i for i, size in enumerate(sizes) if found[i] < size]
        growing = [i for i in growing if math.prod(found) // found[i] * (found[i] + 1) <= most]
        if not growing:
            return found
        found[min(growing, key=lambda i: found[i])] += 1


def single_steps(space: SearchSpace, base: Point, most: int) -> list[Point]:
    """The policies that differ from the base by one parameter, a step away from neutral, at most so many.

    Those that save most come first; where the space has a sensitivity analysis of every parameter that can be moved,
    those that save most for the divergence that it expects.
    """
    before = space.cost(space.canonical(base))
    found: dict[Policy, tuple[float, float | None, Point]] = {}
    for name in space.distributions:
        point = {**base, name: deeper(space.distributions[name], base[name], space.neutral.get(name))}
        policy = space.canonical(point)
        saved = sum(1 - cost / before[key] for key, cost in space.cost(policy).items() if before[key])
        found.setdefault(policy, (saved, declared_growth(space, name, base[name], point[name]), point))
    found.pop(space.canonical(base), None)
    analysed = all(growth is not None for _, growth, _ in found.values())

    def worth(step: tuple[float, float | None, Point]) -> float:
        saved, growth, _ = step
        return saved / max(growth or 0.0, LEAST_DIVERGENCE) if analysed else saved

    return [point for _, _, point in sorted(found.values(), key=worth, reverse=True)][:most]


def deeper(distribution: BaseDistribution, value: object, neutral: object) -> Any:
    """The value one step further from neutral: the next, at least a tenth of the range away; the furthest stays."""
    if isinstance(distribution, CategoricalDistribution):
        choices = from_neutral(distribution, neutral)
        return choices[min(choices.index(value) + 1, len(choices) - 1)]
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    assert isinstance(value, (int, float))
    step = max(1 / (n_values(distribution) or math.inf), STEP)
    away = -1.0 if _falls(distribution, neutral) else 1.0
    return from_unit(distribution, to_unit(distribution, value) + away * step)


def _falls(distribution: FloatDistribution | IntDistribution, neutral: object) -> bool:
    """Whether the far end is the lower bound."""
    start = distribution.high if neutral is None else float(neutral)  # type: ignore[arg-type]
    return start - distribution.low >= distribution.high - start


def _lattice(kinds_left: int, steps_left: int) -> Iterator[tuple[int, ...]]:
    """Every way to spend at most so many steps on the kinds."""
    if kinds_left == 0:
        yield ()
        return
    for first in range(steps_left + 1):
        for rest in _lattice(kinds_left - 1, steps_left - first):
            yield (first, *rest)
