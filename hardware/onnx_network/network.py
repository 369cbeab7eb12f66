"""An ONNX file that is read once and made a torch module for each size of batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, fx

from moco.errors import MeasurementError, MocoError
from moco.hardware.onnx_network import codes, elementwise, layers, tensors
from moco.hardware.onnx_network.recording import Recorder

INPUT, OUTPUT = "input", "logits"
OPERATORS: dict[str, Callable[..., Tensor | tuple[Tensor, ...]]] = {
    **layers.OPERATORS,
    **elementwise.OPERATORS,
    **tensors.OPERATORS,
    **codes.OPERATORS,
}
"""What each operator of ONNX is in torch: a function of its inputs, with its attributes by name."""
OLDEST_OPSET = 13  # before it some operators mean something else


@dataclass(frozen=True)
class Step:
    """A node of a graph."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    last_reads: tuple[str, ...]  # values that no later node reads

    def run(self, values: dict[str, Tensor | None]) -> None:
        """Add what the node gives to the values by name; a MeasurementError names the operator that fails."""
        try:
            given = OPERATORS[self.operator](*(values[name] for name in self.inputs), **self.attributes)
        except MocoError:
            raise
        except Exception as error:  # torch's exceptions have no common base class
            raise MeasurementError(f"{self.operator} of '{self.outputs[0]}': {' '.join(str(error).split())}") from error
        results = given if isinstance(given, tuple) else (given,)
        if len(results) != len(self.outputs):
            raise MeasurementError(f"{self.operator}: expected {len(results)} outputs, got {len(self.outputs)}")
        values.update(zip(self.outputs, results, strict=True))
        for name in self.last_reads:
            del values[name]


@dataclass(frozen=True)
class Network:
    """A graph of ONNX: its weights as tensors, its nodes in order, and the shape of an image."""

    constants: dict[str, Tensor]
    steps: tuple[Step, ...]
    image_shape: tuple[int, ...]

    @classmethod
    def read(cls, content: bytes) -> Network:
        """The network of a file's bytes; a MeasurementError tells of no such file and of operators not known here."""
        try:
            model = onnx.load_model_from_string(content)
        except Exception as error:  # protobuf's, whose package has no types
            raise MeasurementError(f"not an ONNX file: {error}") from error
        graph = model.graph
        _check_operators(model)
        constants = {one.name: _tensor(one) for one in graph.initializer}
        return cls(constants, _steps(graph), _image_shape(graph, frozenset(constants)))

    def module(self, batch: int) -> fx.GraphModule:
        """The network for batches of that size: a module from images (batch, *image_shape) to logits (batch, classes).

        Its weights are buffers that need no gradient, the same tensors for every size. One batch of zeros is run.
        """
        images = torch.zeros(batch, *self.image_shape)
        recorder = Recorder(images)
        with torch.no_grad(), recorder:
            values: dict[str, Tensor | None] = {**self.constants, INPUT: images, "": None}
            for step in self.steps:
                step.run(values)
            logits = values[OUTPUT]
        if logits is None or logits.dim() != 2 or logits.dtype != torch.float32:
            raise MeasurementError(
                f"expected logits (n, classes) of float32, got {logits if logits is None else logits.shape}"
            )
        return recorder.module(logits)


def _check_operators(model: onnx.ModelProto) -> None:
    opsets = {opset.domain: opset.version for opset in model.opset_import}
    if (version := opsets.get("", OLDEST_OPSET)) < OLDEST_OPSET:
        raise MeasurementError(f"expected ONNX's operators of version {OLDEST_OPSET} or later, got {version}")
    found = Counter(
        f"{node.domain}.{node.op_type}".removeprefix(".").removeprefix("ai.onnx.") for node in model.graph.node
    )
    if unknown := sorted(found.keys() - OPERATORS.keys()):
        raise MeasurementError(f"no function of torch is known for {', '.join(unknown)}")


def _steps(graph: onnx.GraphProto) -> tuple[Step, ...]:
    last = {name: index for index, node in enumerate(graph.node) for name in node.input}
    kept = {"", *(value.name for value in graph.output)}
    return tuple(
        Step(
            node.op_type,
            tuple(node.input),
            outputs := tuple(name for name in node.output if name),
            _attributes(node, len(outputs)),
            tuple(sorted({name for name in node.input if last[name] == index} - kept)),
        )
        for index, node in enumerate(graph.node)
    )


def _attributes(node: onnx.NodeProto, outputs: int) -> dict[str, Any]:
    """Attributes by name, as Python's values and torch's tensors."""
    values = {attribute.name: _value(helper.get_attribute_value(attribute)) for attribute in node.attribute}
    if node.op_type == "Split":  # older files leave it to be counted
        values.setdefault("num_outputs", outputs)
    return values


def _value(value: Any) -> Any:
    if isinstance(value, TensorProto):
        return _tensor(value)
    return value.decode() if isinstance(value, bytes) else value


def _tensor(stored: TensorProto) -> Tensor:
    """The tensor, a copy; codes of fewer than 8 bits take 8 here."""
    array = numpy_helper.to_array(stored)
    if stored.data_type in {TensorProto.INT4, TensorProto.UINT4}:
        array = array.astype(np.int8 if stored.data_type == TensorProto.INT4 else np.uint8)
    return torch.from_numpy(np.array(array))


def _image_shape(graph: onnx.GraphProto, constants: frozenset[str]) -> tuple[int, ...]:
    """(channels, height, width) of the input; names, type and shape must be those of moco's files."""
    inputs = [value for value in graph.input if value.name not in constants]
    given, gives = [value.name for value in inputs], [value.name for value in graph.output]
    if given != [INPUT] or OUTPUT not in gives:
        raise MeasurementError(f"expected one input '{INPUT}' and an output '{OUTPUT}', got {given} and {gives}")
    kind = inputs[0].type.tensor_type
    shape = [size.dim_value if size.HasField("dim_value") else None for size in kind.shape.dim]
    if kind.elem_type != TensorProto.FLOAT or shape[:1] != [None] or None in shape[1:]:
        name = TensorProto.DataType.Name(kind.elem_type)
        raise MeasurementError(f"expected a float32 input (dynamic batch, fixed size), got {name} {shape}")
    return _sizes(shape[1:])


def _sizes(shape: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(size for size in shape if size is not None)
