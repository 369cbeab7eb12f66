"""What a trained network shows on images: gradients of its weights and what its layers read. It is left as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial, reduce

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from moco.errors import CompressionError

BATCH = 64

Read = Callable[[torch.Tensor], torch.Tensor | None]
"""Sees what a layer is about to read, (n, channels, ...) or (n, ..., features); what it gives is read instead."""


@dataclass(frozen=True)
class CalibrationData:
    """Images that a ranking looks at."""

    images: torch.Tensor  # normalised, (n, channels, height, width)
    labels: torch.Tensor | None = None  # (n,) classes from 0 on, int64; None where they are not known


def image_batches(ranking: str, data: CalibrationData | None) -> tuple[torch.Tensor, ...]:
    """The images in batches; a CompressionError names the ranking where there are none, or not finite ones."""
    if data is None or not len(data.images):
        raise CompressionError(f"ranking '{ranking}': expected calibration images, got none")
    if data.images.ndim != 4 or not torch.isfinite(data.images).all():
        raise CompressionError(
            f"ranking '{ranking}': expected finite calibration images (n, channels, height, width), got shape "
            f"{tuple(data.images.shape)}{' with NaN or infinite values' if data.images.ndim == 4 else ''}"
        )
    return torch.split(data.images, BATCH)


def labelled_batches(ranking: str, data: CalibrationData | None) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The images and labels in batches; a CompressionError names the ranking that lacks them or cannot use them."""
    images = image_batches(ranking, data)
    labels = None if data is None else data.labels
    if labels is None:
        raise CompressionError(f"ranking '{ranking}': expected a label for each calibration image, got none")
    count = sum(map(len, images))
    if labels.shape != (count,) or labels.dtype != torch.int64 or int(labels.min()) < 0:
        raise CompressionError(
            f"ranking '{ranking}': expected {count} labels from 0 on, int64, "
            f"got shape {tuple(labels.shape)} and {labels.dtype}, the least {labels.min().item()}"
        )
    return list(zip(images, torch.split(labels, BATCH), strict=True))


def loss_of(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy, summed so that each image has its own loss's gradient; a CompressionError for an unknown class."""
    device = next(network.parameters()).device
    logits = network(images.to(device))
    if int(labels.max()) >= logits.shape[1]:
        raise CompressionError(
            f"calibration: a label is {int(labels.max())}, the network has {logits.shape[1]} classes from 0 on"
        )
    return F.cross_entropy(logits, labels.to(device), reduction="sum")


def weight_gradients(
    network: nn.Module, layers: Sequence[str], batches: Iterable[tuple[torch.Tensor, torch.Tensor]]
) -> dict[str, torch.Tensor]:
    """By layer, the gradient (float64, as its weight) of the mean loss over the images, in evaluation mode."""
    weights = [network.get_submodule(name).get_parameter("weight") for name in layers]
    total = [torch.zeros_like(weight, dtype=torch.float64) for weight in weights]
    seen = 0
    with evaluating(network), _requiring_grad(weights), torch.enable_grad():
        for images, labels in batches:
            seen += len(images)
            gradients = torch.autograd.grad(loss_of(network, images, labels), weights, allow_unused=True)
            for summed, gradient in zip(total, gradients, strict=True):
                if gradient is not None:
                    summed.add_(gradient)
    return {name: gradient / seen for name, gradient in zip(layers, total, strict=True)}


def mean_reads(
    network: nn.Module, layers: Sequence[str], batches: Sequence[torch.Tensor]
) -> dict[str, list[torch.Tensor]]:
    """By layer, for each time that the network calls it, the mean over the images of what it reads (float64).

    A convolution reads maps (channels, height, width), a linear layer (..., features).
    """
    sums: dict[str, list[list[torch.Tensor]]] = {name: [] for name in layers}  # of the calls in each batch

    def add(name: str, read: torch.Tensor) -> None:
        sums[name][-1].append(read.double().sum(dim=0))

    with evaluating(network), reading(network, {name: partial(add, name) for name in layers}), torch.no_grad():
        for images in batches:
            for calls in sums.values():
                calls.append([])
            network(images.to(next(network.parameters()).device))
    count = sum(map(len, batches))
    return {name: [reduce(torch.add, call) / count for call in zip(*of, strict=True)] for name, of in sums.items()}


def kl_divergence(original: torch.Tensor, compressed: torch.Tensor) -> float:
    """KL(original || compressed) in nats between the class distributions of logits (n, classes), mean over images."""
    p, q = (torch.log_softmax(logits.double(), dim=1) for logits in (original, compressed))
    return max(float((p.exp() * (p - q)).sum(dim=1).mean()), 0.0)  # rounding may leave -1e-17


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """The network in evaluation mode; each module goes back to its own mode."""
    before = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


@contextmanager
def reading(network: nn.Module, reads: Mapping[str, Read]) -> Iterator[None]:
    """Let each named layer's function see, and replace, what the layer reads."""
    with ExitStack() as stack:
        for name, read in reads.items():
            handle = network.get_submodule(name).register_forward_pre_hook(lambda _, args, read=read: read(args[0]))
            stack.callback(handle.remove)
        yield


@contextmanager
def _requiring_grad(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    before = [parameter.requires_grad for parameter in parameters]
    try:
        for parameter in parameters:
            parameter.requires_grad_(True)
        yield
    finally:
        for parameter, required in zip(parameters, before, strict=True):
            parameter.requires_grad_(required)
