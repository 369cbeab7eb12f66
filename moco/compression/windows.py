"""The rows that a layer's outputs are products of: windows of its input (im2col), at chosen output positions only."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


def draw_positions(layer: Any, inputs: Tensor, positions: int, generator: np.random.Generator) -> Tensor:
    """Flat output positions (images, positions) of a layer, others for each image; all where there are no more."""
    is_linear = isinstance(layer, nn.Linear)
    places = inputs[0].numel() // layer.in_features if is_linear else prod(_output_hw(layer, inputs))
    if positions >= places:
        return torch.arange(places).expand(len(inputs), places)
    drawn = generator.random((len(inputs), places)).argpartition(positions, axis=1)[:, :positions]
    return torch.from_numpy(np.sort(drawn, axis=1))


def sampled_rows(layer: nn.Module, inputs: Tensor, positions: Tensor, intercept: bool = False) -> Tensor:
    """X: the windows that give the outputs at these positions (images, positions), and ones for a bias or intercept.

    A row holds the window channel by channel, as `torch.nn.functional.unfold` does, which would make all windows.
    """
    if isinstance(layer, nn.Linear):
        rows = _tokens(inputs, positions)
    else:
        assert isinstance(layer, nn.Conv2d)
        rows = _windows(layer, inputs, positions)
    with_ones = intercept or layer.bias is not None
    return torch.cat([rows, rows.new_ones(len(rows), 1)], dim=1) if with_ones else rows


def sampled_outputs(layer: nn.Module, outputs: Tensor, positions: Tensor) -> Tensor:
    """Y: the outputs at these positions (images, positions), one row a position."""
    if isinstance(layer, nn.Linear):
        return _tokens(outputs, positions)
    return outputs.flatten(2).take_along_dim(positions[:, None], 2).transpose(1, 2).flatten(0, 1)


def _tokens(features: Tensor, positions: Tensor) -> Tensor:
    """Features of a linear layer (images, ..., features) at these positions: (images * positions, features)."""
    tokens = features.reshape(len(features), -1, features.shape[-1])
    return tokens.take_along_dim(positions[:, :, None], 1).flatten(0, 1)


def _windows(layer: nn.Conv2d, inputs: Tensor, positions: Tensor) -> Tensor:
    """im2col at these output positions only: (images * positions, channels * kernel)."""
    padded = _padded(layer, inputs)
    (kernel_h, kernel_w), (stride_h, stride_w) = layer.kernel_size, layer.stride
    dilation_h, dilation_w = layer.dilation
    across = _output_hw(layer, inputs)[1]
    top, left = positions // across * stride_h, positions % across * stride_w
    y = top[:, :, None, None] + dilation_h * torch.arange(kernel_h)[:, None]
    x = left[:, :, None, None] + dilation_w * torch.arange(kernel_w)
    image = torch.arange(len(inputs))[:, None, None, None]
    found = padded.permute(0, 2, 3, 1)[image, y, x]  # (images, positions, kernel height, kernel width, channels)
    return found.flatten(2, 3).transpose(2, 3).flatten(2).flatten(0, 1)


def _padded(layer: nn.Conv2d, inputs: Tensor) -> Tensor:
    (top, bottom), (left, right) = _padding(layer)
    if not any((top, bottom, left, right)):
        return inputs
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    return F.pad(inputs, (left, right, top, bottom), mode=mode)


def _padding(layer: nn.Conv2d) -> list[tuple[int, int]]:
    """Padding before and after, of height and of width."""
    if layer.padding == "valid":
        return [(0, 0), (0, 0)]
    if layer.padding == "same":
        total = [dilation * (kernel - 1) for dilation, kernel in zip(layer.dilation, layer.kernel_size, strict=True)]
        return [(size // 2, size - size // 2) for size in total]
    return [(int(size), int(size)) for size in layer.padding]


def _output_hw(layer: nn.Conv2d, inputs: Tensor) -> list[int]:
    """Height and width of what the layer gives."""
    sides = zip(inputs.shape[2:], _padding(layer), layer.kernel_size, layer.stride, layer.dilation, strict=True)
    return [(n + sum(pad) - dilation * (kernel - 1) - 1) // stride + 1 for n, pad, kernel, stride, dilation in sides]
