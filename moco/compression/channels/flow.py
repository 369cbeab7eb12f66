"""Follows the channels of a network's layers through its forward pass, operator by operator.

The network runs once on real images; below Python every operator is seen with the tensors that it reads and gives,
whatever the forward pass is written like. Each axis of a tensor carries labels, and each operator has a rule that says
what it does to them (channel_rules).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from moco.compression.channels.algebra import Atoms, Axes, Call, Labels
from moco.compression.channels.rules import RULES, elementwise, unknown
from moco.compression.channels.surgery import PER_CHANNEL, channel_axis, is_vector, width
from moco.compression.channels.watching import watching
from moco.models.cifar_resnet import PadShortcut

SIDES: dict[type[nn.Module], Mapping[str, int]] = {
    nn.Conv2d: {"out": 0, "in": 1},
    nn.ConvTranspose2d: {"in": 0, "out": 1},
    nn.Linear: {"out": 0, "in": 1},
    **{kind: {"out": 0} for kind in PER_CHANNEL},
}
"""By kind of layer, the axis of its weight that is its outputs and its inputs."""

THINNABLE = (*SIDES, PadShortcut)
"""Modules whose tensors moco can thin."""


@dataclass(frozen=True)
class Flow:
    """What one forward pass showed."""

    atoms: Atoms
    # labels by (module, "out" or "in"), or by (parameter or buffer of another module, "out")
    sides: Mapping[tuple[str, str], np.ndarray]
    logits: Axes  # labels of the axes of what the network gave
    output: object


def channel_flow(network: nn.Module, images: torch.Tensor) -> Flow:
    """Follow the channels of `network` through a forward pass of `images` (n, channels, height, width)."""
    tracer = _Tracer()
    for name, module in network.named_modules():
        tracer.introduce(name, module)
    tracer.begin(images)
    with torch.no_grad(), tracer.watching(network), tracer:
        output = network(images)
    logits = tracer.axes_of(output) if isinstance(output, torch.Tensor) else ()
    return Flow(tracer.atoms, tracer.sides, logits, output)


@dataclass
class _Place:
    """A module in whose forward pass the tracer is."""

    name: str
    module: nn.Module

    def __str__(self) -> str:
        if any(True for _ in self.module.children()) or isinstance(self.module, THINNABLE):
            return f"'{self.name}'" if self.name else "the network"
        return f"'{self.name}' is a {type(self.module).__name__}, whose channels cannot be removed here: it"


@dataclass(eq=False)
class _Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operator, and keeps the labels of every tensor."""

    atoms: Atoms = field(default_factory=Atoms)
    sides: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    _known: dict[int, tuple[torch.Tensor, Axes]] = field(default_factory=dict)  # an id is unique while its tensor lives
    _of_images: set[int] = field(default_factory=set)  # what depends on the images
    _places: list[_Place] = field(default_factory=list)
    _asleep: bool = False

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and being kept from it would import the whole compiler: seconds

    def axes_of(self, tensor: torch.Tensor) -> Axes:
        found = self._known.get(id(tensor))
        return (None,) * tensor.ndim if found is None else found[1]

    def begin(self, images: torch.Tensor) -> None:
        self._known[id(images)] = images, (None,) * images.ndim
        self._of_images.add(id(images))

    def introduce(self, name: str, module: nn.Module) -> None:
        """Label the tensors of a layer that can be thinned; those of a layer known by another name keep its labels."""
        sides = next((sides for kind, sides in SIDES.items() if isinstance(module, kind)), None)
        if sides is None:
            self._introduce_vectors(name, module)
            return
        if isinstance(module, nn.ConvTranspose2d) and module.groups > 1:
            return
        weight = next((t for t in (getattr(module, "running_mean", None), module.weight) if t is not None), None)
        if weight is None and isinstance(module, PER_CHANNEL):
            self.sides[name, "out"] = self.atoms.fresh(width(module))  # tied to what it reads, see `_enter`
        if not isinstance(weight, torch.Tensor) or (isinstance(module, nn.PReLU) and weight.numel() == 1):
            return
        if id(weight) not in self._known:
            labels: list[Labels] = [None] * weight.ndim
            for axis in sides.values():
                labels[axis] = self.atoms.fresh(weight.shape[axis])
            self._known[id(weight)] = weight, tuple(labels)
            out = labels[sides["out"]]
            for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
                if tensor.ndim == 1 and tensor is not weight:
                    self._known[id(tensor)] = tensor, (out,)
        for side, axis in sides.items():
            labels_there = self._known[id(weight)][1][axis]
            assert labels_there is not None
            self.sides[name, side] = labels_there

    def _introduce_vectors(self, name: str, module: nn.Module) -> None:
        """Label what a module of any other kind holds along one axis only: a number for each channel, it may be."""
        for leaf, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            if not tensor.is_floating_point() or not is_vector(tensor) or tensor.numel() < 2:
                continue
            axis = channel_axis(tensor)
            if id(tensor) not in self._known:
                labels: list[Labels] = [None] * tensor.ndim
                labels[axis] = self.atoms.fresh(tensor.shape[axis])
                self._known[id(tensor)] = tensor, tuple(labels)
            known = self._known[id(tensor)][1][axis]
            assert known is not None
            self.sides[f"{name}.{leaf}" if name else leaf, "out"] = known

    def watching(self, network: nn.Module) -> AbstractContextManager[None]:
        """Within, it is told of every module that a forward pass enters and leaves."""
        return watching(network, self._enter, self._leave)

    def _enter(self, name: str, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._places.append(_Place(name, module))
        if (name, "out") in self.sides and inputs and id(inputs[0]) not in self._of_images:
            reason = f"'{name}' does not read the image: a file holds what it gives as a constant"
            self.atoms.fix(self.sides[name, "out"], reason)
        if isinstance(module, PER_CHANNEL) and (name, "out") in self.sides and inputs and inputs[0].ndim > 1:
            channels = self.axes_of(inputs[0])[1]
            self.atoms.tie(channels, self.sides[name, "out"], f"'{name}' works on channels that must stay")
        if isinstance(module, PadShortcut):
            read = self.atoms.fresh(module.in_channels)
            self.atoms.tie(self.axes_of(inputs[0])[1], read, f"'{name}' reads channels that must stay")
            self.sides[name, "in"] = read
            self._asleep = True

    def _leave(self, name: str, module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> None:
        self._places.pop()
        if isinstance(module, PadShortcut):
            self._asleep = False
            given = self.sides[name, "out"] = self.atoms.fresh(module.out_channels)
            self._known[id(output)] = output, (None, given, None, None)
            self._of_images.add(id(output))

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        result = func(*args, **(kwargs or {}))
        outputs = list(result) if isinstance(result, list | tuple) else [result]
        tensors = [output for output in outputs if isinstance(output, torch.Tensor)]
        if self._asleep or not tensors:
            return result
        self._label(func, [*args, *(kwargs or {}).values()] if kwargs else args, tensors)
        return result

    def _label(self, func: Any, args: Sequence[Any], outputs: Sequence[torch.Tensor]) -> None:
        read = [item for arg in args for item in (arg if isinstance(arg, list | tuple) else [arg])]
        if not any(isinstance(item, torch.Tensor) and id(item) in self._known for item in read):
            return
        name = func.overloadpacket.__name__
        rule = RULES.get(name) or RULES.get(name.removesuffix("_"))
        if rule is None:
            rule = elementwise if torch.Tag.pointwise in func.tags else unknown
        where = str(self._places[-1]) if self._places else "the network"
        found = rule(Call(args, self.axes_of, outputs[0], where, self.atoms, name))
        for output, axes in zip(outputs, found if isinstance(found, list) else [found], strict=False):
            self._known[id(output)] = output, axes
            if any(id(item) in self._of_images for item in read):
                self._of_images.add(id(output))
