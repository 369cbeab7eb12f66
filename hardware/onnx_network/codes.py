"""Quantize and dequantize nodes in torch, by emulation: codes lie in 8 bits, and what is between computes in floats."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from moco.errors import MeasurementError


def quantize_linear(x: Tensor, scale: Tensor, zero_point: Tensor | None = None, *, axis: int = 1, **_: int) -> Tensor:
    """QuantizeLinear to codes of 8 bits, by tensor or by channel."""
    kind = torch.uint8 if zero_point is None else zero_point.dtype
    if kind not in {torch.uint8, torch.int8}:
        raise MeasurementError(f"QuantizeLinear: expected codes of 8 bits, got {kind}")
    limits = torch.iinfo(kind)
    codes = torch.round(torch.div(x, _along(scale, x, axis)))
    if zero_point is not None and bool(torch.any(zero_point != 0)):
        codes = torch.add(codes, _along(zero_point.to(torch.float32), x, axis))
    return torch.clamp(codes, limits.min, limits.max).to(kind)


def dequantize_linear(
    codes: Tensor, scale: Tensor, zero_point: Tensor | None = None, *, axis: int = 1, **_: int
) -> Tensor:
    """DequantizeLinear, by tensor or by channel."""
    values = codes.to(torch.float32)
    if zero_point is not None and bool(torch.any(zero_point != 0)):
        values = torch.sub(values, _along(zero_point.to(torch.float32), codes, axis))
    return torch.mul(values, _along(scale, codes, axis))


def _along(numbers: Tensor, x: Tensor, axis: int) -> Tensor:
    """One number, or one for each place along an axis, in the shape that is broadcast over `x`."""
    if numbers.numel() == 1:
        return numbers.reshape(())
    if numbers.dim() != 1:
        raise MeasurementError("expected a scale of a tensor or of its channels, got one of blocks")
    return numbers.reshape([-1 if place == axis % x.dim() else 1 for place in range(x.dim())])


OPERATORS: dict[str, Callable[..., Tensor]] = {
    "DequantizeLinear": dequantize_linear,
    "QuantizeLinear": quantize_linear,
}
