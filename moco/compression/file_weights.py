"""The weights of an exported file by the layers of a policy: what methods prove themselves on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx
from onnx import numpy_helper

from moco.errors import CompressionError

Filters = Mapping[str, tuple[str, int] | None]
"""By channel group, a layer with filters for each of its channels, and how many for one; None where there is none."""


class FileWeights:
    """The weights of a file by layer."""

    def __init__(
        self, proto: onnx.ModelProto, parts: Callable[[str], tuple[str, ...]], filters: Filters | None = None
    ) -> None:
        self._initializers = {initializer.name: initializer for initializer in proto.graph.initializer}
        # a transposed convolution of one group holds (inputs, outputs, height, width)
        self._transposed = {node.input[1] for node in proto.graph.node if node.op_type == "ConvTranspose"}
        # coded: layers whose weight is in integer codes; parts: names of the layers that stand for a layer;
        # filters: by channel group, the layer to look at; of a group that is not named it is called as the group
        self.coded = [name.removesuffix(".weight_q") for name in self._initializers if name.endswith(".weight_q")]
        self.parts, self.filters = parts, filters or {}
        self.names = tuple(self._initializers)

    def shape(self, layer: str) -> tuple[int, ...]:
        """Shape of a layer's weight, (outputs, ...); a CompressionError where the file has no such layer."""
        return self.values(layer).shape

    def values(self, layer: str) -> np.ndarray:
        """A layer's weight (outputs, ...), in floats or in codes; a CompressionError where the file has none."""
        weight = self._of(layer)
        values = np.asarray(numpy_helper.to_array(weight))
        return values.swapaxes(0, 1) if weight.name in self._transposed else values

    def codes(self, layer: str) -> np.ndarray | None:
        """The integer codes of a layer's weight; None where it has none, or holds something else in their place."""
        codes = self._initializers.get(f"{layer}.weight_q")
        if codes is None or codes.data_type not in {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}:
            return None
        return np.asarray(numpy_helper.to_array(codes))

    def _of(self, layer: str) -> onnx.TensorProto:
        found: onnx.TensorProto | None = self._initializers.get(f"{layer}.weight_q")
        found = found or self._initializers.get(f"{layer}.weight")
        if found is None:
            raise CompressionError(f"verification: the file holds no weight of '{layer}'")
        return found
