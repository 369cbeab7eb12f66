"""Zero-padded shortcuts written as one Pad where the channel order allows it.

`PadShortcut` pads one zero channel and gathers, which any pruning keeps. Where the gathered channels are still a run,
one Pad says the same, and a runtime can carry its channels-last layout through a Pad but not through a Gather: on a
ResNet-56 in int8 the Gather cost two transposes for every layer after it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper


def pad_instead_of_gather(graph: onnx.GraphProto, zero_channels: Mapping[str, int]) -> None:
    """Rewrite, in place, each Gather of a zero-padded tensor's channels whose sources are a run with zeros around it.

    Args:
        zero_channels: by name of the gathered indices, the index that stands for zero: the number of real channels.
    """
    constants = {i.name: i for i in graph.initializer}
    producers = {node.output[0]: node for node in graph.node}
    readers: dict[str, int] = {}
    for node in graph.node:
        for name in node.input:
            readers[name] = readers.get(name, 0) + 1
    removed: set[str] = set()
    for node in graph.node:
        pad = producers.get(node.input[0]) if node.op_type == "Gather" else None
        if pad is None or pad.op_type != "Pad" or readers[pad.output[0]] != 1 or node.input[1] not in zero_channels:
            continue
        if not _pads_one_zero_channel(pad, constants):
            continue
        run = _run_with_zeros(numpy_helper.to_array(constants[node.input[1]]), zero_channels[node.input[1]])
        if run is None:
            continue
        name = f"{node.output[0]}_pads"
        graph.initializer.append(numpy_helper.from_array(np.asarray(run, dtype=np.int64), name))
        node.op_type = "Pad"
        del node.attribute[:]
        del node.input[:]
        node.input.extend([pad.input[0], name])
        node.attribute.append(helper.make_attribute("mode", "constant"))
        removed.add(pad.output[0])
    if removed:
        _drop(graph, removed)


def _drop(graph: onnx.GraphProto, outputs: set[str]) -> None:
    """Take out the nodes that give these, and the initializers that nothing reads any more."""
    for place in reversed(range(len(graph.node))):
        if graph.node[place].output[0] in outputs:
            del graph.node[place]
    used = {name for node in graph.node for name in node.input}
    for place in reversed(range(len(graph.initializer))):
        if graph.initializer[place].name not in used:
            del graph.initializer[place]


def _pads_one_zero_channel(pad: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> bool:
    if len(pad.input) > 3 and pad.input[3]:
        return False
    if pad.input[1] not in constants:
        return False
    if len(pad.input) > 2 and pad.input[2]:
        value = constants.get(pad.input[2])
        if value is None or float(numpy_helper.to_array(value)) != 0.0:
            return False
    return bool(numpy_helper.to_array(constants[pad.input[1]]).tolist() == [0, 0, 0, 0, 0, 1, 0, 0])


def _run_with_zeros(source: np.ndarray, zero: int) -> list[int] | None:
    """Pads [n, c, h, w, n, c, h, w] that give the same as gathering `source`; None where it is no whole run."""
    places = np.flatnonzero(source != zero)
    if not np.array_equal(source[places], np.arange(zero)) or not np.array_equal(places, places[0] + np.arange(zero)):
        return None
    front = int(places[0])
    return [0, front, 0, 0, 0, len(source) - front - zero, 0, 0]
