"""Residual branches: what a network can do without and keep its shapes, found from the operators of a forward pass.

A branch is the operand b of a sum s + b whose every path begins at s, the other operand, and of which nothing else
reads anything: without it the sum is s. What a network calls its modules, and of which class they are, says nothing.
Each is proven: with stand-ins for its modules the network gives what it gives with zeros for b.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import torch
from torch import nn

from moco.compression.channels.branch_removal import Removal, fault
from moco.compression.channels.operators import OUTSIDE, Operators, operators_of
from moco.compression.channels.surgery import within
from moco.compression.counting import Counts
from moco.errors import CompressionError, in_one_line


@dataclass(frozen=True)
class Branch:
    """A residual branch that can be left out."""

    name: str  # of the module that holds it and no other branch, else of its module with most parameters
    removed: tuple[str, ...]  # modules, and parameters of others, that go with all that is in them
    layers: tuple[str, ...]  # its convolutions and linear layers, in the order of the forward pass
    removal: Removal = field(repr=False)


@dataclass(frozen=True)
class Branches:
    """The residual branches of a network."""

    all: tuple[Branch, ...] = ()  # in the order of the forward pass
    left_out: Mapping[str, str] = field(default_factory=dict)  # those that cannot go, and the reason
    images: torch.Tensor = field(default_factory=lambda: torch.empty(0), repr=False)  # that they were found with

    @property
    def by_name(self) -> dict[str, Branch]:
        """The branches by name."""
        return {branch.name: branch for branch in self.all}

    def without(self, reasons: Mapping[str, str]) -> Branches:
        """Without these, each for its reason."""
        left = tuple(branch for branch in self.all if branch.name not in reasons)
        return Branches(left, {**self.left_out, **reasons}, self.images)


def residual_branches(network: nn.Module, images: torch.Tensor, counts: Counts) -> Branches:
    """The branches of `network`, in evaluation mode, found with `images` (n, channels, height, width).

    Of nested ones it is the inner ones. The network is left as it was. A CompressionError where it does not run.
    """
    try:
        operators = operators_of(network, images)
    except Exception as error:  # a forward pass fails in many ways; each means that nothing is known of it
        raise CompressionError(f"the network's residual branches cannot be traced: {in_one_line(error)}") from error
    found = [each for inside in _insides(operators) if (each := _found(network, operators, inside)) is not None]
    proven, refused = _proven(network, images, found)
    names = _names(proven, network)
    layers = list(dict.fromkeys(layer.name for layer in counts.layers))
    branches = tuple(
        Branch(name, each.removed, tuple(layer for layer in layers if within(layer, each.removed)), each.removal)
        for name, each in zip(names, proven, strict=True)
    )
    why = {name: why for each, why in refused if (name := _holder(each.removed)) not in names}
    return Branches(branches, why, images)


@dataclass(frozen=True)
class _Inside:
    """The operators of a branch."""

    sum: int  # the operator that adds it
    number: int  # of that, among all sums
    side: int  # which operand of it the branch is
    places: frozenset[int]


@dataclass(frozen=True)
class _Found:
    """A branch by the modules that it is made of."""

    inside: _Inside
    removal: Removal
    removed: tuple[str, ...]  # those of the modules, and tensors, that hold parameters
    shared: str | None  # why its parameters cannot go

    def holds(self, other: _Found) -> bool:
        """Whether another branch lies in it."""
        return other.inside.sum in self.inside.places


def _proven(
    network: nn.Module, images: torch.Tensor, found: Sequence[_Found]
) -> tuple[list[_Found], list[tuple[_Found, str]]]:
    """Those that can be left out, in the order of the forward pass, and the others with the reason of each.

    One that holds another is asked for only where the inner one cannot go.
    """
    proven: list[_Found] = []
    refused: list[tuple[_Found, str]] = []
    pending = list(found)
    while pending:
        inner = [each for each in pending if not any(each.holds(other) for other in pending)]
        new = [(each, each.shared) for each in inner if each.shared is not None]
        new += _faulty(network, images, [each for each in inner if each.shared is None])
        refused += new
        proven += [each for each in inner if each not in [faulty for faulty, _ in new]]
        pending = [each for each in pending if each not in inner and not any(each.holds(other) for other in proven)]
    return sorted(proven, key=lambda each: each.inside.sum), refused


def _faulty(network: nn.Module, images: torch.Tensor, found: Sequence[_Found]) -> list[tuple[_Found, str]]:
    """The branches that cannot be left out, found by halving, with the reason of each."""
    reason = fault(network, images, [each.removal for each in found]) if found else None
    if reason is None:
        return []
    if len(found) == 1:
        return [(found[0], reason)]
    half = len(found) // 2
    return [*_faulty(network, images, found[:half]), *_faulty(network, images, found[half:])]


def _insides(operators: Operators) -> Iterator[_Inside]:
    """What may be branches by their operators."""
    for place, operator in enumerate(operators.all):
        for side, value in enumerate(operator.operands):
            inside = _between(operators, operator.operands[1 - side], value)
            if inside and _is_closed(operators, inside, place):
                yield _Inside(place, operator.number, side, frozenset(inside))


def _between(operators: Operators, start: int, end: int) -> set[int]:
    """The operators on all ways from one value to another; empty where a way begins elsewhere at the images."""
    inside: set[int] = set()
    left = [end]
    while left:
        value = left.pop()
        if value == start:
            continue
        giver = operators.givers.get(value)
        if giver is None:
            if value in operators.of_images:
                return set()
        elif giver not in inside:
            inside.add(giver)
            left += operators.all[giver].reads
    # constants that are also read elsewhere are no part of it
    while shared := {p for p in inside if _is_constant(operators, p) and _outside(operators, p, inside)}:
        inside -= shared
    return inside if any(start in operators.all[place].reads for place in inside) else set()


def _is_closed(operators: Operators, inside: set[int], place: int) -> bool:
    """Whether nothing but the sum reads what is inside."""
    return not any(_outside(operators, each, {*inside, place}) for each in inside)


def _is_constant(operators: Operators, place: int) -> bool:
    return operators.of_images.isdisjoint(operators.all[place].gives)


def _outside(operators: Operators, place: int, inside: Collection[int]) -> bool:
    """Whether something that is not inside reads what an operator gives."""
    values = operators.all[place].gives
    return any(reader == OUTSIDE or reader not in inside for v in values for reader in operators.readers.get(v, ()))


def _found(network: nn.Module, operators: Operators, inside: _Inside) -> _Found | None:
    """The modules and tensors of a branch; None where it has no parameters."""
    ran: dict[str, list[int]] = {}
    for place, operator in enumerate(operators.all):
        for name in operator.modules:
            ran.setdefault(name, []).append(place)
    whole = {name for name, places in ran.items() if inside.places.issuperset(places)}
    largest = [name for name in ran if name in whole and not within(name.rpartition(".")[0], whole)]
    read = {name for place in inside.places for name in _parameters(operators, place)}
    if not read:
        return None
    tensors = tuple(sorted(name for name in read if not within(name, largest)))
    removal = Removal(inside.number, inside.side, {name: operators.forms[name] for name in largest}, tensors)
    holding = [name for name in largest if any(True for _ in network.get_submodule(name).parameters())]
    going = {id(p) for name in holding for p in network.get_submodule(name).parameters()}
    going |= {id(network.get_parameter(name)) for name in tensors}
    staying = {
        name: parameter
        for name, parameter in network.named_parameters(remove_duplicate=False)
        if not within(name, (*largest, *tensors))
    }
    elsewhere = {
        name for place in set(range(len(operators.all))) - inside.places for name in _parameters(operators, place)
    }
    shared = next((name for name, parameter in staying.items() if id(parameter) in going), None)
    shared = shared or next((name for name in tensors if name in elsewhere), None)
    told = None if shared is None else f"it shares '{shared}' with what stays"
    return _Found(inside, removal, (*holding, *tensors), told)


def _parameters(operators: Operators, place: int) -> Iterator[str]:
    return (operators.parameters[value] for value in operators.all[place].reads if value in operators.parameters)


def _names(found: Sequence[_Found], network: nn.Module) -> list[str]:
    """The module that holds a branch, where that holds no other one; else the branch's module with most parameters."""
    holders = [_holder(each.removed) for each in found]
    shared = {"", *(name for name, count in Counter(holders).items() if count > 1)}
    return [
        _heaviest(network, each.removal.modules) if holder in shared else holder
        for holder, each in zip(holders, found, strict=True)
    ]


def _holder(names: Iterable[str]) -> str:
    """The innermost module that holds all of these."""
    paths = [name.split(".") for name in names]
    same = (len(set(parts)) == 1 for parts in zip(*paths, strict=False))
    return ".".join(part for part, _ in zip(paths[0], takewhile(bool, same), strict=False))


def _heaviest(network: nn.Module, names: Iterable[str]) -> str:
    return max(names, key=lambda name: sum(p.numel() for p in network.get_submodule(name).parameters()))
