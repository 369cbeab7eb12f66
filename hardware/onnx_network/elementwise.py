"""What ONNX computes number by number, and its reductions, in torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from moco.errors import MeasurementError


def clip(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    """Clip; the bounds are constants of a file, and numbers here."""
    if low is None and high is None:
        return x
    return torch.clamp(x, None if low is None else low.item(), None if high is None else high.item())


def hard_sigmoid(x: Tensor, *, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    """HardSigmoid: torch's own where it is of a sixth, as in every network for vision."""
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return F.hardsigmoid(x)
    return torch.clamp(torch.add(torch.mul(x, alpha), beta), 0, 1)


def gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    """Gelu."""
    return F.gelu(x, approximate=approximate)


def leaky_relu(x: Tensor, *, alpha: float = 0.01) -> Tensor:
    """LeakyRelu."""
    return F.leaky_relu(x, alpha)


def elu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """Elu."""
    return F.elu(x, alpha)


def p_relu(x: Tensor, slope: Tensor) -> Tensor:
    """PRelu, whose slope is broadcast from the last axis."""
    return torch.where(torch.lt(x, 0), torch.mul(x, slope), x)


def softmax(x: Tensor, *, axis: int = -1) -> Tensor:
    """Softmax."""
    return F.softmax(x, axis)


def log_softmax(x: Tensor, *, axis: int = -1) -> Tensor:
    """LogSoftmax."""
    return F.log_softmax(x, axis)


def division(a: Tensor, b: Tensor) -> Tensor:
    """Div: of integers towards zero."""
    return torch.div(a, b) if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def modulo(a: Tensor, b: Tensor, *, fmod: int = 0) -> Tensor:
    """Mod: with the sign of the divisor, or of the dividend."""
    return torch.fmod(a, b) if fmod else torch.remainder(a, b)


def power(a: Tensor, b: Tensor) -> Tensor:
    """Pow, in the type of the base; a constant power of one number is a number here."""
    return torch.pow(a, b.item() if b.numel() == 1 and b.dim() == 0 else b).to(a.dtype)


def maximum(*values: Tensor) -> Tensor:
    """Max of any number of tensors."""
    return reduce(torch.maximum, values)


def minimum(*values: Tensor) -> Tensor:
    """Min of any number of tensors."""
    return reduce(torch.minimum, values)


def total(*values: Tensor) -> Tensor:
    """Sum of any number of tensors."""
    return reduce(torch.add, values)


def over_axes(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A reduction over axes, which are an input or, in older files, an attribute; over all where there are none."""

    def reduction(
        x: Tensor,
        given: Tensor | None = None,
        *,
        axes: Sequence[int] | None = None,
        keepdims: int = 1,
        noop_with_empty_axes: int = 0,
    ) -> Tensor:
        chosen = list(axes or []) if given is None else given.tolist()
        if not chosen and noop_with_empty_axes:
            return x
        return function(x, tuple(chosen or range(x.dim())), bool(keepdims))

    return reduction


def l2_norm(x: Tensor, axes: tuple[int, ...], keep: bool) -> Tensor:
    """ReduceL2."""
    norm: Tensor = torch.linalg.vector_norm(x, 2, axes, keep)
    return norm


def largest_index(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
    """ArgMax; of equal ones the first."""
    if select_last_index:
        raise MeasurementError("ArgMax: expected the first of equal ones, got select_last_index")
    return torch.argmax(x, axis, bool(keepdims))


OPERATORS: dict[str, Callable[..., Tensor]] = {
    "Abs": torch.abs,
    "Add": torch.add,
    "And": torch.logical_and,
    "ArgMax": largest_index,
    "Ceil": torch.ceil,
    "Clip": clip,
    "Cos": torch.cos,
    "Div": division,
    "Elu": elu,
    "Equal": torch.eq,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "Gelu": gelu,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "HardSigmoid": hard_sigmoid,
    "HardSwish": F.hardswish,
    "LeakyRelu": leaky_relu,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "Log": torch.log,
    "LogSoftmax": log_softmax,
    "Max": maximum,
    "Min": minimum,
    "Mish": F.mish,
    "Mod": modulo,
    "Mul": torch.mul,
    "Neg": torch.neg,
    "Not": torch.logical_not,
    "Or": torch.logical_or,
    "PRelu": p_relu,
    "Pow": power,
    "Reciprocal": torch.reciprocal,
    "ReduceL2": over_axes(l2_norm),
    "ReduceMax": over_axes(torch.amax),
    "ReduceMean": over_axes(torch.mean),
    "ReduceMin": over_axes(torch.amin),
    "ReduceSum": over_axes(torch.sum),
    "Relu": F.relu,
    "Round": torch.round,
    "Sigmoid": torch.sigmoid,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Softmax": softmax,
    "Softplus": F.softplus,
    "Softsign": F.softsign,
    "Sqrt": torch.sqrt,
    "Sub": torch.sub,
    "Sum": total,
    "Tanh": torch.tanh,
    "Where": torch.where,
}
