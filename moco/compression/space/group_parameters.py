"""What may be done to one layer group: its parts, one a method, their parameters, and how many policies they give."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from optuna.distributions import BaseDistribution

from moco.compression.methods.method import Method
from moco.compression.space.context import SpaceContext
from moco.compression.space.layer_groups import Grouped
from moco.compression.space.parameters import Options, Parameter, Part
from moco.setting_owners import method_of
from moco.trial import Point

METHOD = "method"  # the kind of the parameter that says which one a group takes
NONE = "none"  # what a group that chooses its method may choose too


@dataclass(frozen=True)
class Choice:
    """A layer group with what can be chosen for it."""

    group: Grouped
    # of the methods that have something to do there, in the order in which a space has their parameters
    parts: tuple[tuple[Method, Part], ...]
    # the names of those that may be applied one at a time, and `none`; None where all are applied together
    method: Options | None = None

    @cached_property
    def chosen(self) -> Part:
        """The choice of the method as a part of its own."""
        return Part(self.group.name, (), {} if self.method is None else {METHOD: self.method})

    def applies(self, method: Method, point: Point) -> bool:
        """Whether a method is applied at the point."""
        return self.method is None or not method.is_chosen or self.chosen.values(point)[METHOD] == method.name

    def distributions(self) -> dict[str, BaseDistribution]:
        """Optuna's distributions by parameter, in their order."""
        return {name: parameter.distribution() for name, parameter in self._open.items()}

    @cached_property
    def neutral(self) -> dict[str, Any]:
        """The values that change least, by parameter, words before numbers."""
        words_first = sorted(self._open.items(), key=lambda entry: not isinstance(entry[1], Options))
        return {name: parameter.neutral for name, parameter in words_first}

    def executed_method(self, settings: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        """The choice of the method that a policy's settings stand for, as a part of a point."""
        if self.method is None:
            return {}
        done = [
            other
            for method, part in self.parts
            for name in part.names
            for other in map(method_of, settings.get(name, {}))
            if other.is_chosen and (other.name == method.name or other.removes_channels & method.removes_channels)
        ]
        first = min(done, key=lambda method: (method.order, not method.refits_readers), default=None)
        return self.chosen.point({METHOD: NONE if first is None else first.name})

    @cached_property
    def _open(self) -> dict[str, Parameter]:
        parts = (self.chosen, *(part for _, part in self.parts))
        return {name: parameter for part in parts for name, parameter in part.open.values()}


MOST_COMBINATIONS = 4096  # policies are counted for each combination of precisions, where there are no more than that


def exact_count(choices: Sequence[Choice], context: SpaceContext) -> int | None:
    """Number of distinct policies; None where a method does not count its settings, or there are too many to count.

    It is the sum over all combinations of precisions, because the settings of other methods may depend on them.
    """
    parts = [entry for choice in choices for entry in choice.parts]
    if any(choice.method is not None for choice in choices):
        return None
    fixed = {layer: names[0] for layer, names in context.runs_in.items() if len(names) == 1}
    neutral = {layer: names[0] for layer, names in context.runs_in.items()}
    if any(method.n_settings(part, neutral, context) is None for method, part in parts):
        return None
    chosen = [(part.names, names) for method, part in parts if len(names := method.runs_in(part)) > 1]
    combinations = math.prod(len(names) for _, names in chosen)

    def counted(precisions: Mapping[str, str]) -> int:
        return math.prod(method.n_settings(part, {**fixed, **precisions}, context) or 0 for method, part in parts)

    if not any(method.depends_on_precisions(part, context) for method, part in parts):
        return combinations * counted({})
    if combinations > MOST_COMBINATIONS:
        return None
    return sum(
        counted({layer: name for (layers, _), name in zip(chosen, combination, strict=True) for layer in layers})
        for combination in product(*(names for _, names in chosen))
    )


def most_policies(choices: Sequence[Choice], context: SpaceContext) -> int:
    """An upper bound of the number of policies; methods that share their parameters count once."""
    most = 1
    for choice in choices:
        sizes = {tuple(part.parameters): method.most_settings(part, context) for method, part in choice.parts}
        most *= math.prod(sizes.values()) * (1 if choice.method is None else len(choice.method.choices))
    return most
