"""In which numbers, and in which order in memory, this processor trains a network fastest."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

Precision = Literal["auto", "float32", "bfloat16"]
"""How a training computes: "auto" is bfloat16 where the processor has instructions for it, float32 elsewhere."""
Arithmetic = Literal["float32", "bfloat16"]

CPUINFO = Path("/proc/cpuinfo")
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Names of these instructions in /proc/cpuinfo: of x86, and of Arm."""


def arithmetic_of(precision: Precision) -> Arithmetic:
    """What a precision comes to on this processor."""
    if precision == "auto":
        return "bfloat16" if has_bfloat16() else "float32"
    return precision


@cache
def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 by instructions of its own; emulated, it is slower than float32.

    torch has functions that say so, which are not published: where they are gone, the system's list of flags must do.
    """
    asked = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    return any(callable(ask) and ask() for ask in asked) or bool(BFLOAT16_FLAGS & _processor_flags())


def _processor_flags() -> frozenset[str]:
    try:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines()
    except OSError:  # another system
        return frozenset()
    named = (line.partition(":") for line in lines)
    return frozenset(flag for key, _, flags in named if key.strip() in {"flags", "Features"} for flag in flags.split())


def computing_in(arithmetic: Arithmetic) -> AbstractContextManager[object]:
    """Within, convolutions and matrix products compute in it; weights, statistics and sums stay in float32."""
    return torch.autocast("cpu", torch.bfloat16) if arithmetic == "bfloat16" else nullcontext()


@contextmanager
def channels_last(network: nn.Module, images: Tensor) -> Iterator[torch.memory_format]:
    """Within, weights lie in memory with the channels last, where the network takes its images like that.

    Gives the order that the images (n, channels, ...) must have. Afterwards the weights lie as in a new network.
    Convolutions are quicker so; a forward pass that asks for a `view` of its activations takes contiguous ones only.
    """
    order = memory_order(network, images)
    lay_out(network, order)
    try:
        yield order
    finally:
        for tensor in (*network.parameters(), *network.buffers()):
            if tensor.stride() != torch.empty(tensor.shape, device="meta").stride():
                tensor.data = tensor.data.clone(memory_format=torch.contiguous_format)


def lay_out(network: nn.Module, order: torch.memory_format) -> None:
    """Put the weights of four dimensions into that order, in place."""
    network.to(memory_format=order)  # type: ignore[call-overload] # torch's stubs lack it


def memory_order(network: nn.Module, images: Tensor) -> torch.memory_format:
    """channels_last where the network takes its images (n, channels, ...) like that: it is tried on two of them."""
    if images.dim() != 4:
        return torch.contiguous_format
    tried = copy.deepcopy(network).eval()
    lay_out(tried, torch.channels_last)
    try:
        with torch.no_grad():
            tried(images[:2].contiguous(memory_format=torch.channels_last))
    except RuntimeError:
        return torch.contiguous_format
    return torch.channels_last
