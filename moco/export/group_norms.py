"""Group norms of an exported graph: the exporter writes numbers of groups as constants, and a candidate has fewer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from moco.export.rewrites import drop_unread, readers

PARTS = ("group_shape", "group_scale", "group_offset")
"""What stands for a group norm in the names of its constants: the shape by groups, and what is done to each of them."""


def name_groups(graph: onnx.GraphProto) -> None:
    """Give each group norm with a weight, in place, constants of its own by the names of `group_tensors`.

    It is written as Reshape to (n, groups, rest), InstanceNormalization, Reshape, Mul by the weight; other forms stay.
    """
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    makers, used = {node.output[0]: node for node in graph.node}, readers(graph)
    for node in graph.node:
        grouped = makers.get(node.input[0]) if node.op_type == "InstanceNormalization" else None
        if grouped is None or grouped.op_type != "Reshape" or len(used[grouped.output[0]]) != 1:
            continue
        name = _scaled_by(node, used, makers)
        shape, scale, offset = (constants.get(i) for i in (grouped.input[1], *node.input[1:]))
        if name is None or shape is None or scale is None or offset is None:
            continue
        if shape.tolist() != [0, len(scale), -1] or np.any(scale != 1) or np.any(offset != 0):
            continue
        names = [f"{name}.{part}" for part in PARTS]
        graph.initializer.extend(map(numpy_helper.from_array, (shape, scale, offset), names))
        grouped.input[1], node.input[1:] = names[0], names[1:]
    drop_unread(graph)


def group_tensors(network: nn.Module) -> dict[str, torch.Tensor]:
    """The constants of the network's group norms by name."""
    found: dict[str, torch.Tensor] = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.GroupNorm):
            count = module.num_groups
            values = torch.tensor([0, count, -1]), torch.ones(count), torch.zeros(count)
            found |= {f"{name}.{part}": value for part, value in zip(PARTS, values, strict=True)}
    return found


def _scaled_by(
    node: onnx.NodeProto, used: Mapping[str, list[onnx.NodeProto]], makers: Mapping[str, onnx.NodeProto]
) -> str | None:
    """The module by whose weight alone what the node gives, reshaped, is multiplied."""
    following = used.get(node.output[0], [])
    if [each.op_type for each in following] != ["Reshape"]:
        return None
    back = following[0].output[0]
    scaling = used.get(back, [])
    if [each.op_type for each in scaling] != ["Mul"]:
        return None
    factor = next((name for name in scaling[0].input if name != back), "")
    maker = makers.get(factor)
    weight = maker.input[0] if maker is not None and maker.op_type in {"Unsqueeze", "Reshape"} else factor
    name, _, leaf = weight.rpartition(".")
    return name if leaf == "weight" and name else None
