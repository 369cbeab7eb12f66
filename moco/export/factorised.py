"""Factorised layers in an exported graph: the layer's node becomes two or three, without a new export.

A template names its weights by layer, so `<layer>.weight` finds the node, and the network says by an `nn.Sequential`
under that name that the layer is factorised (moco/compression/methods/low_rank.py).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn


def split_nodes(graph: onnx.GraphProto, network: nn.Module, state: Mapping[str, torch.Tensor]) -> frozenset[str]:
    """Write, in place, each Conv or Gemm of a factorised layer as its factors' nodes, and add their initializers.

    The graph is a copy of the template's, `state` the network's tensors by name, batch-norms folded in. What is
    returned are the names of the initializers that no node reads any more. A linear layer that the exporter wrote as
    MatMul has lost its weight's name and is left as it is; such a graph gives other outputs than the network, and the
    candidate gets an export of its own.
    """
    modules = dict(network.named_modules())
    nodes: list[onnx.NodeProto] = []
    gone: set[str] = set()
    added: set[str] = set()
    for node in graph.node:
        name = _layer(node)
        factors = modules.get(name) if name else None
        if not isinstance(factors, nn.Sequential):
            nodes.append(node)
            continue
        gone |= set(node.input[1:])
        split = _split(node, name, len(factors), state)
        nodes.extend(split)
        added |= {constant for each in split for constant in each.input[1:]}
    if gone:
        del graph.node[:]
        graph.node.extend(nodes)
        graph.initializer.extend(_initializer(constant, state[constant]) for constant in sorted(added))
    return frozenset(gone)


def _layer(node: onnx.NodeProto) -> str:
    """The layer whose weight the node takes; empty where it is no convolution or linear layer by name."""
    if node.op_type not in {"Conv", "Gemm"}:
        return ""
    name, _, leaf = node.input[1].rpartition(".")
    return name if leaf == "weight" else ""


def _split(node: onnx.NodeProto, layer: str, factors: int, state: Mapping[str, torch.Tensor]) -> list[onnx.NodeProto]:
    """One node a factor, in a row from the input of the node to its output."""
    names = [f"{layer}.{index}" for index in range(factors)]
    ends = [node.input[0], *(f"{node.output[0]}.{index}" for index in range(factors - 1)), node.output[0]]
    split = []
    for index, name in enumerate(names):
        bias = [f"{name}.bias"] if f"{name}.bias" in state else []
        factor = helper.make_node(node.op_type, [ends[index], f"{name}.weight", *bias], [ends[index + 1]])
        factor.name = f"{node.name}.{index}"
        if node.op_type == "Gemm":
            factor.attribute.append(helper.make_attribute("transB", 1))
        elif index == (factors - 1) // 2:  # the factor with the stride and padding: the middle of three, or the first
            factor.attribute.extend(node.attribute)
        split.append(factor)
    return split


def _initializer(name: str, tensor: torch.Tensor) -> onnx.TensorProto:
    return numpy_helper.from_array(np.ascontiguousarray(tensor.detach().numpy()), name)
