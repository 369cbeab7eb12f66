"""The numbers that an exported low-bit layer computes with, in training: quantized forward, straight-through backward.

Numerics are those of moco/export/bits.py. Rounding has no useful derivative, so a gradient passes it as if it were not
there (the straight-through estimator of Bengio et al. 2013); where an activation was clipped it does not pass, as the
value there no longer follows the input. No weight is clipped: a channel's largest magnitude defines its scale.

A batch-norm behind the layer scales each channel c by gamma_c / sigma_c, and what is exported is the folded weight
w_c gamma_c / sigma_c. Its codes are those of w_c, or their negatives, since scales are per channel and codes symmetric:

    q(w_c g_c) = g_c q(w_c)

so the weight is quantized as it stands, and what is trained is what is shipped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from moco.export.bits import Scale, highest_weight_code


def fake_quantized_weight(weight: Tensor, bits: int) -> Tensor:
    """The weight (channels, ...) as its codes of 1 to 8 bits stand for it; its gradient is the result's."""
    return _Weight.apply(weight, bits)  # type: ignore[no-any-return, no-untyped-call]


def fake_quantized_activation(values: Tensor, scale: Scale) -> Tensor:
    """The values (any shape) as their codes stand for them; the gradient passes where nothing was clipped."""
    return _Activation.apply(values, scale)  # type: ignore[no-any-return, no-untyped-call]


class FakeQuantizedWeight(nn.Module):
    """A parametrization (torch.nn.utils.parametrize) that shows a layer its weight in codes."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.enabled = True

    def forward(self, weight: Tensor) -> Tensor:
        """The weight (channels, ...) that the layer computes with."""
        return fake_quantized_weight(weight, self.bits) if self.enabled else weight


class FakeQuantizedInput:
    """A forward pre-hook that shows a layer its input in codes, or notes the range of what it would be shown."""

    def __init__(self, bits: int, low: float, high: float) -> None:
        self.bits = bits
        self.low, self.high = low, high
        self.observing = False

    def observe(self) -> None:
        """Forget the range, and note that of every input until `quantize`; the layer then reads floats."""
        self.observing, self.low, self.high = True, float("inf"), float("-inf")

    def quantize(self) -> None:
        """Quantize every input from now on by the range that was noted."""
        self.observing = False

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:  # noqa: ARG002
        """What the layer reads instead of its inputs; only the first is quantized."""
        values, *rest = inputs
        if not self.observing:
            return fake_quantized_activation(values, Scale.of(self.low, self.high, self.bits)), *rest
        low, high = values.detach().aminmax()
        self.low, self.high = min(self.low, float(low)), max(self.high, float(high))
        return inputs


class _Weight(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, weight: Tensor, bits: int) -> Tensor:  # noqa: ARG004
        flat = weight.abs().flatten(1)
        largest = flat.mean(1) if bits == 1 else flat.amax(1)
        scales = largest / highest_weight_code(bits)
        scales = torch.where(scales > 0, scales, torch.ones_like(scales)).view(-1, *[1] * (weight.dim() - 1))
        if bits == 1:
            signs = torch.where(weight >= 0, 1.0, -1.0)
            return torch.where((largest > 0).view_as(scales), signs, 0.0) * scales
        return (weight / scales).round_().mul_(scales)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ARG004
        return gradients[0], None


class _Activation(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: Tensor, scale: Scale) -> Tensor:
        # A float32 divisor: division by a Python number would be a multiplication by its rounded inverse.
        steps = values.div(torch.tensor(np.float32(scale.scale))).round_()
        inside = (steps >= -scale.zero_point) & (steps <= scale.top - scale.zero_point)
        context.save_for_backward(inside)
        return steps.clamp_(-scale.zero_point, scale.top - scale.zero_point).mul_(scale.scale)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (inside,) = context.saved_tensors
        return gradients[0] * inside, None
