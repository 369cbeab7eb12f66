"""A module made of the calls of torch that a computation makes: only those that depend on its input are kept.

What a network computes of its weights and of shapes alone is computed once, while it is recorded, and stands in the
module as a constant: shapes are therefore those of one size of batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MethodDescriptorType
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from moco.errors import MeasurementError

READERS = {torch.Tensor.tolist, torch.Tensor.item, torch.Tensor.__bool__, torch.Tensor.__int__}
"""What makes numbers of a tensor: what follows from an image's content cannot be a constant."""


class Recorder(TorchFunctionMode):
    """Within, calls of torch on values that depend on the input are recorded."""

    def __init__(self, images: Tensor) -> None:
        """Begin with the images."""
        super().__init__()
        self.root, self.graph = nn.Module(), fx.Graph()
        self._nodes: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        self._constants: dict[int, tuple[Tensor, fx.Node]] = {}
        self._nodes[images] = self.graph.placeholder("images")

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call, and record the call where an argument depends on the input."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if not self._depend((args, kwargs)):
            return result
        if func in READERS:
            raise MeasurementError("expected shapes and sizes that do not depend on an image's content")
        if isinstance(result, Tensor) and result not in self._nodes:
            self._nodes[result] = self._call(func, args, kwargs)
        elif isinstance(result, list | tuple) and all(isinstance(part, Tensor) for part in result):
            whole = self._call(func, args, kwargs)
            for index, part in enumerate(result):
                self._nodes[part] = self.graph.call_function(_item, (whole, index))
        return result

    def module(self, output: Tensor) -> fx.GraphModule:
        """The calls that lead from the images to this value."""
        self.graph.output(self._argument(output))
        self.graph.eliminate_dead_code()
        return fx.GraphModule(self.root, self.graph)

    def _depend(self, values: Any) -> bool:
        found: list[Tensor] = []
        map_aggregate(values, lambda value: found.append(value) if isinstance(value, Tensor) else None)
        return any(value in self._nodes for value in found)

    def _call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> fx.Node:
        args, kwargs = map_aggregate((args, dict(kwargs)), self._argument)
        if isinstance(func, MethodDescriptorType):
            return self.graph.call_method(func.__name__, args, kwargs)
        return self.graph.call_function(func, args, kwargs)

    def _argument(self, value: Any) -> Any:
        """What stands for the value in the graph; a tensor that does not depend on the images is kept."""
        if not isinstance(value, Tensor):
            return value
        if value in self._nodes:
            return self._nodes[value]
        if id(value) not in self._constants:
            name = f"constant{len(self._constants)}"
            self.root.register_buffer(name, value)
            self._constants[id(value)] = (value, self.graph.get_attr(name))
        return self._constants[id(value)][1]


def _item(values: Sequence[Tensor], index: int) -> Tensor:
    return values[index]
