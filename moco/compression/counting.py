"""Exact counts of a network: multiply-accumulates and parameters, in each layer and in total (W09).

A bias adds no multiply-accumulates (S1.05). Parameters are weights and biases, batch-norm's too, no statistics (S1.03).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor, nn

from moco.compression.collecting import evaluating
from moco.errors import CompressionError

LayerKind = Literal["conv", "depthwise", "grouped", "transposed", "linear"]
COUNTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)  # kinds of layers whose multiply-accumulates are counted


@dataclass(frozen=True)
class LayerCount:
    """One use of a convolution or a linear layer, for one image."""

    name: str
    parameters: int  # weights and bias; those of an earlier layer, or use of this one, are not counted again
    kind: LayerKind
    in_channels: int
    out_channels: int
    # kernel, stride, input_hw, output_hw: (height, width); all ones for a linear layer on a vector
    kernel: tuple[int, int]
    stride: tuple[int, int]
    groups: int
    input_hw: tuple[int, int]
    output_hw: tuple[int, int]

    @cached_property
    def positions(self) -> int:
        """Where its kernel is put: at each output, or at each input of a transposed convolution."""
        return prod(self.input_hw if self.kind == "transposed" else self.output_hw)

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates: each output, or input where transposed, takes one window of its group's channels."""
        return self.positions * self.out_channels * (self.in_channels // self.groups) * prod(self.kernel)


@dataclass(frozen=True)
class Counts:
    """The counts of a network."""

    layers: tuple[LayerCount, ...]  # every use of a convolution or a linear layer, in forward order
    parameters: int  # of the whole network; shared ones once
    # modules whose weights work outside of convolution and linear layers (attention projections), or were not used for
    # this input: `macs` does not hold them
    uncounted: tuple[str, ...] = ()

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one image."""
        return sum(layer.macs for layer in self.layers)


def count(network: nn.Module, input_shape: Sequence[int]) -> Counts:
    """The counts for one image; the network is left as it was.

    The shape is (channels, height, width), or (batch, channels, height, width): the batch changes nothing. A network
    that does not run on such an image is a CompressionError.
    """
    recorder = _Recorder(network)
    shape = (1, *input_shape)[-4:]
    sample = next(network.parameters(), torch.empty(0))
    image = torch.zeros(shape, dtype=sample.dtype, device=sample.device)
    try:
        with evaluating(network), torch.no_grad(), ExitStack() as hooks:
            for module in recorder.names:
                hooks.enter_context(module.register_forward_hook(recorder))
            network(image)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise CompressionError(f"the network does not run on an image of shape {shape[1:]}: {error}") from error
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Counts(tuple(recorder.layers), parameters, recorder.uncounted(network))


class _Recorder:
    def __init__(self, network: nn.Module) -> None:
        self.names: dict[nn.Module, str] = {
            module: name for name, module in network.named_modules() if isinstance(module, COUNTED)
        }
        self.layers: list[LayerCount] = []
        self.counted: set[nn.Parameter] = set()

    def __call__(self, module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        name, image = self.names[module], inputs[0]
        new = set(module.parameters()) - self.counted
        self.counted |= new
        parameters = sum(parameter.numel() for parameter in new)
        geometry: tuple[Any, ...]
        if isinstance(module, nn.Linear):  # it may work on several positions (tokens) of an image
            hw = (1, image[0].numel() // module.in_features if image.dim() > 1 else 1)
            geometry = "linear", module.in_features, module.out_features, (1, 1), (1, 1), 1, hw, hw
        else:
            kernel, stride = tuple(module.kernel_size), tuple(module.stride)
            hws = tuple(image.shape[-2:]), tuple(output.shape[-2:])
            geometry = _kind(module), module.in_channels, module.out_channels, kernel, stride, module.groups, *hws
        self.layers.append(LayerCount(name, parameters, *geometry))

    def uncounted(self, network: nn.Module) -> tuple[str, ...]:
        """Modules that were not recorded and themselves hold weights that are more than a vector."""
        recorded = {layer.name for layer in self.layers}
        return tuple(
            name or "(network)"
            for name, module in network.named_modules()
            if name not in recorded
            and any(weight.numel() > max(weight.shape, default=1) for weight in module.parameters(recurse=False))
        )


def _kind(module: Any) -> LayerKind:
    if isinstance(module, nn.ConvTranspose2d):
        return "transposed"
    return "conv" if module.groups == 1 else "depthwise" if module.in_channels == module.groups else "grouped"
