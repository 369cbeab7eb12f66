"""The operators of one forward pass, as they are seen below Python: what each reads and gives, and in which modules.

A tensor that is overwritten is another value from then on, and so is what shares its memory; a copy is the same value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from moco.compression.channels.watching import watching

SAME = frozenset({"clone", "alias", "detach", "lift_fresh"})
"""Operators that give the value that they read."""
IMAGES, OUTSIDE = 0, -1
"""The value that the images are; and who reads what the network gives."""


@dataclass(frozen=True)
class Operator:
    """One operator of a forward pass."""

    name: str  # without the trailing underscore of those that overwrite what they read
    reads: tuple[int, ...]  # values, by number
    gives: tuple[int, ...]
    modules: frozenset[str]  # in whose forward passes it ran
    operands: tuple[int, ...] = ()  # of a sum of two tensors of one shape: their values
    number: int = -1  # of such a sum, among all of them


@dataclass
class Operators:
    """All operators of a forward pass, in their order."""

    all: list[Operator] = field(default_factory=list)
    givers: dict[int, int] = field(default_factory=dict)  # by value, the operator that gave it
    readers: dict[int, list[int]] = field(default_factory=dict)  # by value, the operators that read it
    of_images: set[int] = field(default_factory=lambda: {IMAGES})  # values that depend on the images
    parameters: dict[int, str] = field(default_factory=dict)  # by value, the parameter that it is
    # by module that gave a tuple, which of its items are tensors; a tensor alone is None
    forms: dict[str, tuple[bool, ...] | None] = field(default_factory=dict)

    def add(self, operator: Operator) -> None:
        """Take in the next operator."""
        place = len(self.all)
        self.all.append(operator)
        self.givers |= dict.fromkeys(operator.gives, place)
        for value in operator.reads:
            self.readers.setdefault(value, []).append(place)
        if not self.of_images.isdisjoint(operator.reads):
            self.of_images.update(operator.gives)

    def alive(self) -> Operators:
        """Those without which the network would give something else; what gives no tensor may do anything."""
        wanted = {value for value, readers in self.readers.items() if OUTSIDE in readers}
        kept = Operators(of_images=self.of_images, parameters=self.parameters, forms=self.forms)
        kept.readers = {value: [OUTSIDE] for value in wanted}
        living: list[Operator] = []
        for operator in reversed(self.all):
            if not operator.gives or not wanted.isdisjoint(operator.gives):
                wanted.update(operator.reads)
                living.append(operator)
        for operator in reversed(living):
            kept.add(operator)
        return kept


def operators_of(network: nn.Module, images: torch.Tensor) -> Operators:
    """The operators that matter of a forward pass of `images` (n, channels, height, width)."""
    tracer = _Tracer()
    tracer.know(images)
    for name, parameter in network.named_parameters():
        tracer.operators.parameters[tracer.know(parameter)] = name
    with torch.no_grad(), tracer.watching(network), tracer:
        output = network(images)
    for tensor in _tensors(output):
        tracer.operators.readers.setdefault(tracer.know(tensor), []).append(OUTSIDE)
    return tracer.operators.alive()


def is_sum(func: Any, args: Sequence[Any], options: Mapping[str, Any]) -> bool:
    """Whether an operator is a plain sum of two tensors of one shape."""
    return (
        options.get("alpha", 1) == 1
        and func.overloadpacket.__name__ in {"add", "add_"}
        and len(args) > 1
        and all(isinstance(arg, torch.Tensor) for arg in args[:2])
        and args[0].shape == args[1].shape
    )


@dataclass(eq=False)
class _Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operator, and numbers the value of every tensor."""

    operators: Operators = field(default_factory=Operators)
    _known: dict[int, tuple[torch.Tensor, int]] = field(default_factory=dict)  # an id is unique while its tensor lives
    _sharing: dict[int, list[torch.Tensor]] = field(default_factory=dict)  # by place in memory, the tensors there
    _modules: list[str] = field(default_factory=list)
    _count: int = 0
    _sums: int = 0

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # as in the flow of channels

    def know(self, tensor: torch.Tensor) -> int:
        """The number of the tensor's value."""
        if id(tensor) not in self._known:
            self._set(tensor, self._fresh())
        return self._known[id(tensor)][1]

    def watching(self, network: nn.Module) -> AbstractContextManager[None]:
        """Within, it is told of every module that a forward pass enters and leaves."""
        return watching(network, self._enter, self._leave)

    def _enter(self, name: str, module: nn.Module, inputs: object) -> None:
        del module, inputs
        self._modules.append(name)

    def _leave(self, name: str, module: nn.Module, inputs: object, output: Any) -> None:
        del module, inputs
        self._modules.pop()
        is_tuple = isinstance(output, list | tuple)
        self.operators.forms[name] = tuple(isinstance(item, torch.Tensor) for item in output) if is_tuple else None

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        kwargs = kwargs or {}
        read = list(_tensors([*args, *kwargs.values()]))
        reads = tuple(map(self.know, read))
        operands = reads[:2] if is_sum(func, args, kwargs) else ()
        result = func(*args, **kwargs)
        name, given = func.overloadpacket.__name__, list(_tensors(result))
        if name in SAME and len(given) == 1:
            self._set(given[0], reads[0])
            return result
        written = [
            arg
            for arg, said in zip(args, func._schema.arguments, strict=False)
            if said.alias_info is not None and said.alias_info.is_write and isinstance(arg, torch.Tensor)
        ]
        written += _tensors(kwargs.get("out"))
        fresh = {id(tensor): tensor for tensor in (*given, *written)}
        if not written:  # an operator that gives back what it reads, such as a reshape to the same shape, does nothing
            fresh = {key: tensor for key, tensor in fresh.items() if key not in map(id, read)}
        values = tuple(self._renewed(tensor) for tensor in fresh.values())
        if values or not given:
            self._record(name.removesuffix("_"), reads, values, operands)
        for tensor in written:
            self._spread(tensor)
        return result

    def _spread(self, written: torch.Tensor) -> None:
        """What shares memory with a tensor that was overwritten is another value, too."""
        for other in self._sharing.get(_memory(written), ()):
            if other is not written:
                reads = self.know(other), self.know(written)
                self._record("overwritten", reads, (self._renewed(other),), ())

    def _record(self, name: str, reads: tuple[int, ...], gives: tuple[int, ...], operands: tuple[int, ...]) -> None:
        number = self._sums if operands else -1
        self._sums += bool(operands)
        self.operators.add(Operator(name, reads, gives, frozenset(self._modules), operands, number))

    def _renewed(self, tensor: torch.Tensor) -> int:
        self._set(tensor, value := self._fresh())
        return value

    def _set(self, tensor: torch.Tensor, value: int) -> None:
        if id(tensor) not in self._known:
            self._sharing.setdefault(_memory(tensor), []).append(tensor)
        self._known[id(tensor)] = tensor, value

    def _fresh(self) -> int:
        self._count += 1
        return self._count - 1


def _memory(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _tensors(items: Any) -> Iterator[torch.Tensor]:
    if isinstance(items, torch.Tensor):
        yield items
    elif isinstance(items, list | tuple):
        for item in items:
            yield from _tensors(item)
    elif isinstance(items, dict):
        yield from _tensors(list(items.values()))
