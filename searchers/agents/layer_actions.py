"""Actions of a layer, numbers in [0, 1] of which 1 changes it least and 0 most, and the values that they stand for.

Which actions a layer has follows from the parameters of its group, by the last part of their names:

| parameters of the group | actions when shared | otherwise |
|---|---|---|
| `keep`, `rank`, `density`: ratios to keep | one, `ratio`, for all of them | one each |
| `precision` with the choice `mixed`, and both bits | two, `weight` and `activation` (S3.43) | one each |
| `precision` alone, `weight_bits`, `activation_bits`, `method`, or any other | one each | one each |

So a layer has one action for pruning, two for quantization and three for both (S3.40). Layers may differ: the actions
are those of all layers together, and a layer ignores those that it lacks.

S3.43, with r = 1 - action, "how much": where either r exceeds 0.5 the layer is quantized to mixed bits, each number of
bits by min(max((r - 0.5) / 0.5, 0), 1) of the way from most to fewest; else where either exceeds 0.2 it is int8; else
float32. Where other precisions are declared, they share r <= 0.5 equally.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from optuna.distributions import BaseDistribution

from moco.encoding import from_unit, to_unit
from moco.space import LayerGroup, SearchSpace
from moco.trial import Point

RATIOS = ("keep", "rank", "density")
BITS = ("weight_bits", "activation_bits")
MIXED = "mixed"

ABSENT = 1.0  # value of an action that a layer does not have: it changes nothing


@dataclass(frozen=True)
class Single:
    """One action for one parameter."""

    kinds: tuple[str]  # name of the action
    name: str
    distribution: BaseDistribution
    rising: bool = True  # with its coordinate; not where the neutral value is the lowest one or the first choice

    def values(self, actions: Sequence[float]) -> dict[str, Any]:
        """The value at the action's share of the axis."""
        (action,) = actions
        return {self.name: from_unit(self.distribution, action if self.rising else 1 - action)}

    def executed(self, point: Point) -> tuple[float, ...]:
        """The action that stands for what was executed: the coordinate of the value."""
        coordinate = to_unit(self.distribution, point[self.name])
        return (coordinate if self.rising else 1 - coordinate,)


@dataclass(frozen=True)
class SharedRatio:
    """One action for all ratios of a group."""

    kinds: ClassVar = ("ratio",)
    ratios: Mapping[str, BaseDistribution]

    def values(self, actions: Sequence[float]) -> dict[str, Any]:
        """Each ratio at the same share of its axis."""
        (action,) = actions
        return {name: from_unit(distribution, action) for name, distribution in self.ratios.items()}

    def executed(self, point: Point) -> tuple[float, ...]:
        """The lowest coordinate: a ratio that a policy does not use stands at its highest."""
        return (min(to_unit(distribution, point[name]) for name, distribution in self.ratios.items()),)


@dataclass(frozen=True)
class PrecisionAndBits:
    """Two actions, weight and activation, for a precision and its bits (S3.43)."""

    kinds: ClassVar = ("weight", "activation")
    precision: str  # name of the parameter
    choices: tuple[str, ...]  # its own, from the neutral one on
    bits: Mapping[str, BaseDistribution]  # by parameter, the weight's and then the activation's

    @property
    def _plain(self) -> list[tuple[float, str]]:
        """The choices but mixed, with the r up to which each holds."""
        names = [choice for choice in self.choices if choice != MIXED]
        edges = [0.2, 0.5] if len(names) == 2 else [0.5 * (i + 1) / len(names) for i in range(len(names))]
        return list(zip(edges, names, strict=True))

    def values(self, actions: Sequence[float]) -> dict[str, Any]:
        """Precision and bits; bits that are not used are there too, as the space asks for them."""
        reduced = [1 - action for action in actions]
        strongest = max(reduced)
        precision = next((name for edge, name in self._plain if strongest <= edge), MIXED)
        shares = [min(max((r - 0.5) / 0.5, 0.0), 1.0) for r in reduced]
        both = zip(self.bits.items(), shares, strict=True)
        bits = {name: from_unit(distribution, 1 - share) for (name, distribution), share in both}
        return {self.precision: precision, **bits}

    def executed(self, point: Point) -> tuple[float, ...]:
        """The middle of the actions that give the precision, or of those that give the bits."""
        if point[self.precision] == MIXED:
            return tuple(to_unit(distribution, point[name]) / 2 for name, distribution in self.bits.items())
        low = 0.0
        for edge, name in self._plain:
            if name == point[self.precision]:
                return (1 - (low + edge) / 2,) * 2
            low = edge
        raise AssertionError(f"{point[self.precision]} is none of {self.choices}")


Slot = Single | SharedRatio | PrecisionAndBits  # parameters of a group that one action or two set together


@dataclass(frozen=True)
class ActionSet:
    """The actions of a space's layers."""

    kinds: tuple[str, ...]  # names of the A actions
    slots: tuple[tuple[Slot, ...], ...]  # by layer, its slots
    places: tuple[tuple[tuple[int, ...], ...], ...]  # by layer and slot, which of the A actions it takes

    @property
    def mask(self) -> np.ndarray:
        """(layers, A): 1 where a layer has the action, else 0."""
        mask = np.zeros((len(self.slots), len(self.kinds)))
        for layer, places in enumerate(self.places):
            mask[layer, [place for slot in places for place in slot]] = 1.0
        return mask

    def values(self, layer: int, actions: np.ndarray) -> dict[str, Any]:
        """Values of the layer's parameters for actions (A,), which are clipped to [0, 1]."""
        clipped = np.clip(actions, 0.0, 1.0)
        values: dict[str, Any] = {}
        for slot, places in zip(self.slots[layer], self.places[layer], strict=True):
            values |= slot.values([float(clipped[place]) for place in places])
        return values

    def executed(self, layer: int, point: Point) -> np.ndarray:
        """Actions (A,) that stand for what was executed in the layer (W20)."""
        actions = np.full(len(self.kinds), ABSENT)
        for slot, places in zip(self.slots[layer], self.places[layer], strict=True):
            actions[list(places)] = slot.executed(point)
        return actions


def action_set(space: SearchSpace, groups: Sequence[LayerGroup], share: bool) -> ActionSet:
    """The actions of the groups; with `share`, ratios share one, and a precision and its bits two."""
    slots = tuple(tuple(_slots(space, group, share)) for group in groups)
    kinds = tuple(dict.fromkeys(kind for of_layer in slots for slot in of_layer for kind in slot.kinds))
    places = tuple(tuple(tuple(map(kinds.index, slot.kinds)) for slot in of_layer) for of_layer in slots)
    return ActionSet(kinds, slots, places)


def _slots(space: SearchSpace, group: LayerGroup, share: bool) -> list[Slot]:
    kinds, of = _kinds(group.parameters), space.distributions
    named = {kind: name for name, kind in kinds.items()}
    ratios = [named[kind] for kind in RATIOS if share and kind in named]
    pair = _pair(space, named) if share else []
    slots: list[Slot] = [SharedRatio({name: of[name] for name in ratios})] if ratios else []
    if pair:
        precision, *bits = pair
        choices = tuple(getattr(of[precision], "choices", ()))
        slots.append(PrecisionAndBits(precision, choices, {name: of[name] for name in bits}))
    for name in group.parameters:
        if name not in {*ratios, *pair}:
            rising = name not in space.neutral or to_unit(of[name], space.neutral[name]) >= 0.5
            slots.append(Single((kinds[name],), name, of[name], rising))
    return slots


def _pair(space: SearchSpace, named: Mapping[str, str]) -> list[str]:
    """The precision and its two numbers of bits, where S3.43 applies to them; else nothing."""
    found = [named[kind] for kind in ("precision", *BITS) if kind in named]
    complete = len(found) == 1 + len(BITS)
    return found if complete and MIXED in getattr(space.distributions[found[0]], "choices", ()) else []


def _kinds(names: Sequence[str]) -> dict[str, str]:
    """By parameter, what it sets: the last part of its name without a number, or all of it where that is not unique."""
    ends = {name: re.sub(r"\d+$", "", name.rpartition(".")[2]) for name in names}
    counts = Counter(ends.values())
    return {name: end if end and counts[end] == 1 else name for name, end in ends.items()}
