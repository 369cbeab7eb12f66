"""The test networks in float, and what int8 leaves in a graph."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
from onnx import numpy_helper

from tests.export.graphs import (
    NETWORKS,
    compressor_of,
    expected,
    run,
    template_of,
)

LAYERS = {name: tuple(dict.fromkeys(layer.name for layer in compressor_of(name).counts.layers)) for name in NETWORKS}


@cache
def float_of(name: str) -> onnx.ModelProto:
    return template_of(name).render(compressor_of(name).network)


def initializers(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {i.name: numpy_helper.to_array(i) for i in proto.graph.initializer}


def inputs_of(proto: onnx.ModelProto, op_type: str) -> list[list[str]]:
    return [list(node.input) for node in proto.graph.node if node.op_type == op_type]


def worst(proto: onnx.ModelProto, name: str, batch: np.ndarray) -> float:
    """Largest error of the logits relative to their spread on torch."""
    wanted = expected(compressor_of(name).network, batch)
    return float(np.abs(run(proto, batch) - wanted).max() / np.ptp(wanted))
