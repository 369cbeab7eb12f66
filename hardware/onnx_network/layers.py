"""Layers, poolings and normalisations of ONNX in torch; images are (n, channels, height, width), or of other rank."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from moco.errors import MeasurementError

Sizes = Sequence[int] | None
CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED: dict[int, Callable[..., Tensor]] = {
    1: F.conv_transpose1d,
    2: F.conv_transpose2d,
    3: F.conv_transpose3d,
}
MAX_POOLS: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVERAGE_POOLS: dict[int, Callable[..., Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def conv(  # noqa: PLR0913 - the operator's attributes
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    strides: Sizes = None,
    pads: Sizes = None,
    dilations: Sizes = None,
    group: int = 1,
    kernel_shape: Sizes = None,
    auto_pad: str = "NOTSET",
) -> Tensor:
    """Conv."""
    kernel = kernel_shape or weight.shape[2:]
    strides, dilations = strides or [1] * len(kernel), dilations or [1] * len(kernel)
    before, after = _pads(x, kernel, strides, dilations, pads, auto_pad)
    if before != after:
        x, before = _padded(x, before, after, 0.0), [0] * len(kernel)
    return CONVOLUTIONS[len(kernel)](x, weight, bias, list(strides), before, list(dilations), group)


def conv_transpose(  # noqa: PLR0913 - the operator's attributes
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    strides: Sizes = None,
    pads: Sizes = None,
    dilations: Sizes = None,
    output_padding: Sizes = None,
    group: int = 1,
    kernel_shape: Sizes = None,
) -> Tensor:
    """ConvTranspose with the same padding on both sides."""
    axes = len(kernel_shape or weight.shape[2:])
    before, after = _sides(pads, axes)
    if before != after:
        raise MeasurementError(f"ConvTranspose: expected the same padding on both sides, got {pads}")
    ones = [1] * axes
    more = list(output_padding or [0] * axes)
    return TRANSPOSED[axes](x, weight, bias, list(strides or ones), before, more, group, list(dilations or ones))


def max_pool(  # noqa: PLR0913 - the operator's attributes
    x: Tensor,
    *,
    kernel_shape: Sequence[int],
    strides: Sizes = None,
    pads: Sizes = None,
    dilations: Sizes = None,
    ceil_mode: int = 0,
    auto_pad: str = "NOTSET",
    storage_order: int = 0,  # noqa: ARG001 - of the indices, which are not given
) -> Tensor:
    """MaxPool without indices."""
    ones = [1] * len(kernel_shape)
    strides, dilations = strides or ones, dilations or ones
    before, after = _pads(x, kernel_shape, strides, dilations, pads, auto_pad)
    if before != after or any(2 * pad > size for pad, size in zip(before, kernel_shape, strict=True)):
        x, before = _padded(x, before, after, -math.inf), [0] * len(kernel_shape)
    pool = MAX_POOLS[len(kernel_shape)]
    return pool(x, list(kernel_shape), list(strides), before, list(dilations), bool(ceil_mode))


def average_pool(  # noqa: PLR0913 - the operator's attributes
    x: Tensor,
    *,
    kernel_shape: Sequence[int],
    strides: Sizes = None,
    pads: Sizes = None,
    dilations: Sizes = None,
    ceil_mode: int = 0,
    auto_pad: str = "NOTSET",
    count_include_pad: int = 0,
) -> Tensor:
    """AveragePool; where torch has no such padding, the sum over a window divided by how many count in it."""
    ones = [1] * len(kernel_shape)
    strides = strides or ones
    if dilations is not None and list(dilations) != ones:
        raise MeasurementError(f"AveragePool: expected no dilations, got {dilations}")
    before, after = _pads(x, kernel_shape, strides, ones, pads, auto_pad)
    pool, sizes = AVERAGE_POOLS[len(kernel_shape)], (list(kernel_shape), list(strides))
    if before == after and all(2 * pad <= size for pad, size in zip(before, kernel_shape, strict=True)):
        return pool(x, *sizes, before, bool(ceil_mode), bool(count_include_pad))
    if ceil_mode:
        raise MeasurementError("AveragePool: ceil_mode together with padding on one side is not known")
    padded = pool(_padded(x, before, after, 0.0), *sizes)
    if count_include_pad:
        return padded
    counted = pool(_padded(torch.ones(1, 1, *x.shape[2:]), before, after, 0.0), *sizes)
    return torch.div(padded, counted)


def global_average_pool(x: Tensor) -> Tensor:
    """GlobalAveragePool."""
    return torch.mean(x, tuple(range(2, x.dim())), True)


def global_max_pool(x: Tensor) -> Tensor:
    """GlobalMaxPool."""
    return torch.amax(x, tuple(range(2, x.dim())), True)


def gemm(  # noqa: PLR0913 - the operator's attributes
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,  # noqa: N803 - ONNX's name
    transB: int = 0,  # noqa: N803 - ONNX's name
) -> Tensor:
    """Gemm: alpha a b + beta c, as a linear layer where it is one."""
    a = torch.transpose(a, 0, 1) if transA else a
    if c is not None and c.dim() == 1 and alpha == beta == 1:
        return F.linear(a, b if transB else torch.transpose(b, 0, 1).contiguous(), c)
    product = torch.matmul(a, torch.transpose(b, 0, 1) if transB else b)
    product = product if alpha == 1 else torch.mul(product, alpha)
    return product if c is None else torch.add(product, c, alpha=beta)


def batch_normalization(  # noqa: PLR0913 - the operator's attributes
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,  # noqa: ARG001 - of training
    training_mode: int = 0,
) -> Tensor:
    """BatchNormalization with fixed statistics."""
    if training_mode:
        raise MeasurementError("BatchNormalization: expected fixed statistics, got training_mode")
    return F.batch_norm(x, mean, variance, scale, bias, False, 0.0, epsilon)


def layer_normalization(
    x: Tensor,
    scale: Tensor,
    bias: Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,  # noqa: ARG001 - torch keeps the statistics in float32 anyway
) -> Tensor:
    """LayerNormalization."""
    return F.layer_norm(x, list(x.shape[axis % x.dim() :]), scale, bias, epsilon)


def instance_normalization(x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float = 1e-5) -> Tensor:
    """InstanceNormalization."""
    return F.instance_norm(x, None, None, scale, bias, True, 0.0, epsilon)


def group_normalization(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    *,
    num_groups: int,
    epsilon: float = 1e-5,
    stash_type: int = 1,  # noqa: ARG001 - torch keeps the statistics in float32 anyway
) -> Tensor:
    """GroupNormalization; up to opset 20 its scale is one a group."""
    channels = x.shape[1]
    if scale.numel() != channels:
        scale, bias = (torch.repeat_interleave(one, channels // num_groups) for one in (scale, bias))
    return F.group_norm(x, num_groups, scale, bias, epsilon)


def _sides(pads: Sizes, axes: int) -> tuple[list[int], list[int]]:
    """The paddings before and after each axis."""
    pads = list(pads or [0] * (2 * axes))
    return pads[:axes], pads[axes:]


def _pads(
    x: Tensor, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], pads: Sizes, auto_pad: str
) -> tuple[list[int], list[int]]:
    """The paddings before and after each axis, those of `auto_pad` by ONNX's formula."""
    if auto_pad in {"NOTSET", "VALID", ""}:
        return _sides(pads if auto_pad != "VALID" else None, len(kernel))
    missing = []
    for size, k, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True):
        missing.append(max(0, (-(-size // stride) - 1) * stride + dilation * (k - 1) + 1 - size))
    less, more = [pad // 2 for pad in missing], [pad - pad // 2 for pad in missing]
    return (less, more) if auto_pad == "SAME_UPPER" else (more, less)


def _padded(x: Tensor, before: Sequence[int], after: Sequence[int], value: float) -> Tensor:
    """The tensor with these paddings of its last axes."""
    sides = [side for pair in reversed(list(zip(before, after, strict=True))) for side in pair]
    return F.pad(x, sides, "constant", value)


OPERATORS: dict[str, Callable[..., Tensor]] = {
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Gemm": gemm,
    "GlobalAveragePool": global_average_pool,
    "GlobalMaxPool": global_max_pool,
    "GroupNormalization": group_normalization,
    "InstanceNormalization": instance_normalization,
    "LayerNormalization": layer_normalization,
    "MatMul": torch.matmul,
    "MaxPool": max_pool,
}
