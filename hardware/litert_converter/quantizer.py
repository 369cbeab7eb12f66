"""A float LiteRT file becomes one in int8 by ai-edge-quantizer, with the ranges of moco's own int8 file.

The converter renames tensors, moves axes and joins operators. So the tensors of both files are told by what they hold:
both networks are run on the same images, and a tensor of the LiteRT file has the range of the tensor of moco's file
with the same numbers, in any order. What was float in moco's file stays float.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Probe:
    """A batch of images and what they make of a network.

    Attributes:
        images: (n, channels, height, width).
        values: by tensor of moco's network that has a range, what it holds for these images.
    """

    images: np.ndarray
    values: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Operator:
    """An operator of a LiteRT file: its kind, its scope in the quantizer's recipe, and its tensors by number."""

    kind: Any  # a name of the quantizer's; None where it knows none
    scope: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Graph:
    """What a LiteRT file runs for one signature."""

    operators: tuple[Operator, ...]
    names: Mapping[int, str]  # by tensor
    constants: Mapping[int, np.ndarray]  # in floats
    values: Mapping[int, np.ndarray]  # of the other tensors of floats, what they hold for a probe

    @classmethod
    def run(cls, content: bytes, signature: str, images: np.ndarray) -> Graph:
        """Run the file's signature on the images."""
        interpreter = Interpreter(
            model_content=content,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.get_signature_runner(signature)(input=images)
        model = flatbuffer.read_model(content)
        [number] = [one.subgraphIndex for one in model.signatureDefs if one.signatureKey.decode() == signature]
        graph = model.subgraphs[number]
        floats = [n for n, tensor in enumerate(graph.tensors) if tensor.type == qtyping.TensorType.FLOAT32]
        stored = {n: flatbuffer.get_tensor_data(graph.tensors[n], model.buffers) for n in floats}
        return cls(
            tuple(_operator(one, graph.tensors, model.operatorCodes) for one in graph.operators),
            {n: flatbuffer.get_tensor_name(graph.tensors[n]) for n in floats},
            {n: np.asarray(value) for n, value in stored.items() if value is not None},
            {n: interpreter.get_tensor(n, number) for n, value in stored.items() if value is None},
        )

    def ranges(self, known: Known, ranges: Mapping[str, Range]) -> dict[int, Range]:
        """What the codes of each tensor span, as far as moco's file tells."""
        names = {number: known.name(value) for number, value in self.values.items()}
        found = {number: ranges[name] for number, name in names.items() if name is not None}
        for one in self.operators:
            if one.kind in MOVED and one.inputs[0] in found:
                found.update({number: found[one.inputs[0]] for number in one.outputs if number not in found})
        return found

    def weights(self, one: Operator) -> np.ndarray | None:
        """The operator's weights; None of an operator that has none."""
        return self.constants.get(one.inputs[1]) if one.kind in LAYERS else None


def _operator(one: Any, tensors: Sequence[Any], codes: Sequence[Any]) -> Operator:
    kind = flatbuffer.TFL_OP_CODE_TO_NAME.get(codes[one.opcodeIndex].builtinCode)
    inputs = tuple(int(number) for number in one.inputs if number >= 0)
    return Operator(kind, flatbuffer.get_op_scope(one, tensors), inputs, tuple(map(int, one.outputs)))


def quantized(content: bytes, floats: Floats, probes: Mapping[str, Probe]) -> bytes:
    """The file in int8 where the network was in codes.

    Args:
        content: the float LiteRT file.
        floats: moco's network, with what its codes span.
        probes: by signature of the file.

    Raises:
        MeasurementError: nothing of the file would be in int8.
    """
    quantizer, spans = Quantizer(content), dict[str, dict[str, np.ndarray]]()
    coded = Known(floats.weights)
    for signature, probe in probes.items():
        graph = Graph.run(content, signature, probe.images)
        ranges = graph.ranges(Known(probe.values), floats.ranges)
        for one in graph.operators:
            _choose(quantizer, one, graph, ranges, coded)
        for number, (low, high) in ranges.items():
            shape = (1,) * graph.values[number].ndim
            spans[graph.names[number]] = {
                "min": np.full(shape, low, np.float32),
                "max": np.full(shape, high, np.float32),
            }
    if not quantizer.get_quantization_recipe():
        raise MeasurementError("no tensor of the converted file was found again in moco's: nothing is in int8")
    return bytes(quantizer.quantize(spans, enable_progress_report=False).quantized_model or b"")


def _choose(quantizer: Quantizer, one: Operator, graph: Graph, ranges: Collection[int], coded: Known) -> None:
    """Put the operator into int8 where moco's file has it so."""
    weights = graph.weights(one)
    if one.kind is None or (weights is not None and coded.name(weights) is None):
        return
    where = f"^{re.escape(one.scope)}$"
    if all(number in ranges for number in (*one.inputs, *one.outputs) if number in graph.values):
        quantizer.add_static_config(where, one.kind, BITS, BITS)
    elif weights is not None:  # what it reads is put into codes while it runs, and what it gives is float
        quantizer.add_dynamic_config(where, one.kind, BITS)
