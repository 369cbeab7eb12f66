"""Quantization-aware training: the weights learn to do with the few values that their codes stand for (W31, S5.09).

While it lasts, each chosen layer computes with the weight and the input that its exported form computes with. The
weights that are trained stay floats behind that, and every one receives a gradient. Afterwards the network is a plain
float network again, whose weights the usual export rounds to the very codes that it was trained with.

A batch-norm may go on averaging its statistics meanwhile, or keep them (`frozen_batch_norm`): the codes of a weight do
not depend on what is folded into it (see fake_quant.py), so the export matches either way. On the digits with 4 and 8
bits, frozen ones diverged at learning rates at which the others learned best.

Left out here is what else an exported file may hold: codes of the tensors that an addition reads, 32-bit biases, and
scales that a calibration shrinks below the largest value that it saw.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from moco.compression.policy_settings import bits_by_part
from moco.compression.precision import FLOAT_BITS, Bits
from moco.errors import CompressionError
from moco.models.descent import BatchLoss
from moco.randomness import derived_seed
from moco.recovery.distillation import Teacher, written_answers
from moco.recovery.fake_quant import FakeQuantizedInput, FakeQuantizedWeight
from moco.recovery.fine_tuning import FineTuningStep, Tuned, descend_, written_training
from moco.recovery.fine_tuning_plan import FineTuning
from moco.recovery.step import Candidate, RecoveryContext

BATCH = 64


@dataclass(frozen=True)
class QuantizationAwareOptions(FineTuning):
    """How a compressed network is trained on, and whether the original network's answers are learned from too."""

    distil: bool = False


class QuantizationAwareStep(FineTuningStep):
    """Trains all weights while the layers that will be in few bits compute in them."""

    name, Options = "quantization_aware", QuantizationAwareOptions
    keeps_whole_ranges = True

    def apply(self, candidate: Candidate, context: RecoveryContext, prepared: object) -> nn.Module:
        """Train in codes; a network without any is fine-tuned."""
        bits, seed = bits_by_part(candidate.policy), derived_seed(context.seed, "training")
        if not bits:
            return super().apply(candidate, context, prepared)
        with quantization_aware(candidate.network, bits, context.images) as quantization:
            quantization.tune_(context.training_set[0], self.loss(context), self.options, rng_seed=seed)
        return candidate.network

    def loss(self, context: RecoveryContext) -> BatchLoss:
        """Of the labels, and of the original's answers where asked."""
        if self.options.distil:
            return Teacher(context.network).loss(*context.training_set, self.options.augments)
        return super().loss(context)

    def written(self) -> str:
        """The plan, and what it learns from."""
        answers = written_answers(Teacher.temperature, Teacher.weight) if self.options.distil else "None"
        return written_training(self.options, answers, in_codes=True)


@dataclass(frozen=True)
class FakeQuantization:
    """A network whose chosen layers compute with codes, while `quantization_aware` lasts.

    Attributes:
        network: the network.
        images: for the ranges of the inputs, (n, channels, height, width).
        weights: by layer, what shows it its weight.
        inputs: by layer, what shows it its input.
    """

    network: nn.Module
    images: Tensor
    weights: Mapping[str, FakeQuantizedWeight]
    inputs: Mapping[str, FakeQuantizedInput]

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest value of each layer's input."""
        return {name: (read.low, read.high) for name, read in self.inputs.items()}

    def tune_(self, images: Tensor, loss: BatchLoss, plan: FineTuning, *, rng_seed: int) -> Tuned:
        """Train the network in place on images (n, channels, height, width), its ranges taken anew after every epoch.

        Args:
            loss: `label_loss` of the images' labels, or that of a teacher.
            rng_seed: see `descend_`.

        Raises:
            CompressionError: the loss or a weight is not finite.
        """

        def calibrate(_epoch: int, _loss: float) -> None:
            self.calibrate()

        return descend_(self.network, images, loss, plan, rng_seed=rng_seed, on_epoch=calibrate)

    def calibrate(self) -> None:
        """Take the ranges that the float network shows, as the export does.

        Raises:
            CompressionError: a layer reads nothing, or values that are not finite.
        """
        modes = {module: module.training for module in self.network.modules()}
        self.network.eval()
        for weight in self.weights.values():
            weight.enabled = False
        for read in self.inputs.values():
            read.observe()
        try:
            with torch.no_grad():
                for batch in torch.tensor_split(self.images, math.ceil(len(self.images) / BATCH)):
                    self.network(batch)
        finally:
            for weight in self.weights.values():
                weight.enabled = True
            for read in self.inputs.values():
                read.quantize()
            for module, training in modes.items():
                module.training = training
        for name, ends in self.ranges().items():
            if not all(math.isfinite(end) for end in ends):
                raise CompressionError(
                    f"quantization-aware training: layer '{name}' reads values from {ends[0]} to {ends[1]} on "
                    f"{len(self.images)} calibration images; check that the network uses it, and the images for NaN"
                )


@contextmanager
def quantization_aware(network: nn.Module, bits: Mapping[str, Bits], images: Tensor) -> Iterator[FakeQuantization]:
    """Let the layers of `network`, a copy to be trained, compute with codes within the block.

    Args:
        bits: by name of a convolution or linear layer; those of 32 bits stay in float.
        images: for the ranges, (n, channels, height, width); they need no labels.

    Raises:
        CompressionError: a layer is missing or of another kind, or has no finite range.
    """
    layers = {name: _layer(network, name) for name, wanted in bits.items() if wanted != FLOAT_BITS}
    weights = {name: FakeQuantizedWeight(bits[name].weights) for name in layers}
    inputs = {name: FakeQuantizedInput(bits[name].activations, 0.0, 0.0) for name in layers}
    hooks = []
    try:
        for name, layer in layers.items():
            parametrize.register_parametrization(layer, "weight", weights[name])
            hooks.append(layer.register_forward_pre_hook(inputs[name]))
        quantization = FakeQuantization(network, images, weights, inputs)
        quantization.calibrate()
        yield quantization
    finally:
        for hook in hooks:
            hook.remove()
        for layer in layers.values():
            if parametrize.is_parametrized(layer, "weight"):
                parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)


def _layer(network: nn.Module, name: str) -> Any:
    layer = dict(network.named_modules()).get(name)
    if not isinstance(layer, nn.Conv2d | nn.Linear):
        kind = "no layer of the network" if layer is None else f"a {type(layer).__name__}"
        raise CompressionError(
            f"quantization-aware training: '{name}' is {kind}; expected a convolution or a linear layer"
        )
    return layer
