"""A network run once up to each layer, and from there on once for every variation of that layer.

The forward pass is traced by torch.fx into a list of nodes. A journey holds, at its place in that list, the tensors
that later nodes still read, and nothing else; a variation runs from there to the logits.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F  # noqa: N812

from moco.compression.channels.surgery import module_or_tensor
from moco.errors import CompressionError

BATCH = 32
"""Images at a time: small enough for the feature maps of a small network to stay in the processor's cache."""
SAME = 1e-5
"""Most that logits run in two parts may differ from those run in one, relative to the largest."""

Env = dict[fx.Node, Any]
Edit = Callable[[Tensor], Tensor]

_ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.Hardtanh)
_PASSED = (nn.Identity, nn.Dropout)
_ACTIVATING = {torch.relu, F.relu, F.relu6, F.hardtanh, torch.clamp, "relu", "clamp"}


@dataclass(frozen=True)
class Variation:
    """What is not as in the reference."""

    modules: Mapping[str, nn.Module] = field(default_factory=dict)  # by name, what runs in the place of a module
    after: Mapping[str, Edit] = field(default_factory=dict)
    """By layer, what is done to its output behind the activation that alone reads it; logits stay as they are."""
    tensors: Mapping[str, Tensor] = field(default_factory=dict)  # by name, what stands for a parameter or a buffer

    @property
    def names(self) -> set[str]:
        """The modules and tensors that are touched."""
        return {*self.modules, *self.after, *self.tensors}


REFERENCE = Variation()


class Journey:
    """Images (n, channels, height, width) on their way through a network in batches, halted at one place.

    Without `reuse` every variation runs from the start, for comparison.
    """

    def __init__(self, engine: Engine, images: Tensor, batch: int = BATCH, *, reuse: bool = True) -> None:
        self._engine, self._reuse, self._place = engine, reuse, 0
        self._envs = [engine.begin(images[start : start + batch]) for start in range(0, len(images), batch)]

    def to(self, names: Collection[str]) -> None:
        """Go on to the first of these modules; a CompressionError where that lies behind."""
        place = self._engine.place(names)
        if place < self._place:
            raise CompressionError(f"prefix: '{min(names)}' runs before the place that was reached already")
        if self._reuse:
            with torch.no_grad():
                for env in self._envs:
                    self._engine.advance(env, self._place, place)
            self._place = place

    def logits(self, variation: Variation = REFERENCE) -> Tensor:
        """Logits (n, classes) of the variation; a CompressionError where it touches a module that has run already."""
        if variation.names and self._engine.place(variation.names) < self._place:
            raise CompressionError(f"prefix: a module of {', '.join(sorted(variation.names))} has run already")
        with torch.no_grad():
            return torch.cat([self._engine.finish(env, self._place, variation) for env in self._envs])


def engine_of(network: nn.Module, example: Tensor, layers: Sequence[str]) -> Engine:
    """The engine that runs `network` in parts; one that runs it whole, with the reason, where that is not possible.

    The parts are proven: at every one of the layers, the modules that variations will replace, the logits of `example`
    are those of the whole network. The network, in evaluation mode, is copied; of images (n, channels, height, width)
    two are enough.
    """
    try:
        traced = TracedEngine(network)
    except Exception as error:  # torch.fx fails in many ways; each means that the forward pass cannot be cut
        return WholeEngine(
            network, f"torch.fx cannot trace it: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        )
    missing = [name for name in layers if name not in traced.first]
    if missing:
        return WholeEngine(network, f"'{missing[0]}' runs inside a module that torch.fx does not open")
    with torch.no_grad():
        expected = network(example)
    wrong = _wrong_cut(traced, example, layers, expected)
    return traced if wrong is None else WholeEngine(network, wrong)


def _wrong_cut(traced: TracedEngine, example: Tensor, layers: Sequence[str], expected: Tensor) -> str | None:
    """What is wrong with the first cut that is; None where each gives the logits that are expected."""
    try:
        journey = Journey(traced, example)
        for name in sorted(layers, key=lambda name: traced.place([name])):
            journey.to([name])
            for _ in range(2):  # a second time, for what the first may have overwritten
                if not _same(journey.logits(), expected):
                    return f"cut before '{name}', its forward pass gives other logits than whole"
    except Exception as error:  # what was traced need not run
        return f"its traced form does not run: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    return None


class TracedEngine(fx.Interpreter):
    """Runs the nodes of a traced network from any place on, which is an index among them."""

    why_whole: str | None = None

    def __init__(self, network: nn.Module) -> None:
        super().__init__(without_overwriting(fx.symbolic_trace(copy.deepcopy(network))))
        self._nodes = tuple(self.graph.nodes)
        self.first: dict[str, int] = {}  # place of the modules that run by themselves, and of the tensors that are read
        for place, node in enumerate(self._nodes):
            for name in _names_of(node):
                self.first.setdefault(name, place)
        logits = self._nodes[-1].all_input_nodes
        self._ends: dict[str, list[fx.Node]] = {}  # of every use of a module
        for node in self._nodes:
            if node.op == "call_module":
                end = self._end(node)
                self._ends.setdefault(str(node.target), []).extend(() if end in logits else (end,))
        self._variation = REFERENCE

    def place(self, names: Collection[str]) -> int:
        """Index of the first node that reads one of the modules; a CompressionError where none of them runs."""
        places = [self.first[name] for name in names if name in self.first]
        if not places:
            raise CompressionError(f"prefix: none of {', '.join(sorted(names))} takes part in the forward pass")
        return min(places)

    def begin(self, images: Tensor) -> Env:
        """The images as the first input, the others as they are by default."""
        first, *others = [node for node in self._nodes if node.op == "placeholder"]
        return {first: images, **{node: node.args[0] for node in others}}

    def advance(self, env: Env, start: int, stop: int) -> None:
        """Run the nodes of the reference from `start` up to, not including, `stop`."""
        self._run(env, start, stop, REFERENCE)

    def finish(self, env: Env, start: int, variation: Variation) -> Tensor:
        """The logits of the variation from `start` on."""
        env = dict(env)
        self._run(env, start, len(self._nodes), variation)
        logits: Tensor = env[self._nodes[-1]]
        return logits

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        """What the module gives, or the one in its place."""
        module = self._variation.modules.get(target)
        return super().call_module(target, args, kwargs) if module is None else module(*args, **kwargs)

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        """The tensor of that name, of the module that stands in place of its owner where there is one."""
        if target in self._variation.tensors:
            return self._variation.tensors[target]
        owner, _, leaf = target.rpartition(".")
        module = self._variation.modules.get(owner)
        return super().get_attr(target, args, kwargs) if module is None else getattr(module, leaf)

    def _run(self, env: Env, start: int, stop: int, variation: Variation) -> None:
        self.env, self._variation = env, variation
        edits = {node: edit for name, edit in variation.after.items() for node in self._ends[name]}
        for node in self._nodes[start:stop]:
            if node not in env:  # the input is there from the start
                env[node] = self.run_node(node)
            if node in edits:
                env[node] = edits[node](env[node])
            for dead in self.user_to_last_uses.get(node, ()):
                del env[dead]

    def _end(self, node: fx.Node) -> fx.Node:
        """The node that gives a layer's final output: the activation that alone reads it, otherwise the layer."""
        last = node
        while len(last.users) == 1:
            reader = next(iter(last.users))
            module = self.submodules[str(reader.target)] if reader.op == "call_module" else None
            if isinstance(module, _ACTIVATIONS) or (reader.op != "call_module" and reader.target in _ACTIVATING):
                return reader
            if not isinstance(module, _PASSED):
                break
            last = reader
        return last


class WholeEngine:
    """Runs the whole network every time, with modules replaced: for networks whose forward pass cannot be cut.

    What follows a layer is not known here: an edit stands directly behind it.
    """

    def __init__(self, network: nn.Module, why: str) -> None:
        self.why_whole: str | None = why
        self._network = copy.deepcopy(network)
        self._input = fx.Graph().placeholder("images")

    def place(self, names: Collection[str]) -> int:
        """Always the start."""
        del names
        return 0

    def begin(self, images: Tensor) -> Env:
        """The images."""
        return {self._input: images}

    def advance(self, env: Env, start: int, stop: int) -> None:
        """Nothing: there is but one place."""

    def finish(self, env: Env, start: int, variation: Variation) -> Tensor:
        """The logits of the network with the variation's modules in their places."""
        del start
        modules = {name: self._network.get_submodule(name) for name in {*variation.modules, *variation.after}}
        tensors = {name: module_or_tensor(self._network, name) for name in variation.tensors}
        try:
            self._put(variation.tensors)
            for name, module in modules.items():
                changed = variation.modules.get(name, module)
                edit = variation.after.get(name)
                self._network.set_submodule(name, changed if edit is None else nn.Sequential(changed, Edited(edit)))
            logits: Tensor = self._network(env[self._input])
        finally:
            for name, module in modules.items():
                self._network.set_submodule(name, module)
            self._put(tensors)
        return logits

    def _put(self, tensors: Mapping[str, Any]) -> None:
        for name, tensor in tensors.items():
            owner, _, leaf = name.rpartition(".")
            setattr(self._network.get_submodule(owner), leaf, tensor)


Engine = TracedEngine | WholeEngine
"""Runs a network in parts."""


class Edited(nn.Module):
    """A function as a module."""

    def __init__(self, edit: Edit) -> None:
        super().__init__()
        self.edit = edit

    def forward(self, x: Tensor) -> Tensor:
        """What the function makes of `x`."""
        return self.edit(x)


def _names_of(node: fx.Node) -> tuple[str, ...]:
    """The module that a node calls, or the tensor that it reads and the module that owns it."""
    target = str(node.target)
    if node.op == "call_module":
        return (target,)
    return (target, target.rpartition(".")[0]) if node.op == "get_attr" else ()


def _same(logits: Tensor, expected: Tensor) -> bool:
    tolerance = SAME * float(expected.abs().max())
    return logits.shape == expected.shape and bool((logits - expected).abs().max() <= tolerance)


_OUT_OF_PLACE: dict[Any, Any] = {operator.iadd: operator.add, operator.isub: operator.sub, operator.imul: operator.mul}


def without_overwriting(traced: fx.GraphModule) -> fx.GraphModule:
    """The traced network, in which operations that overwrite their input give a new tensor (it is changed itself).

    A tensor that waits for a later node must be the same for every variation.
    """
    for module in traced.modules():
        if isinstance(getattr(module, "inplace", None), bool):
            module.inplace = False  # type: ignore[assignment]
    for node in traced.graph.nodes:
        if node.kwargs.get("inplace"):
            node.update_kwarg("inplace", False)
        if node.op == "call_function":
            node.target = _OUT_OF_PLACE.get(node.target, node.target)
        elif node.op == "call_method" and node.target.endswith("_") and not node.target.endswith("__"):
            node.target = node.target.removesuffix("_")
    return traced
