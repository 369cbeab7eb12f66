"""What Python gives to `moco.search` and `moco.compare`, checked: the argument, what was expected and what came.

Each function here raises a ConfigError where something else came. Numbers may be numpy's. What is wrong within options,
points and searchers is found where these are read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from reprlib import repr as shortened
from typing import Any, TypeGuard

from moco.comparison.match import check_seeds
from moco.errors import ConfigError
from moco.problem import Problem
from moco.study import Budget, Start

STARTS = "'none', 'reference' or 'ladder', or a list of these, of points {parameter: value} and of moco.study.Start"


def check_problem(problem: object) -> None:
    """Pass a problem."""
    if not isinstance(problem, Problem):
        raise ConfigError(f"problem: expected a moco.Problem, got {shortened(problem)}")


def check_function(name: str, given: object, takes: str) -> None:
    """Pass what can be called."""
    if not callable(given):
        raise ConfigError(f"{name}: expected a function of {takes}, got {shortened(given)}")


def check_start(start: object) -> None:
    """Pass a start whose parts are of the kinds that there are; whether they fit the space is seen later."""
    if isinstance(start, str):
        return
    if not isinstance(start, Sequence) or isinstance(start, bytes):
        raise ConfigError(f"start: expected {STARTS}, got {shortened(start)}")
    for place, one in enumerate(start):
        point = one.point if isinstance(one, Start) else one
        if not isinstance(point, Mapping) and not isinstance(one, str):
            raise ConfigError(f"start[{place}]: expected a word, a point or a Start of a point, got {shortened(one)}")


def budget_of(trials: object, seconds: object, answer_seconds: object = None) -> Budget:
    """The budget: at least one trial, and seconds above 0 or no limit; likewise for an answer of the searcher's."""
    counted = whole("trials", trials, 1)
    return Budget(counted, _limit("seconds", seconds), _limit("answer_seconds", answer_seconds))


def _limit(name: str, seconds: object) -> float | None:
    if seconds is None:
        return None
    if not _is_number(seconds) or seconds <= 0:
        raise ConfigError(f"{name}: expected a number above 0, or None for no limit, got {seconds!r}")
    return float(seconds)


def whole(name: str, given: object, least: int) -> int:
    """A whole number of at least that."""
    if isinstance(given, bool) or not isinstance(given, Integral) or given < least:
        raise ConfigError(f"{name}: expected at least {least}, a whole number, got {given!r}")
    return int(given)


def seeds_of(seeds: object) -> tuple[int, ...]:
    """The seeds: so many from 0 on, or those that are given; whole numbers of at least 0, each once."""
    if isinstance(seeds, Integral):
        return check_seeds(seeds if isinstance(seeds, bool) else int(seeds))
    if not isinstance(seeds, Iterable) or isinstance(seeds, str | bytes | Mapping):
        raise ConfigError(f"seeds: expected how many, or a list of whole numbers, got {shortened(seeds)}")
    return check_seeds([_plain(seed) for seed in seeds])


def options_given(options: object) -> Mapping[str, Any]:
    """The options by name; none where there are none."""
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise ConfigError(f"options: expected {{option: value}}, got {shortened(options)}")
    return options


def losses_at(point: object, problem: Problem) -> tuple[float, ...]:
    """A reference point, given as a number for each objective, as losses in the problem's order."""
    if not isinstance(point, Mapping):
        raise ConfigError(f"reference_point: expected {{objective: value}}, got {shortened(point)}")
    for name, value in point.items():
        if not _is_number(value):
            raise ConfigError(f"reference_point.{name}: expected a number, got {value!r}")
    return problem.loss_point({name: float(value) for name, value in point.items()})


def seconds_of(name: str, given: object) -> float | None:
    """A duration of at least 0, or None."""
    if given is None:
        return None
    if not _is_number(given) or given < 0:
        raise ConfigError(f"{name}: expected a number of at least 0, or None, got {given!r}")
    return float(given)


def _is_number(given: object) -> TypeGuard[float]:
    """Whether it is a number that a float can hold: neither NaN nor infinite, and no truth value."""
    try:
        return isinstance(given, Real) and not isinstance(given, bool) and math.isfinite(given)
    except OverflowError:  # a whole number beyond all floats
        return False


def _plain(given: Any) -> Any:
    """A whole number of numpy's as Python's; anything else as it is."""
    return int(given) if isinstance(given, Integral) and not isinstance(given, bool) else given
