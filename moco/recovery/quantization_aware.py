"""Quantization-aware training: the weights learn to do with the few values that their codes stand for (W31, S5.09).

While it lasts, each chosen layer computes with the weight and the input that its exported form computes with
(moco/export/bits.py). Rounding has no useful derivative, so a gradient passes it as if it were not there (the
straight-through estimator of Bengio et al. 2013); where an activation was clipped it does not pass. Afterwards it is a
plain float network again, whose weights the usual export rounds to the very codes that it was trained with.

A batch-norm behind the layer scales each channel c by g_c, and what is exported is the folded weight w_c g_c. Its codes
are those of w_c, or their negatives, since scales are per channel and codes symmetric: q(w_c g_c) = g_c q(w_c). So the
weight is quantized as it stands, and the export matches whether a batch-norm keeps its statistics (`frozen_batch_norm`)
or not. On the digits with 4 and 8 bits, frozen ones diverged at learning rates at which the others learned best.

Left out here is what else an exported file may hold: codes of the tensors that an addition reads, 32-bit biases, and
scales that a calibration shrinks below the largest value that it saw.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from moco.compression.collecting import evaluating
from moco.compression.policy_settings import bits_by_part
from moco.compression.precision import FLOAT_BITS, Bits
from moco.errors import CompressionError
from moco.export.bits import Scale, highest_weight_code
from moco.models.arithmetic import Arithmetic
from moco.models.training import BatchLoss
from moco.recovery.descent import Tuned
from moco.recovery.distillation import DistillationOptions, teacher_loss, written_answers
from moco.recovery.fine_tuning import Cycle, FineTuningStep
from moco.recovery.step import Candidate, RecoveryContext
from moco.recovery.teacher import Teacher
from moco.recovery.training_plan import FineTuningOptions, written_training

BATCH = 64


@dataclass(frozen=True)
class QuantizationAwareOptions(FineTuningOptions):
    """How a compressed network is trained on, and whether the original network's answers are learned from too."""

    step = "quantization_aware"
    views: int | None = 4
    distil: bool = False

    @property
    def arithmetic(self) -> Arithmetic:
        """float32 unless bfloat16 is asked for: that rounds codes of 8 bits to others."""
        return "float32" if self.precision == "auto" else self.precision


class QuantizationAwareStep(FineTuningStep):
    """Trains all weights while the layers that will be in few bits compute in them."""

    name, Options = "quantization_aware", QuantizationAwareOptions
    keeps_whole_ranges = True

    def prepare(self, context: RecoveryContext) -> BatchLoss:
        """The loss of the labels, and of the original's answers where asked."""
        if not self.options.distil:
            return super().prepare(context)
        images, labels = context.training_set
        return teacher_loss(Teacher(context.network, images, self.options.arithmetic), labels)

    def train(
        self, candidate: Candidate, context: RecoveryContext, prepared: BatchLoss, cycle: Cycle | None = None
    ) -> Tuned:
        """Train in codes; a network without any is fine-tuned."""
        bits = bits_by_part(candidate.policy)
        if not bits:
            return super().train(candidate, context, prepared, cycle)
        with quantization_aware(candidate.network, bits, context.images) as quantization:
            calibrate = quantization.calibrate
            return self.descend(candidate.network, context, prepared, cycle or Cycle(), calibrate)

    def written(self) -> str:
        """The plan, and what it learns from."""
        answers = written_answers(DistillationOptions.temperature, DistillationOptions.weight)
        return written_training(self.options, answers if self.options.distil else "None", in_codes=True)


@dataclass(frozen=True)
class FakeQuantization:
    """A network whose chosen layers compute with codes, while `quantization_aware` lasts."""

    network: nn.Module
    images: Tensor  # for the ranges of the inputs, (n, channels, height, width)
    weights: Mapping[str, FakeQuantizedWeight]
    inputs: Mapping[str, FakeQuantizedInput]

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest value of each layer's input."""
        return {name: (float(read.ends[0]), float(read.ends[1])) for name, read in self.inputs.items()}

    def calibrate(self, *_epoch: object) -> None:
        """Take the ranges of the float network, as the export does; a CompressionError names a layer without one."""
        self._show(codes=False)
        try:
            with evaluating(self.network), torch.no_grad():
                for batch in torch.tensor_split(self.images, math.ceil(len(self.images) / BATCH)):
                    self.network(batch)
        finally:
            self._show(codes=True)
        for name, ends in self.ranges().items():
            if not all(math.isfinite(end) for end in ends):
                raise CompressionError(
                    f"quantization-aware training: layer '{name}' reads values from {ends[0]} to {ends[1]} on "
                    f"{len(self.images)} calibration images; check that the network uses it, and the images for NaN"
                )

    def _show(self, *, codes: bool) -> None:
        """Let layers read codes from now on; or floats, whose ranges are noted anew."""
        for weight in self.weights.values():
            weight.enabled = codes
        for read in self.inputs.values():
            read.observing = not codes
            if not codes:
                read.forget()


@contextmanager
def quantization_aware(network: nn.Module, bits: Mapping[str, Bits], images: Tensor) -> Iterator[FakeQuantization]:
    """Let the layers of `network`, a copy to be trained, compute with codes within the block.

    The bits are by name of a convolution or linear layer; those of 32 bits stay in float. The images (n, channels,
    height, width), for the ranges, need no labels. A layer that is missing, of another kind, or without a finite range
    is a CompressionError.
    """
    layers = {name: _layer(network, name) for name, wanted in bits.items() if wanted != FLOAT_BITS}
    weights = {name: FakeQuantizedWeight(bits[name].weights) for name in layers}
    inputs = {name: FakeQuantizedInput(bits[name].activations) for name in layers}
    with ExitStack() as undone:
        for name, layer in layers.items():
            parametrize.register_parametrization(layer, "weight", weights[name])
            undone.callback(parametrize.remove_parametrizations, layer, "weight", leave_parametrized=False)
            undone.enter_context(inputs[name].of(layer))
        quantization = FakeQuantization(network, images, weights, inputs)
        quantization.calibrate()
        yield quantization


def _layer(network: nn.Module, name: str) -> Any:
    layer = dict(network.named_modules()).get(name)
    if not isinstance(layer, nn.Conv2d | nn.Linear):
        kind = "no layer of the network" if layer is None else f"a {type(layer).__name__}"
        raise CompressionError(
            f"quantization-aware training: '{name}' is {kind}; expected a convolution or a linear layer"
        )
    return layer


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
    """A forward pre-hook that shows a layer its input in codes, or notes the range of what it would be shown.

    The range is a buffer of the layer, since where a training stands depends on it (moco/recovery/checkpoint.py).
    """

    BUFFER = "range_of_its_input"

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.ends = torch.empty(2)  # lowest and highest value
        self.forget()
        self.observing = True

    def forget(self) -> None:
        """Note the range anew."""
        self.ends.copy_(torch.tensor([math.inf, -math.inf]))

    @contextmanager
    def of(self, layer: nn.Module) -> Iterator[None]:
        """Stand before the layer, within."""
        layer.register_buffer(self.BUFFER, self.ends, persistent=False)
        hook = layer.register_forward_pre_hook(self)
        try:
            yield
        finally:
            hook.remove()
            delattr(layer, self.BUFFER)

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:  # noqa: ARG002
        """What the layer reads instead of its inputs, in float32; only the first is quantized."""
        values, *rest = inputs
        if not self.observing:
            low, high = self.ends.tolist()
            return fake_quantized_activation(values.float(), Scale.of(low, high, self.bits)), *rest
        low, high = values.detach().float().aminmax()
        self.ends.copy_(torch.stack((torch.minimum(self.ends[0], low), torch.maximum(self.ends[1], high))))
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
