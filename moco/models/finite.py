"""Whether a network's numbers are finite: what is not is named by the module that it comes from, before any search."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import nn

from moco.errors import ConfigError

BATCH, MOST_IMAGES = 32, 64  # a first look: later on, each file's logits on the search images are checked whole


def check_tensors(network: nn.Module) -> None:
    """Pass a network whose parameters and statistics are finite and whose variances are positive; else a ConfigError.

    A variance below zero is passed where the batch-norm's epsilon makes it positive.
    """
    statistics = ((name, b) for name, b in network.named_buffers() if name.endswith(("running_mean", "running_var")))
    for name, tensor in (*network.named_parameters(), *statistics):
        bad = int((~torch.isfinite(tensor)).sum())
        if bad:
            raise ConfigError(
                f"the network: {bad} of the {tensor.numel()} values of '{name}' are NaN or infinite; "
                "give weights of before its training diverged"
            )
    for name, module in network.named_modules():
        variance, epsilon = getattr(module, "running_var", None), getattr(module, "eps", None)
        if isinstance(variance, torch.Tensor) and isinstance(epsilon, float) and bool((variance + epsilon <= 0).any()):
            raise ConfigError(
                f"the network: '{name}' has a running variance of {float(variance.min()):.3g}, expected none below 0; "
                "load its weights anew, or estimate its statistics again in training mode"
            )


def check_finite(network: nn.Module, images: torch.Tensor) -> None:
    """Pass a network, in evaluation mode, that is finite on the first of these images (n, channels, height, width).

    A ConfigError names what its tensors hold (`check_tensors`), or else the first module that gives a value that is
    not finite. Images that are not finite themselves are passed: they are no fault of the network's.
    """
    check_tensors(network)
    for batch in torch.split(images[:MOST_IMAGES], BATCH):
        if not bool(torch.isfinite(batch).all()):
            return
        with torch.no_grad():
            if bool(torch.isfinite(network(batch)).all()):
                continue
            raise ConfigError(
                f"the network gives NaN or infinite logits on calibration images, {_first_not_finite(network, batch)}; "
                "look at that module's weights, and whether data.normalize is that of its training"
            )


def _first_not_finite(network: nn.Module, batch: torch.Tensor) -> str:
    """Where values that are not finite first come from, in words."""
    found: list[str] = []

    def entered(name: str, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not found and not _finite(inputs):
            found.append(f"first in the forward pass before '{name}' ({type(module).__name__})")

    def left(name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if not found and not _finite(output):
            largest = max((float(t.abs().max()) for t in inputs if isinstance(t, torch.Tensor)), default=0.0)
            found.append(f"first from '{name}' ({type(module).__name__}), which reads values up to {largest:.3g}")

    with ExitStack() as hooks:
        for name, module in network.named_modules():
            if name:
                hooks.enter_context(module.register_forward_pre_hook(partial(entered, name)))
                hooks.enter_context(module.register_forward_hook(partial(left, name)))
        network(batch)
    return found[0] if found else "first in the forward pass behind its last module"


def _finite(values: Any) -> bool:
    tensors = values if isinstance(values, list | tuple) else (values,)
    floats = [t for t in tensors if isinstance(t, torch.Tensor) and t.is_floating_point()]
    return all(bool(torch.isfinite(t).all()) for t in floats)
