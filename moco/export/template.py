"""One exported graph for all candidates: the reference is exported once, and each candidate replaces its weights.

A new export takes seconds, replacing the initializers milliseconds. A candidate whose graph is not the reference's (a
network that bakes its widths into its graph) shows in the outputs, and is then exported for itself.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from moco.compression.channels.surgery import is_vector, within
from moco.errors import CompressionError
from moco.export.attention import exportable_attention
from moco.export.batch_norms import LAYERS, Folding, folded_tensors, take_out_batch_norms
from moco.export.branches import take_out_branches
from moco.export.factorised import split_nodes
from moco.export.group_norms import group_tensors, name_groups
from moco.export.rewrites import drop_unread, gemm_instead_of_matmul, pad_instead_of_gather, reshape_by_axes
from moco.export.strides import pools_instead_of_strides
from moco.models.cifar_resnet import PadShortcut

INPUT, OUTPUT = "input", "logits"

_PLACE = re.compile(r'File "([^"]+)", line (\d+), in (\w+)\n(.+)')  # a line of code in the exporter's text


@dataclass(frozen=True)
class Template:
    """The graph of a network, batch-norms taken out; its initializers bear the names, not the values, of parameters."""

    proto: onnx.ModelProto
    foldings: tuple[Folding, ...]
    pooled_strides: bool = False  # whether pixels that are left out are written as max-pools (moco/export/strides.py)

    @cached_property
    def skeleton(self) -> onnx.ModelProto:
        """The graph without weights and shapes, so that weights are not copied to be thrown away."""
        skeleton = deepcopy(self.proto)
        del skeleton.graph.value_info[:], skeleton.graph.initializer[:]
        return skeleton

    def without(self, branches: Mapping[str, Collection[str]]) -> Template:
        """The graph without these residual branches, by name the modules that each is made of.

        A CompressionError names a branch that the graph does not have.
        """
        if not branches:
            return self
        proto = deepcopy(self.proto)
        take_out_branches(proto.graph, branches)
        gone = [name for modules in branches.values() for name in modules]
        kept = tuple(folding for folding in self.foldings if not within(folding.layer, gone))
        return replace(self, proto=proto, foldings=kept)

    def render(self, network: nn.Module) -> onnx.ModelProto:
        """The graph with the weights, widths, factors and group counts of `network`, a compressed copy."""
        state = folded_tensors(network, self.foldings, _tensors(network)) | group_tensors(network)
        modules = dict(network.named_modules())
        proto = deepcopy(self.skeleton)
        for initializer in self.proto.graph.initializer:
            if initializer.name in state:
                array = np.ascontiguousarray(state[initializer.name].numpy())
                initializer = numpy_helper.from_array(array, initializer.name)  # noqa: PLW2901
            proto.graph.initializer.append(initializer)
        unread = split_nodes(proto.graph, network, state)
        if unread:
            used = [initializer for initializer in proto.graph.initializer if initializer.name not in unread]
            del proto.graph.initializer[:]
            proto.graph.initializer.extend(used)
        for node in proto.graph.node:
            if node.op_type == "Conv":
                _set_groups(node, modules)
        zeros = {f"{n}.source": module.in_channels for n, module in modules.items() if isinstance(module, PadShortcut)}
        pad_instead_of_gather(proto.graph, zeros)
        return proto


def build_template(network: nn.Module, example: torch.Tensor, *, pooled_strides: bool = False) -> Template:
    """Export `network`, in evaluation mode, once, with images (n, channels, height, width); fails as `export_graph`.

    `pooled_strides` writes pixels that are left out as the target wants it (`Capabilities.pooled_strides`).
    """
    proto, tensors = export_graph(network, example), _tensors(network)
    if pooled_strides:
        pools_instead_of_strides(proto)
    matrices = {n: parameter.detach().numpy() for n, parameter in network.named_parameters() if parameter.ndim == 2}
    gemm_instead_of_matmul(proto.graph, matrices)
    _name_sources(proto.graph, network)
    name_groups(proto.graph)
    return Template(proto, take_out_batch_norms(proto.graph, tensors), pooled_strides)


def _tensors(network: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers by name, shared ones by each of their names."""
    return {**dict(network.named_buffers()), **network.state_dict()}


def export_graph(network: nn.Module, example: torch.Tensor) -> onnx.ModelProto:
    """The network as an ONNX graph: float32 NCHW `input` of any batch, output `logits`; or a CompressionError."""
    # A batch of one is specialised away by the tracer, so trace with two images.
    images = example[:2] if len(example) >= 2 else torch.cat([example, example])
    try:
        with _quiet(), exportable_attention():
            program = torch.onnx.export(
                network,
                (images,),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                input_names=[INPUT],
                output_names=[OUTPUT],
                external_data=False,
                verbose=False,
                optimize=False,
            )
            if program is not None:
                _optimise(program, _tensors(network))
    except Exception as error:  # the exporter raises many kinds; each means the same to the user
        raise CompressionError(f"the network cannot be traced for ONNX: {_first_line(error)}") from error
    if program is None:
        raise CompressionError("the network cannot be traced for ONNX: the exporter gave no graph")
    proto = program.model_proto
    if not proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param:
        raise CompressionError(
            f"the exported graph takes batches of {len(images)} images only: the network's forward pass holds their "
            "number as a constant, as len(x) does; write x.shape[0]"
        )
    return _lean(proto)


def _lean(exported: onnx.ModelProto) -> onnx.ModelProto:
    """The graph without the exporter's records of where each node came from, which outweigh small networks."""
    proto = deepcopy(exported)
    graph = proto.graph
    reshape_by_axes(graph)
    del graph.value_info[:], proto.metadata_props[:], graph.metadata_props[:], proto.functions[:]
    graph.name = "network"
    graph.ClearField("doc_string")
    for index, node in enumerate(graph.node):
        del node.metadata_props[:]
        node.doc_string, node.name = "", f"n{index}"
        kept = [a for a in node.attribute if not (a.name == "auto_pad" and a.s == b"NOTSET")]
        del node.attribute[:]
        node.attribute.extend(kept)
    for value in (*graph.input, *graph.output, *graph.initializer):
        del value.metadata_props[:]
        value.doc_string = ""
    _pool_globally(graph)
    onnx.checker.check_model(proto)
    return proto


def _optimise(program: torch.onnx.ONNXProgram, tensors: Mapping[str, torch.Tensor]) -> None:
    """The exporter's own optimizer; what layers read, and vectors, it cannot merge, as it does not see the values.

    It would fold batch-norms into layers, reshape slopes and scales of channels, and make one constant of equal ones,
    and their names would stand for nothing.
    """
    nodes = [node for node in program.model.graph if node.op_type in (*LAYERS, "BatchNormalization")]
    read = [value for node in nodes for value in node.inputs[1:] if value and value.is_initializer()]
    vectors = [
        value
        for name, value in program.model.graph.initializers.items()
        if (tensor := tensors.get(name)) is not None and tensor.is_floating_point() and is_vector(tensor)
    ]
    hidden = {value: value.const_value for value in (*read, *vectors)}
    for value in hidden:
        value.const_value = None
    program.optimize()
    for value, constant in hidden.items():
        value.const_value = constant


def _name_sources(graph: onnx.GraphProto, network: nn.Module) -> None:
    """Give the indices that shortcuts gather by their buffers' names, which the exporter drops for constants."""
    sources = {f"{n}.source": m.source.numpy() for n, m in network.named_modules() if isinstance(m, PadShortcut)}
    indices = {i.name: i for i in graph.initializer if i.data_type == onnx.TensorProto.INT64}
    for node in graph.node:
        found = indices.get(node.input[1]) if node.op_type == "Gather" else None
        if found is None or found.name in sources:
            continue
        array = numpy_helper.to_array(found)
        name = next((name for name, source in sources.items() if np.array_equal(source, array)), None)
        if name is not None:
            del sources[name]
            graph.initializer.append(numpy_helper.from_array(array, name))
            node.input[1] = name


def _pool_globally(graph: onnx.GraphProto) -> None:
    """Write means over height and width as GlobalAveragePool, which runtimes also have in int8."""
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer if i.data_type == onnx.TensorProto.INT64}
    for node in graph.node:
        if node.op_type != "ReduceMean" or len(node.input) != 2 or node.input[1] not in constants:
            continue
        attributes = {a.name: a.i for a in node.attribute}
        axes = sorted(int(axis) % 4 for axis in constants[node.input[1]].reshape(-1))
        if axes == [2, 3] and attributes.get("keepdims", 1) == 1:
            node.op_type = "GlobalAveragePool"
            del node.input[1:]
            del node.attribute[:]
    drop_unread(graph)


def _set_groups(node: onnx.NodeProto, modules: Mapping[str, nn.Module]) -> None:
    name, _, leaf = node.input[1].rpartition(".")
    module = modules.get(name) if leaf == "weight" else None
    if isinstance(module, nn.Conv2d):
        for attribute in node.attribute:
            if attribute.name == "group":
                attribute.i = module.groups


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress, deprecation texts and printed graphs off the console."""
    loggers = [logging.getLogger(name) for name in ("torch", "torch.onnx", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _first_line(error: BaseException) -> str:
    """What was wrong, and the line of the network's code where the exporter knows it."""
    cause = error.__cause__ or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    text = f"{type(cause).__name__}: {lines[0] if lines else ''}"
    places = _PLACE.findall(str(cause))
    if not places:
        return text
    file, line, function, code = places[-1]
    return f"{text}; at {Path(file).name}, line {line}, in {function}: {code.strip()}"
