"""The error of a layer's outputs when its data or its weights are put into codes, on the runtime's own kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from moco.export.bits import Scale, channelwise, weight_codes, weight_scales
from moco.export.calibration import open_session


class LayerErrors:
    """Layers as graphs of one node, whose data and weights are inputs. Their biases do not change an error."""

    def __init__(self, proto: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> None:
        constants = {i.name: i for i in proto.graph.initializer}
        self.nodes = list(nodes)
        self.weights = [numpy_helper.to_array(constants[node.input[1]]) for node in nodes]
        self.sessions = [open_session(_alone(proto, node)) for node in nodes]

    def of_data(self, values: Mapping[str, np.ndarray], scales: Sequence[Scale]) -> np.ndarray:
        """The squared error of the outputs over their squares (scales,), with data in codes; summed over the layers.

        Args:
            values: by tensor, what the layers read (n, ...).
            scales: of the codes, one after the other.
        """
        total = np.zeros(len(scales))
        for index, node in enumerate(self.nodes):
            data, weights = values[node.input[0]], self.weights[index]
            size = float(np.square(self._outputs(index, data, weights)).sum())
            # A layer is linear: the outputs of the error are the error of the outputs.
            errors = [self._outputs(index, scale.values(scale.codes(data)) - data, weights) for scale in scales]
            squares = np.array([float(np.square(error).sum()) for error in errors])
            total += squares / max(size, float(np.finfo(np.float32).tiny))
        return total

    def of_weights(self, values: Mapping[str, np.ndarray], bits: int, share: float) -> np.ndarray:
        """The squared error of each channel's outputs (channels,), with weights in codes; summed over the uses."""
        errors = np.zeros(len(self.weights[0]))
        for index, node in enumerate(self.nodes):
            data, weights = values[node.input[0]], self.weights[index]
            scales = weight_scales(weights, bits, None, 1.0, share)
            coded = weight_codes(weights, bits, scales) * channelwise(scales, weights)
            error = np.square(self._outputs(index, data, coded - weights))
            errors += error.sum(axis=tuple(axis for axis in range(error.ndim) if axis != 1))
        return errors

    def _outputs(self, index: int, data: np.ndarray, weights: np.ndarray) -> np.ndarray:
        outputs: np.ndarray = self.sessions[index].run(None, {"data": data, "weights": weights})[0]
        return outputs


def _alone(proto: onnx.ModelProto, node: onnx.NodeProto) -> onnx.ModelProto:
    written = onnx.NodeProto()
    written.CopyFrom(node)
    del written.input[:], written.output[:]
    written.input.extend(["data", "weights"])
    written.output.append("outputs")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("data", "weights", "outputs")]
    graph = helper.make_graph([written], "layer", values[:2], values[2:])
    return helper.make_model(graph, opset_imports=proto.opset_import, ir_version=proto.ir_version)
