"""A residual branch really left out: stand-ins without parameters for its modules, and the proof that nothing else is.

The proof is the same forward pass in which the branch's operand of its sum is taken as zeros, seen below Python.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from moco.compression.channels.operators import is_sum
from moco.errors import in_one_line

MOST_DIFFERENCE = 1e-5
"""Most that logits without a branch may differ from those with zeros for it, of the largest."""

TABLES = ("_modules", "_parameters", "_buffers", "_non_persistent_buffers_set")
"""What torch keeps of a module's parts."""

Form = tuple[bool, ...] | None
"""Which items of the tuple that a module gives are tensors, the others being None; None where it gives a tensor."""


class LeftOut(nn.Module):
    """What stands for a module of a branch that is left out: zeros of the shape of what it reads."""

    def __init__(self, form: Form = None) -> None:
        super().__init__()
        self.form = form

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Zeros, in the form of what the module gave."""
        read = next(item for item in (*args, *kwargs.values()) if isinstance(item, torch.Tensor))
        zeros = torch.zeros_like(read)
        return zeros if self.form is None else tuple(zeros if is_tensor else None for is_tensor in self.form)


@dataclass(frozen=True)
class Removal:
    """How a branch is left out."""

    number: int  # of its sum, among all sums of a forward pass
    side: int  # which operand of it the branch is: 0 or 1
    modules: Mapping[str, Form]  # by name, the form of what it gives: the largest that are wholly in the branch
    tensors: tuple[str, ...] = ()  # parameters of other modules that only the branch reads


def leave_out_(network: nn.Module, removals: Iterable[Removal]) -> None:
    """Leave branches out, in place: no parameter of theirs stays."""
    for removal in removals:
        for name, form in removal.modules.items():
            gone = network.get_submodule(name)
            for other in [name for name, module in network.named_modules(remove_duplicate=False) if module is gone]:
                network.set_submodule(other, LeftOut(form).train(gone.training))
        for name in removal.tensors:
            owner, leaf = _owner(network, name)
            zero = torch.zeros([1] * owner.get_parameter(leaf).ndim)
            del owner._parameters[leaf]
            owner.register_buffer(leaf, zero, persistent=False)


@contextmanager
def leaving_out(network: nn.Module, removals: Sequence[Removal]) -> Iterator[None]:
    """The network without these branches; afterwards it is as it was."""
    modules = list(network.modules())
    before = [(module, [copy.copy(vars(module)[table]) for table in TABLES]) for module in modules]
    try:
        leave_out_(network, removals)
        yield
    finally:
        for module, tables in before:
            vars(module).update(zip(TABLES, tables, strict=True))


def fault(network: nn.Module, images: torch.Tensor, removals: Sequence[Removal]) -> str | None:
    """Why these branches cannot be left out; None where that equals zeros for each of them."""
    expected = with_zeros(network, images, removals)
    try:
        with torch.no_grad(), leaving_out(network, removals):
            got = network(images)
    except Exception as error:  # a forward pass may fail in any way without its modules
        return f"the network does not run without it: {in_one_line(error)}"
    return difference(got, expected)


def difference(got: torch.Tensor, expected: torch.Tensor) -> str | None:
    """What is wrong with logits that were to be these; None where nothing is."""
    if got.shape != expected.shape or not bool(torch.isfinite(got).all()):
        return "without it the network gives logits of another shape, or infinite ones"
    most = float((got - expected).abs().max())
    if most <= MOST_DIFFERENCE * float(expected.abs().max()):
        return None
    return f"without its modules the network's logits differ by {most:.2g} from those with zeros in its place"


def with_zeros(network: nn.Module, images: torch.Tensor, removals: Iterable[Removal]) -> torch.Tensor:
    """What the network gives where the branches are zeros and all their modules are there."""
    with torch.no_grad(), _Zeroing({removal.number: removal.side for removal in removals}):
        found: torch.Tensor = network(images)
    return found


@dataclass(eq=False)
class _Zeroing(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Takes one operand of some sums as zeros."""

    sides: Mapping[int, int]
    _count: int = field(default=0)

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # as in the flow of channels

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        kwargs = kwargs or {}
        if is_sum(func, args, kwargs):
            self._count += 1
            side = self.sides.get(self._count - 1)
            if side is not None:
                operands = [torch.zeros_like(arg) if place == side else arg for place, arg in enumerate(args)]
                if func.overloadpacket.__name__ == "add_":  # what it writes to stays the same tensor
                    return args[0].copy_(operands[0] + operands[1])
                args = operands
        return func(*args, **kwargs)


def _owner(network: nn.Module, name: str) -> tuple[nn.Module, str]:
    owner, _, leaf = name.rpartition(".")
    return network.get_submodule(owner), leaf
