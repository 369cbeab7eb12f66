"""Batch-norms of an exported graph folded into the layers before them, by the names of initializers.

The graph alone says what belongs together, so that no matter which class of module made a batch-norm, or whether one
did: one that also activates, one of distributed training, one that several layers share, `F.batch_norm`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from moco.export.rewrites import drop_unread, readers

LAYERS = ("Conv", "ConvTranspose", "Gemm")
PLAIN = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}
"""Attributes of a Gemm whose weight is (outputs, inputs) and whose bias is added as it is."""


@dataclass(frozen=True)
class Folding:
    """A layer of a graph and the batch-norm that alone reads what it gives, by the names of their initializers."""

    op_type: str  # the layer's
    weight: str
    bias: str  # the layer's, or how it is called where the layer had none
    scale: str | None  # of the batch-norm; None where it is one
    offset: str | None  # likewise; None where it is zero
    statistics: tuple[str, str]  # mean and variance
    epsilon: float

    @property
    def layer(self) -> str:
        """The layer's name."""
        return self.weight.rpartition(".")[0]


def take_out_batch_norms(graph: onnx.GraphProto, known: Mapping[str, torch.Tensor]) -> tuple[Folding, ...]:
    """Take out, in place, the batch-norms that a layer before them can take over; the layer then has a bias.

    `known` are the network's tensors by name. The values of weights and biases are `folded_tensors`'. A batch-norm
    stays where something else reads the layer's output, or the weight is used without it too.
    """
    used, constants = readers(graph), {i.name: i for i in graph.initializer}
    outputs = {value.name for value in graph.output}
    layers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        if node.op_type in LAYERS and node.output[0] not in outputs:
            layers.setdefault(node.input[1], []).append(node)
    foldings: list[Folding] = []
    for weight, nodes in layers.items():
        found = {_folding(node, used, constants, known) for node in nodes}
        folding = found.pop()
        if found or folding is None or len(used[weight]) != len(nodes):
            continue
        if len(used.get(folding.bias, nodes)) != len(nodes):  # a bias that other layers add too
            continue
        foldings.append(folding)
        for node in nodes:
            norm = used[node.output[0]][0]
            node.input[:] = [*node.input[:2], folding.bias]
            node.output[0] = norm.output[0]
            graph.node.remove(norm)
    initializers = list(_with_biases(graph, {folding.weight: folding.bias for folding in foldings}))
    del graph.initializer[:]
    graph.initializer.extend(initializers)
    drop_unread(graph)
    return tuple(foldings)


def folded_tensors(
    network: nn.Module, foldings: tuple[Folding, ...], tensors: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The network's tensors by name, those of layers with the batch-norms after them folded in.

    Of a factorised layer it is the last factor that the batch-norm follows.
    """
    folded = dict(tensors)
    for folding in foldings:
        layer, weight, bias = last_factor(network, folding.layer), folding.weight, folding.bias
        if layer != folding.layer:
            weight, bias = f"{layer}.weight", f"{layer}.bias"
        mean, variance = (tensors[name] for name in folding.statistics)
        scale = torch.ones_like(mean) if folding.scale is None else tensors[folding.scale]
        offset = torch.zeros_like(mean) if folding.offset is None else tensors[folding.offset]
        statistics = mean, variance, folding.epsilon, scale, offset
        fuse: Any = fuse_linear_bn_weights if folding.op_type == "Gemm" else fuse_conv_bn_weights
        transposed = (True,) if folding.op_type == "ConvTranspose" else ()
        fused = fuse(tensors[weight], tensors.get(bias), *statistics, *transposed)
        folded[weight], folded[bias] = (tensor.detach() for tensor in fused)
    return folded


def last_factor(network: nn.Module, layer: str) -> str:
    """The layer that stands at the end of what took the place of `layer`; the layer itself where nothing did."""
    try:
        factors = network.get_submodule(layer)
    except AttributeError:  # a weight that belongs to no layer
        return layer
    return f"{layer}.{len(factors) - 1}" if layer and isinstance(factors, nn.Sequential) else layer


def _folding(
    node: onnx.NodeProto,
    used: Mapping[str, list[onnx.NodeProto]],
    constants: Mapping[str, onnx.TensorProto],
    known: Mapping[str, torch.Tensor],
) -> Folding | None:
    """How the batch-norm after the layer is folded; None where there is none, or it cannot be."""
    following = used.get(node.output[0], [])
    if len(following) != 1 or following[0].op_type != "BatchNormalization":
        return None
    norm = following[0]
    of_layer, of_norm = ({a.name: helper.get_attribute_value(a) for a in each.attribute} for each in (node, norm))
    if node.op_type == "Gemm" and {**PLAIN, "transB": 0, **of_layer} != PLAIN:
        return None
    if of_norm.get("training_mode") or (node.op_type == "ConvTranspose" and of_layer.get("group", 1) > 1):
        return None
    scale, offset = (
        _unless(name, neutral, constants, known) for name, neutral in ((norm.input[1], 1), (norm.input[2], 0))
    )
    weight, *biases = node.input[1:]
    if not {weight, *biases, *norm.input[3:5], *filter(None, (scale, offset))} <= known.keys():
        return None
    layer, _, leaf = weight.rpartition(".")
    bias = biases[0] if biases else f"{layer}.bias" if leaf == "weight" else f"{weight}_bias"
    statistics = norm.input[3], norm.input[4]
    return Folding(node.op_type, weight, bias, scale, offset, statistics, float(of_norm.get("epsilon", 1e-5)))


def _unless(
    name: str, neutral: float, constants: Mapping[str, onnx.TensorProto], known: Mapping[str, torch.Tensor]
) -> str | None:
    """The name; None for a constant of the exporter's own that changes nothing."""
    own = name not in known and name in constants
    return None if own and bool((numpy_helper.to_array(constants[name]) == neutral).all()) else name


def _with_biases(graph: onnx.GraphProto, biases: Mapping[str, str]) -> Iterator[onnx.TensorProto]:
    """The graph's initializers, and behind each of these weights its bias, without values where it is new."""
    there = {initializer.name for initializer in graph.initializer}
    for initializer in graph.initializer:
        yield initializer
        if initializer.name in biases and biases[initializer.name] not in there:
            yield onnx.TensorProto(name=biases[initializer.name])
