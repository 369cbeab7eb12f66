"""A float LiteRT file becomes one in int8 by ai-edge-quantizer, with the ranges of moco's own int8 file.

The converter renames tensors, moves axes and joins operators. So the tensors of both files are told by what they hold:
both networks are run on the same images, and a tensor of the LiteRT file has the range of the tensor of moco's file
with the same numbers, in any order. What was float in moco's file stays float.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_quantizer import qtyping
from ai_edge_quantizer.quantizer import Quantizer
from ai_edge_quantizer.utils import tfl_flatbuffer_utils as flatbuffer

from moco.errors import MeasurementError
from moco.hardware.litert_converter.floats import Floats, Range

Name = qtyping.TFLOperationName
LAYERS = frozenset({Name.CONV_2D, Name.DEPTHWISE_CONV_2D, Name.FULLY_CONNECTED})
MOVED = frozenset(
    {Name.PAD, Name.TRANSPOSE, Name.RESHAPE, Name.MAX_POOL_2D, Name.SLICE, Name.STRIDED_SLICE, Name.SPLIT, Name.GATHER}
)
"""Operators that give codes with the scale that they take, and may add zeros."""
TOLERANCE = 1e-3  # of a tensor's largest value: what two runtimes may differ by
BITS = 8


class Known:
    """Tensors by the numbers that they hold."""

    def __init__(self, values: Mapping[str, np.ndarray]) -> None:
        """Take the tensors by name, in the order of the graph."""
        self._sorted = {name: _sorted(value) for name, value in values.items()}

    def name(self, value: np.ndarray) -> str | None:
        """The name of the tensor that holds the same numbers in any order, the nearest; None where there is none."""
        mine = _sorted(value)
        near = {
            name: float(np.abs(other - mine).max())
            for name, other in self._sorted.items()
            if other.size == mine.size and other.size
        }
        best = min(near, key=lambda name: near[name], default=None)
        if best is None or near[best] > TOLERANCE * float(np.abs(self._sorted[best]).max()):
            return None
        return best


def _sorted(value: np.ndarray) -> np.ndarray:
    return np.sort(np.asarray(value, np.float32), axis=None)


@dataclass
class Operator:
    """An operator of a LiteRT file: its kind, its scope in the quantizer's recipe, and its tensors by number."""

    kind: Any
    scope: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass
class LiteRTFile:
    """A float file with what each of its tensors holds after one batch of images."""

    content: bytes
    operators: list[Operator] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    constants: dict[int, np.ndarray] = field(default_factory=dict)
    values: dict[int, np.ndarray] = field(default_factory=dict)

    @classmethod
    def run(cls, content: bytes, images: np.ndarray) -> LiteRTFile:
        """Run the file on the images."""
        interpreter = Interpreter(
            model_content=content,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
        [given] = interpreter.get_input_details()
        interpreter.set_tensor(given["index"], images)
        interpreter.invoke()
        made, model = cls(content), flatbuffer.read_model(content)
        [graph] = model.subgraphs
        for number, tensor in enumerate(graph.tensors):
            made.names[number] = flatbuffer.get_tensor_name(tensor)
            if tensor.type != qtyping.TensorType.FLOAT32:
                continue
            held = flatbuffer.get_tensor_data(tensor, model.buffers)
            if held is not None:
                made.constants[number] = np.asarray(held)
            else:
                made.values[number] = interpreter.get_tensor(number)
        for one in graph.operators:
            kind = flatbuffer.TFL_OP_CODE_TO_NAME.get(model.operatorCodes[one.opcodeIndex].builtinCode)
            inputs = tuple(int(number) for number in one.inputs if number >= 0)
            outputs = tuple(map(int, one.outputs))
            made.operators.append(Operator(kind, flatbuffer.get_op_scope(one, graph.tensors), inputs, outputs))
        return made

    def ranges(self, known: Known, ranges: Mapping[str, Range]) -> dict[int, Range]:
        """What the codes of each tensor span, as far as moco's file tells."""
        found = {}
        for number, value in self.values.items():
            if (name := known.name(value)) is not None:
                found[number] = ranges[name]
        for one in self.operators:
            if one.kind in MOVED and one.inputs and one.inputs[0] in found:
                found.update({number: found[one.inputs[0]] for number in one.outputs if number not in found})
        return found


def quantized(content: bytes, images: np.ndarray, model: Floats, values: Mapping[str, np.ndarray]) -> bytes:
    """The file in int8 where the model was in codes.

    Args:
        content: the float LiteRT file.
        images: a batch of them, (n, channels, height, width), that tensors are told by.
        model: moco's network, with what its codes span.
        values: of each tensor that has a span, what it holds for these images.

    Raises:
        MeasurementError: nothing of the file is in int8 then.
    """
    file = LiteRTFile.run(content, images)
    ranges = file.ranges(Known(values), model.ranges)
    coded = Known(model.weights)
    quantizer = Quantizer(content)
    for one in file.operators:
        weights = [file.constants[n] for n in one.inputs[1:2] if n in file.constants] if one.kind in LAYERS else []
        if one.kind is None or any(coded.name(weight) is None for weight in weights):
            continue
        where = f"^{re.escape(one.scope)}$"
        if all(number in ranges for number in (*one.inputs, *one.outputs) if number in file.values):
            quantizer.add_static_config(where, one.kind, BITS, BITS)
        elif weights:  # what it reads is put into codes while it runs, and what it gives is float
            quantizer.add_dynamic_config(where, one.kind, BITS)
    spans = {
        file.names[number]: {"min": np.float32([low]), "max": np.float32([high])}
        for number, (low, high) in ranges.items()
    }
    made = quantizer.quantize(spans, enable_progress_report=False).quantized_model
    if made is None:
        raise MeasurementError("nothing of it is in int8")
    return bytes(made)
