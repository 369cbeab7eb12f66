"""Range estimators: what of a tensor its codes span, and what of a channel's weights.

The whole range wastes codes on rare values, which 8 bits can afford and 4 bits cannot. What counts is the error of the
layer's outputs: a scale that brings the codes nearest to the weights themselves made a ResNet-56 of 3-bit weights 16
points worse than the whole range did, so nothing here is fitted to weights or activations alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from moco.compression.precision import Bits
from moco.errors import CompressionError, nearest
from moco.export.bits import Scale, channelwise, weight_codes, weight_scales
from moco.export.calibration import Calibration, calibrate, features, open_session
from moco.export.code_graph import Ranges, at_bits
from moco.export.quantize import WIDEST, bits_of, codings
from moco.interfaces import QuantizePlacement


class LayerErrors:
    """Layers as graphs of one node, whose data and weights are inputs. Their biases do not change an error.

    The values are, by tensor, what the layers read (n, ...).
    """

    def __init__(self, proto: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> None:
        constants = {i.name: i for i in proto.graph.initializer}
        self.nodes = list(nodes)
        self.weights = [numpy_helper.to_array(constants[node.input[1]]) for node in nodes]
        self.sessions = [open_session(_alone(proto, node)) for node in nodes]

    def of_data(self, values: Mapping[str, np.ndarray], scales: Sequence[Scale]) -> np.ndarray:
        """The squared error of the outputs over their squares (scales,), with data in codes; summed over the layers."""
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
        return np.asarray(self.sessions[index].run(None, {"data": data, "weights": weights})[0])


def _alone(proto: onnx.ModelProto, node: onnx.NodeProto) -> onnx.ModelProto:
    written = deepcopy(node)
    del written.input[:], written.output[:]
    written.input.extend(["data", "weights"])
    written.output.append("outputs")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("data", "weights", "outputs")]
    graph = helper.make_graph([written], "layer", values[:2], values[2:])
    return helper.make_model(graph, opset_imports=proto.opset_import, ir_version=proto.ir_version)


BINS = 2048  # of a histogram over the whole range: a percentile is exact to half a step of a 10-bit code


@dataclass(frozen=True)
class RangeOptions:
    """How ranges are estimated; an unknown name, or a number out of its range, is a CompressionError."""

    activations: str = "minmax"  # a name of `ACTIVATION_RANGES`
    weights: str = "max_abs"  # a name of `WEIGHT_SHARES`
    # share of a tensor's values, in percent, that `percentile` keeps below its upper end; as many are kept above its
    # lower end. 99.99 after NVIDIA's calibration of int8; fewer bits like less.
    percentile: float = 99.99
    percentile_images: int = 128  # how many of the calibration images `percentile` looks at
    error_images: int = 16  # how many `output_error` looks at; their tensors are all held at once
    shares: tuple[float, ...] = tuple(k / 20 for k in range(20, 3, -1))  # of the whole range; `output_error` tries them
    below: int = 9  # `output_error` leaves codes of so many bits and more their whole range

    def __post_init__(self) -> None:
        for what, name, known in (
            ("activations", self.activations, ACTIVATION_RANGES),
            ("weights", self.weights, WEIGHT_SHARES),
        ):
            if name not in known:
                raise CompressionError(f"ranges.{what}: unknown estimator '{name}'{nearest(name, tuple(known))}")
        if not 50 < self.percentile <= 100:
            raise CompressionError(f"ranges.percentile: expected more than 50 and at most 100, got {self.percentile}")
        if min(self.percentile_images, self.error_images) < 1:
            raise CompressionError("ranges: expected at least one image to look at")
        if not self.shares or not all(0 < share <= 1 for share in self.shares):
            raise CompressionError(f"ranges.shares: expected numbers in (0, 1], got {self.shares}")

    def __str__(self) -> str:
        """The form in which keys of evaluation stores hold it: as it always was, however the class is written."""
        names = ("activations", "weights", "percentile", "percentile_images", "error_images", "shares")
        return f"RangeOptions({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"


@dataclass(frozen=True)
class Observed:
    """What an estimator may look at."""

    proto: onnx.ModelProto
    layers: Mapping[str, Bits]
    # by (tensor, bits) whose codes are written, the layers that read them
    readers: Mapping[tuple[str, int], Sequence[onnx.NodeProto]]
    whole: Ranges  # the lowest and highest value of each of these tensors
    images: np.ndarray  # all calibration images (n, channels, height, width)
    options: RangeOptions


def estimate(
    proto: onnx.ModelProto,
    layers: Collection[str],
    images: np.ndarray,
    options: RangeOptions | None = None,
    placement: QuantizePlacement = WIDEST,
) -> Calibration:
    """What `quantize` needs to put `layers` into codes: ranges and weight shares, and the float logits.

    The images (n, channels, height, width) are for calibration. Without options the ranges are whole, as `calibrate`
    gives them. The placement says where the target wants quantize nodes, and so which tensors become codes. Fails as
    `calibrate` does.
    """
    options, bits = options or RangeOptions(), bits_of(layers)
    readers = codings(proto, bits, placement)
    whole = calibrate(proto, tuple(dict.fromkeys(tensor for tensor, _ in readers)), images)
    observed = Observed(proto, bits, readers, whole.ranges, images, options)
    ranges = whole.ranges | ACTIVATION_RANGES[options.activations](observed)
    return replace(whole, ranges=ranges, weight_shares=WEIGHT_SHARES[options.weights](observed))


# ---- activations: ranges by tensor or by `at_bits`; those left out keep their whole range


def nothing(_: Observed) -> dict[str, Any]:
    """Every tensor keeps its whole range, and every channel of a weight the scale that clips nothing."""
    return {}


def percentile(observed: Observed) -> dict[str, tuple[float, float]]:
    """Ranges without the rarest values at either end, by a histogram of the tensor's values."""
    whole, options = observed.whole, observed.options
    tensors = [name for name in dict.fromkeys(name for name, _ in observed.readers) if whole[name][0] < whole[name][1]]
    counts = {tensor: np.zeros(BINS) for tensor in tensors}
    for batch in features(observed.proto, tensors, observed.images[: options.percentile_images]):
        for tensor in tensors:
            counts[tensor] += np.histogram(batch[tensor], BINS, whole[tensor])[0]
    return {tensor: _ends(counts[tensor], whole[tensor], options.percentile / 100) for tensor in tensors}


def _ends(counts: np.ndarray, whole: tuple[float, float], share: float) -> tuple[float, float]:
    """The values above which and below which `share` of the values lie, out to the edge of their bin."""
    edges = np.linspace(*whole, BINS + 1)
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])
    high = edges[1 + int(np.searchsorted(below, share * below[-1]))]
    low = edges[BINS - 1 - int(np.searchsorted(above, share * above[-1]))]
    return float(low), float(high)


def activation_output_error(observed: Observed) -> dict[str, tuple[float, float]]:
    """By (tensor, bits), the share of the whole range that changes the outputs of its readers least."""
    values, shares = _values_read(observed), observed.options.shares
    ranges = {}
    for (tensor, bits), nodes in observed.readers.items():
        if not nodes or bits >= observed.options.below:  # without nodes, no layer in codes reads it
            continue
        layers, (low, high) = LayerErrors(observed.proto, nodes), observed.whole[tensor]
        errors = layers.of_data(values, [Scale.of(share * low, share * high, bits) for share in shares])
        best = shares[int(np.argmin(errors))]
        ranges[at_bits(tensor, bits)] = (best * low, best * high)
    return ranges


# ---- weights: shares of the scale that clips nothing, by layer (channels,); those left out are 1


def weight_output_error(observed: Observed) -> dict[str, np.ndarray]:
    """By channel, the share whose codes change the channel's outputs least."""
    uses: dict[str, list[onnx.NodeProto]] = {}
    for node in (node for nodes in observed.readers.values() for node in nodes):
        layer = node.input[1].rpartition(".")[0]
        if observed.layers[layer].weights < observed.options.below:
            uses.setdefault(layer, []).append(node)
    values, shares = _values_read(observed), observed.options.shares
    found = {}
    for name, nodes in uses.items():
        errors_of, bits = LayerErrors(observed.proto, nodes).of_weights, observed.layers[name].weights
        errors = [errors_of(values, bits, share) for share in shares]
        found[name] = np.asarray(shares)[np.argmin(errors, axis=0)]
    return found


def _values_read(observed: Observed) -> dict[str, np.ndarray]:
    """What the layers read of a few images, by tensor (n, ...)."""
    tensors = tuple(dict.fromkeys(node.input[0] for nodes in observed.readers.values() for node in nodes))
    batches = list(features(observed.proto, tensors, observed.images[: observed.options.error_images]))
    return {tensor: np.concatenate([batch[tensor] for batch in batches]) for tensor in tensors}


ACTIVATION_RANGES: dict[str, Callable[[Observed], dict[str, tuple[float, float]]]] = {
    "minmax": nothing,
    "percentile": percentile,
    "output_error": activation_output_error,
}
WEIGHT_SHARES: dict[str, Callable[[Observed], dict[str, np.ndarray]]] = {
    "max_abs": nothing,
    "output_error": weight_output_error,
}
