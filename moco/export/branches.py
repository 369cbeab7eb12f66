"""A residual branch taken out of an exported graph: its nodes are gone, and so is the sum that would add zeros."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import onnx

from moco.compression.channels.surgery import within
from moco.errors import CompressionError
from moco.export.rewrites import drop_unread

SHAPES = ("Shape", "Size")
"""Nodes that read of a tensor its shape alone."""


def take_out_branches(graph: onnx.GraphProto, branches: Mapping[str, Collection[str]]) -> None:
    """Take out, in place, the branches that are made of these modules, by name.

    A branch is found by the weights that it reads: it is what leads to one operand of a sum from the other operand. A
    rectifier that then reads what another one has rectified goes, too. A CompressionError names a branch that the graph
    does not have as such.
    """
    for name, modules in branches.items():
        _take_out(graph, name, modules)
    _drop_dead(graph)


def missing_branches(graph: onnx.GraphProto, branches: Mapping[str, Collection[str]]) -> dict[str, str]:
    """The branches that cannot be taken out of the graph, and why."""
    found = {}
    for name, modules in branches.items():
        try:
            _sum_of(_View(graph), name, modules)
        except CompressionError as error:
            found[name] = str(error)
    return found


class _View:
    """A graph by what gives and what reads each tensor."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.nodes: Sequence[onnx.NodeProto] = graph.node
        self.givers = {name: place for place, node in enumerate(graph.node) for name in node.output}
        self.places: dict[str, list[int]] = {}
        for place, node in enumerate(graph.node):
            for name in node.input:
                self.places.setdefault(name, []).append(place)
        self.inputs = {value.name for value in graph.input}
        self.outputs = {value.name for value in graph.output}
        self.constants = {initializer.name for initializer in graph.initializer}
        self.of_images = set(self.inputs)  # tensors whose values, and not only shapes, depend on the images
        for node in graph.node:
            if node.op_type not in SHAPES and not self.of_images.isdisjoint(node.input):
                self.of_images.update(node.output)

    def between(self, start: str, end: str) -> set[int]:
        """The nodes on all ways from one tensor to another; empty where a way begins elsewhere at the images."""
        inside: set[int] = set()
        left = [end]
        while left:
            name = left.pop()
            place = self.givers.get(name)
            if name == start or place is None or place in inside:
                if name in self.inputs and name != start:
                    return set()
                continue
            inside.add(place)
            if self.nodes[place].op_type not in SHAPES:
                left += self.nodes[place].input
        while shared := {place for place in inside if self._is_constant(place) and self.leaks({place}, inside)}:
            inside -= shared
        return inside

    def leaks(self, places: Collection[int], inside: Collection[int]) -> bool:
        """Whether something that is not inside reads what these nodes give."""
        given = [name for place in places for name in self.nodes[place].output]
        return any(name in self.outputs or set(self.places.get(name, ())) - set(inside) for name in given)

    def _is_constant(self, place: int) -> bool:
        return self.of_images.isdisjoint(self.nodes[place].output)


def _sum_of(view: _View, name: str, modules: Collection[str]) -> tuple[onnx.NodeProto, int]:
    """The sum that adds a branch, and which of its operands the branch is."""
    own = {constant for constant in view.constants if within(constant, modules)}
    seeds = {place for constant in own for place in view.places.get(constant, ())}
    for place, node in enumerate(view.nodes):
        if not seeds or node.op_type != "Add" or view.of_images.isdisjoint(node.output):
            continue
        for side in (0, 1):
            if node.input[1 - side] not in view.of_images:
                continue
            inside = view.between(node.input[1 - side], node.input[side])
            if seeds <= inside and not view.leaks(inside, {*inside, place}):
                return node, side
    raise CompressionError(f"the exported graph has no sum of which '{name}' is one operand")


def _take_out(graph: onnx.GraphProto, name: str, modules: Collection[str]) -> None:
    node, side = _sum_of(view := _View(graph), name, modules)
    stream = node.input[1 - side]
    given = {node.output[0]: stream}
    giver = view.givers.get(stream)
    if giver is not None and view.nodes[giver].op_type == "Relu":
        reading = [view.nodes[place] for place in view.places.get(node.output[0], ())]
        given |= {other.output[0]: stream for other in reading if other.op_type == "Relu"}
    for other in graph.node:
        for place, read in enumerate(other.input):
            if read in given and other is not node:
                other.input[place] = stream


def _drop_dead(graph: onnx.GraphProto) -> None:
    """Drop, in place, the nodes and initializers without which the graph gives the same."""
    wanted = {value.name for value in graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if not wanted.isdisjoint(node.output):
            wanted.update(node.input)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    drop_unread(graph)
