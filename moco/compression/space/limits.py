"""Limits of single parameters: a range of its own for one layer group's ratio, some values, one of some methods.

What a parameter may be follows from the options of the methods, alike for all groups; a limit narrows it for one group.
A parameter that is left with one value is set to it, and is none of the space's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from moco.compression.space.group_parameters import METHOD, Choice
from moco.compression.space.parameters import ListedRatio, Options, Parameter, Ratio, SetNumber, WholeNumbers
from moco.errors import SpaceError, nearest

WHERE = "space.limits"


@dataclass(frozen=True)
class Limit:
    """What a parameter may be: numbers from `low` to `high`, or one of the `values`."""

    low: float | None = None
    high: float | None = None
    values: tuple[Any, ...] | None = None


def limited(choice: Choice, limits: Mapping[str, Limit]) -> Choice:
    """The choice with its parameters within the limits; a SpaceError names one that leaves nothing of a parameter."""
    if not limits:
        return choice
    parts = tuple(
        (method, replace(part, parameters=dict(_narrowed(choice.group.name, part.parameters, limits))))
        for method, part in choice.parts
    )
    kept = None if choice.method is None else dict(_narrowed(choice.group.name, {METHOD: choice.method}, limits))
    word = None if kept is None else kept[METHOD]
    assert word is None or isinstance(word, Options)
    return Choice(choice.group, parts, word)


def check_limits(limits: Mapping[str, Limit], choices: Sequence[Choice]) -> None:
    """Pass limits of parameters that there are; a SpaceError names the nearest one."""
    known = [f"{choice.group.name}.{kind}" for choice in choices for kind in _kinds(choice)]
    for name in limits:
        if name not in known:
            raise SpaceError(f"{WHERE}: the space has no parameter '{name}'{nearest(name, known)}")


def _kinds(choice: Choice) -> Iterator[str]:
    yield from choice.chosen.parameters
    for _, part in choice.parts:
        yield from part.parameters


def _narrowed(
    group: str, parameters: Mapping[str, Parameter], limits: Mapping[str, Limit]
) -> Iterator[tuple[str, Parameter]]:
    for kind, parameter in parameters.items():
        limit = limits.get(f"{group}.{kind}")
        yield kind, parameter if limit is None else _within(parameter, limit, f"{WHERE}.{group}.{kind}")


def _within(parameter: Parameter, limit: Limit, where: str) -> Parameter:
    if isinstance(parameter, Options):
        return _words(parameter, limit, where)
    if isinstance(parameter, WholeNumbers):
        return _whole(parameter, limit, where)
    between = f"between {parameter.low:g} and {parameter.high:g}"
    if limit.values is not None:
        for value in limit.values:
            if not _is_number(value) or not parameter.low <= value <= parameter.high:
                raise SpaceError(f"{where}: expected values {between}, got {value!r}")
        return ListedRatio.of(map(float, limit.values))
    low = parameter.low if limit.low is None else limit.low
    high = parameter.high if limit.high is None else limit.high
    if not parameter.low <= low <= high <= parameter.high:
        raise SpaceError(f"{where}: expected min and max {between}, got {low:g} and {high:g}")
    return Ratio(low, high) if low < high else ListedRatio.of((low,))


def _whole(parameter: WholeNumbers, limit: Limit, where: str) -> WholeNumbers:
    low, high = (
        (parameter.low if limit.low is None else limit.low),
        (parameter.high if limit.high is None else limit.high),
    )
    if limit.values is not None:
        if len(limit.values) > 1:
            raise SpaceError(f"{where}: it is a whole number: expected min and max, or a single value")
        low = high = limit.values[0]
    whole = all(_is_number(value) and value == int(value) for value in (low, high))
    if not whole or not parameter.low <= low <= high <= parameter.high:
        came = f"{low!r}" if limit.values is not None else f"{low:g} and {high:g}"
        raise SpaceError(f"{where}: expected whole numbers between {parameter.low} and {parameter.high}, got {came}")
    return WholeNumbers(int(low), int(high)) if low < high else SetNumber(int(low), int(high))


def _words(parameter: Options, limit: Limit, where: str) -> Options:
    if limit.values is None:
        raise SpaceError(f"{where}: expected values, some of {', '.join(parameter.choices)}")
    for value in limit.values:
        if value not in parameter.choices:
            raise SpaceError(
                f"{where}: expected one of its choices, got {value!r}{nearest(str(value), parameter.choices)}"
            )
    return Options(tuple(choice for choice in parameter.choices if choice in limit.values))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
