"""Exact counts of a network: multiply-accumulates and parameters, in each layer and in total (W09).

A bias adds no multiply-accumulates (S1.05). Parameters are weights and biases, batch-norm's too, no statistics (S1.03).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from moco.compression.collecting import evaluating
from moco.errors import CompressionError

LayerKind = Literal["conv", "depthwise", "grouped", "transposed", "linear"]
COUNTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
"""Kinds of layers whose multiply-accumulates are counted."""


@dataclass(frozen=True)
class LayerCount:
    """One use of a convolution or a linear layer, for one image.

    Attributes:
        kernel, stride, input_hw, output_hw: (height, width); all ones for a linear layer on a vector.
        parameters: weights and bias; 0 for a further use of the same layer.
    """

    name: str
    kind: LayerKind
    in_channels: int
    out_channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    groups: int
    input_hw: tuple[int, int]
    output_hw: tuple[int, int]
    macs: int
    parameters: int

    @property
    def positions(self) -> int:
        """Where its kernel is put: at each output, or at each input of a transposed convolution."""
        height, width = self.input_hw if self.kind == "transposed" else self.output_hw
        return height * width


@dataclass(frozen=True)
class Counts:
    """The counts of a network.

    Attributes:
        layers: every use of a convolution or a linear layer, in forward order.
        parameters: of the whole network; shared ones once.
        uncounted: modules whose weights work outside of convolution and linear layers (attention projections), or
            were not used for this input: `macs` does not hold them.
    """

    layers: tuple[LayerCount, ...]
    parameters: int
    uncounted: tuple[str, ...] = ()

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image."""
        return sum(layer.macs for layer in self.layers)


def count(network: nn.Module, input_shape: Sequence[int]) -> Counts:
    """The counts for one image; the network is left as it was.

    Args:
        input_shape: (channels, height, width), or (batch, channels, height, width): the batch changes nothing.

    Raises:
        CompressionError: the network does not run on such an image.
    """
    recorder = _Recorder(network)
    shape = tuple(input_shape) if len(input_shape) == 4 else (1, *input_shape)
    sample = next(network.parameters(), torch.empty(0))
    image = torch.zeros(shape, dtype=sample.dtype, device=sample.device)
    hooks = [module.register_forward_hook(recorder) for module in recorder.names]
    try:
        with evaluating(network), torch.no_grad():
            network(image)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise CompressionError(f"the network does not run on an image of shape {shape[1:]}: {error}") from error
    finally:
        for hook in hooks:
            hook.remove()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Counts(tuple(recorder.layers), parameters, recorder.uncounted(network))


class _Recorder:
    def __init__(self, network: nn.Module) -> None:
        self.names: dict[nn.Module, str] = {
            module: name for name, module in network.named_modules() if isinstance(module, COUNTED)
        }
        self.layers: list[LayerCount] = []

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        name = self.names[module]
        parameters = 0
        if all(layer.name != name for layer in self.layers):
            parameters = sum(parameter.numel() for parameter in module.parameters())
        geometry = (_linear if isinstance(module, nn.Linear) else _conv)(module, inputs[0], output)
        self.layers.append(LayerCount(name=name, parameters=parameters, **geometry))

    def uncounted(self, network: nn.Module) -> tuple[str, ...]:
        """Modules that were not recorded and themselves hold weights that are more than a vector."""
        recorded = {layer.name for layer in self.layers}
        return tuple(
            name or "(network)"
            for name, module in network.named_modules()
            if name not in recorded
            and any(weight.numel() > max(weight.shape, default=1) for weight in module.parameters(recurse=False))
        )


def _conv(module: Any, image: Tensor, output: Tensor) -> dict[str, Any]:
    """Every output value takes one window of its group's channels; in a transposed one every input value gives one."""
    inner = module.in_channels // module.groups
    kind = "conv" if module.groups == 1 else "depthwise" if inner == 1 else "grouped"
    positions = output.shape[-2] * output.shape[-1]
    if isinstance(module, nn.ConvTranspose2d):
        kind, positions = "transposed", image.shape[-2] * image.shape[-1]
    return {
        "kind": kind,
        "in_channels": module.in_channels,
        "out_channels": module.out_channels,
        "kernel": tuple(module.kernel_size),
        "stride": tuple(module.stride),
        "groups": module.groups,
        "input_hw": (image.shape[-2], image.shape[-1]),
        "output_hw": (output.shape[-2], output.shape[-1]),
        "macs": positions * module.out_channels * inner * module.kernel_size[0] * module.kernel_size[1],
    }


def _linear(module: Any, features: Tensor, _output: Tensor) -> dict[str, Any]:
    """Kind, geometry and MACs of a linear layer, which may work on several positions (tokens) of an image."""
    positions = features[0].numel() // module.in_features if features.dim() > 1 else 1
    return {
        "kind": "linear",
        "in_channels": module.in_features,
        "out_channels": module.out_features,
        "kernel": (1, 1),
        "stride": (1, 1),
        "groups": 1,
        "input_hw": (1, positions),
        "output_hw": (1, positions),
        "macs": positions * module.in_features * module.out_features,
    }
