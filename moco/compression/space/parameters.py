"""The parameters that a method sets for a layer group: ratios, choices and whole numbers, with their neutral values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from moco.trial import Point

Counts = Sequence[float]  # how much of each layer is left: channels, ranks, weights


Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class _Numbers(Generic[Number]):
    """Numbers in [low, high]; the highest changes least."""

    low: Number
    high: Number

    @property
    def is_open(self) -> bool:
        """Whether it is a parameter of the space."""
        return True

    @property
    def neutral(self) -> Number:
        """The value that changes least."""
        return self.high

    def nearest(self, value: Number) -> Number:
        """The value of this parameter that is nearest to one of another space."""
        return min(max(value, self.low), self.high)


class Ratio(_Numbers[float]):
    """A ratio to keep, in [low, high]."""

    def distribution(self) -> BaseDistribution:
        """Optuna's."""
        return FloatDistribution(self.low, self.high)

    def leaving(self, wanted: Counts, left: Callable[[float], Counts], guess: float) -> float:
        """A ratio that leaves exactly what is wanted of every layer; `guess` where there is none.

        What a ratio leaves, `left`, may only grow with it, layer by layer in the order of `wanted`. So what leaves too
        little of one layer is too low for all: if it leaves too much of another one, no ratio will do.
        """
        low, high, ratio = self.low, self.high, guess
        for _ in range(60):  # a ratio is a float: after that nothing is left between the ends
            found = left(ratio)
            too_low = any(count < goal for count, goal in zip(found, wanted, strict=True))
            too_high = any(count > goal for count, goal in zip(found, wanted, strict=True))
            if not too_low and not too_high:
                return ratio
            if too_low and too_high:
                return guess
            low, high = (ratio, high) if too_low else (low, ratio)
            ratio = (low + high) / 2
        return guess


@dataclass(frozen=True)
class ListedRatio(Ratio):
    """A ratio to keep, one of some; a single one is set without being a parameter."""

    values: tuple[float, ...] = ()  # ascending

    @staticmethod
    def of(values: Iterable[float]) -> ListedRatio:
        """That of these values, at least one."""
        ascending = tuple(sorted(set(values)))
        return ListedRatio(ascending[0], ascending[-1], ascending)

    @property
    def is_open(self) -> bool:
        """Whether there is more than one, and so a parameter."""
        return len(self.values) > 1

    def nearest(self, value: float) -> float:
        """The value of the list that is nearest, of two the higher."""
        return min(self.values, key=lambda other: (abs(other - value), -other))

    def distribution(self) -> BaseDistribution:
        """Optuna's."""
        return CategoricalDistribution(self.values)

    def leaving(self, wanted: Counts, left: Callable[[float], Counts], guess: float) -> float:
        """The ratio of the list that leaves just that; `guess` where none does."""
        return next((value for value in self.values if list(left(value)) == list(wanted)), guess)


class WholeNumbers(_Numbers[int]):
    """A whole number in [low, high], such as bits."""

    def distribution(self) -> BaseDistribution:
        """Optuna's."""
        return IntDistribution(self.low, self.high)


class SetNumber(WholeNumbers):
    """A whole number that is set without being a parameter."""

    @property
    def is_open(self) -> bool:
        """Never."""
        return False


@dataclass(frozen=True)
class Options:
    """One of some words, the neutral one first; a single one is set without being a parameter."""

    choices: tuple[str, ...]

    @property
    def is_open(self) -> bool:
        """Whether there is more than one choice, and so a parameter."""
        return len(self.choices) > 1

    @property
    def neutral(self) -> str:
        """The choice that changes least."""
        return self.choices[0]

    def distribution(self) -> BaseDistribution:
        """Optuna's."""
        return CategoricalDistribution(self.choices)

    def nearest(self, value: str) -> str:
        """The value itself, or the neutral one where it is none of these."""
        return value if value in self.choices else self.neutral


Parameter = Ratio | WholeNumbers | Options


def n_values(parameter: Parameter) -> int:
    """How many values a parameter has that is no ratio."""
    assert not isinstance(parameter, Ratio), "a method with a ratio says itself how many settings it gives"
    return len(parameter.choices) if isinstance(parameter, Options) else parameter.high - parameter.low + 1


@dataclass(frozen=True)
class Part:
    """What a method may do to one layer group."""

    group: str
    names: tuple[str, ...]  # the layers, or the channel groups, that the method's settings are of
    parameters: Mapping[str, Parameter]  # by kind, such as `keep`; the space calls them `<group>.<kind>`

    @cached_property
    def open(self) -> dict[str, tuple[str, Parameter]]:
        """By kind, the name and the parameter of those that the space holds."""
        return {kind: (f"{self.group}.{kind}", found) for kind, found in self.parameters.items() if found.is_open}

    @cached_property
    def _set(self) -> dict[str, Any]:
        """What is set without being a parameter, and the neutral values of what is."""
        return {kind: parameter.neutral for kind, parameter in self.parameters.items()}

    def values(self, point: Point) -> dict[str, Any]:
        """What the point sets, by kind."""
        return {**self._set, **{kind: point[name] for kind, (name, _) in self.open.items()}}

    def point(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values by kind as a part of a point, each the nearest that the parameter has."""
        return {name: found.nearest(values[kind]) for kind, (name, found) in self.open.items() if kind in values}
