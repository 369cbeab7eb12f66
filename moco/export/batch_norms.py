"""Batch-norms of an exported graph folded into the layers before them, by the names of initializers.

The graph alone says what belongs together: no matter which class of module made a batch-norm, or that none did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from moco.export.rewrites import drop_unread, readers

LAYERS = ("Conv", "ConvTranspose", "Gemm")
PLAIN_GEMM = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}  # its weight is (outputs, inputs)

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Folding:
    """A layer of a graph and the batch-norm that alone reads what it gives, by the names of their initializers."""

    op_type: str  # the layer's
    layer: str
    bias: str  # the layer's, or how it is called where the layer had none
    affine: tuple[str | None, ...]  # the batch-norm's scale and offset; None where they are one and zero
    statistics: tuple[str, ...]  # mean and variance
    epsilon: float


def take_out_batch_norms(graph: onnx.GraphProto, known: Tensors) -> tuple[Folding, ...]:
    """Take out, in place, the batch-norms that a layer before them can take over, which has a bias from then on.

    `known` are the network's tensors by name; the values are `folded_tensors`'. A batch-norm stays where something else
    reads what the layer gives, or the layer's weight or bias is used without it too.
    """
    used, constants = readers(graph), {i.name: i for i in graph.initializer}
    layers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        if node.op_type in LAYERS:
            layers.setdefault(node.input[1], []).append(node)
    found: dict[str, Folding] = {}
    for weight, nodes in layers.items():
        folding, *others = {_folding(node, used, constants, known) for node in nodes}
        uses = len(used[weight]), len(nodes if folding is None else used.get(folding.bias, nodes))
        if folding is None or others or uses != (len(nodes), len(nodes)):
            continue
        found[weight] = folding
        for node in nodes:
            (norm,) = used[node.output[0]]
            node.input[:], node.output[:] = [*node.input[:2], folding.bias], norm.output
            graph.node.remove(norm)
    del graph.initializer[:]
    for name, initializer in constants.items():
        graph.initializer.append(initializer)
        if name in found and found[name].bias not in constants:
            graph.initializer.add(name=found[name].bias)
    drop_unread(graph)
    return tuple(found.values())


def folded_tensors(network: nn.Module, foldings: Sequence[Folding], tensors: Tensors) -> dict[str, torch.Tensor]:
    """The network's tensors by name, batch-norms folded into the layers, or the last factors of layers, before them."""
    folded = dict(tensors)
    for folding in foldings:
        layer = last_factor(network, folding.layer)
        weight, bias = f"{layer}.weight", folding.bias if layer == folding.layer else f"{layer}.bias"
        mean, variance = (tensors[name] for name in folding.statistics)
        scale, offset = (None if name is None else tensors[name] for name in folding.affine)
        affine = torch.ones_like(mean) if scale is None else scale, torch.zeros_like(mean) if offset is None else offset
        fuse: Any = fuse_linear_bn_weights if folding.op_type == "Gemm" else fuse_conv_bn_weights
        transposed = (True,) if folding.op_type == "ConvTranspose" else ()
        fused = fuse(tensors[weight], tensors.get(bias), mean, variance, folding.epsilon, *affine, *transposed)
        folded[weight], folded[bias] = (tensor.detach() for tensor in fused)
    return folded


def last_factor(network: nn.Module, layer: str) -> str:
    """The last of the factors that stand for a layer; the layer itself where none do."""
    factors = network.get_submodule(layer)
    return f"{layer}.{len(factors) - 1}" if isinstance(factors, nn.Sequential) else layer


def _folding(
    node: onnx.NodeProto,
    used: Mapping[str, Sequence[onnx.NodeProto]],
    constants: Mapping[str, onnx.TensorProto],
    known: Tensors,
) -> Folding | None:
    """How the batch-norm after the layer is folded; None where there is none, or it cannot be."""
    following = used.get(node.output[0], [])
    if [each.op_type for each in following] != ["BatchNormalization"]:
        return None
    both = node, following[0]
    of_layer, of_norm = ({a.name: helper.get_attribute_value(a) for a in each.attribute} for each in both)
    is_plain = node.op_type != "Gemm" or {**PLAIN_GEMM, "transB": 0, **of_layer} == PLAIN_GEMM
    in_groups = node.op_type == "ConvTranspose" and of_layer.get("group", 1) > 1
    layer, _, leaf = node.input[1].rpartition(".")
    scale, offset, *statistics = following[0].input[1:]
    own = constants.keys() - known.keys()  # the exporter's, for a batch-norm without scale or offset
    affine = tuple(
        None if name in own and np.all(numpy_helper.to_array(constants[name]) == neutral) else name
        for name, neutral in ((scale, 1), (offset, 0))
    )
    named = {*node.input[1:], *statistics, *filter(None, affine)} <= known.keys() and leaf == "weight" and layer
    if not is_plain or in_groups or not named or of_norm.get("training_mode"):
        return None
    bias = node.input[2] if len(node.input) > 2 else f"{layer}.bias"
    return Folding(node.op_type, layer, bias, affine, tuple(statistics), of_norm.get("epsilon", 1e-5))
