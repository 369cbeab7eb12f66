"""What targets on this machine's own processor have in common: threads, clock, facts, and a snippet's frame."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from typing import Any

from moco.errors import ConfigError, nearest
from moco.hardware.measuring.processor import processor
from moco.hardware.measuring.timing import CLOCKS
from moco.interfaces import Capabilities, Normalize

KINDS = frozenset({"conv", "depthwise", "linear"})
"""Kinds of layers that run on floats and in int8."""
MIXED_KINDS = frozenset({"conv", "linear"})
"""Fewer bits are for size alone: they run as int8 at best."""
INT8_MULTIPLE = 4
"""Int8 kernels take 4 channels at a time (one dot-product instruction): odd widths are slower than the next multiple
of 4, multiples of 16 are a little better still; measured on AVX-512 with VNNI (64->K->64 pairs: K 33 0.98, 32 0.58)."""
MOST_A_CORE = 8  # threads for each processor; more would only wait for each other


def check_threads(threads: int) -> None:
    """Pass a number of threads that this machine can run; else a ConfigError."""
    if threads < 1:
        raise ConfigError(f"target.threads: expected at least 1, got {threads}")
    if threads > (most := MOST_A_CORE * (os.cpu_count() or 1)):
        raise ConfigError(f"target.threads: expected at most {most} on this machine, got {threads}")


def check_clock(clock: str | None, *, one_thread_works: bool) -> None:
    """Pass a clock that sees all the work, or None; else a ConfigError."""
    if clock is not None and clock not in CLOCKS:
        raise ConfigError(f"target.clock: unknown clock '{clock}'{nearest(clock, CLOCKS)}")
    if clock == "processor" and not one_thread_works:
        raise ConfigError("target.clock: 'processor' sees one thread of a POSIX system only; take 'wall'")


def clock_for(clock: str | None, *, one_thread_works: bool) -> str:
    """The clock that is used: the one asked for, else the processor's where it tells the whole time."""
    return clock or ("processor" if one_thread_works else "wall")


def calling_thread_works(threads: int) -> bool:
    """Whether the calling thread does all the work, and its clock is fine (Windows': 16 ms)."""
    return os.name == "posix" and threads == 1


def facts() -> dict[str, Any]:
    """Of the machine, what a timed number depends on. JSON."""
    return {
        "processor": processor().name,
        "instruction_sets": list(processor().instruction_sets),
        "cores": processor().cores,
        "system": f"{platform.system()} {platform.machine()}",
    }


def what_it_can(version: str, threads: int, can: Capabilities) -> str:
    """A target's own finding for `moco doctor`, in words."""
    widths = ", ".join(f"{p} (widths: multiples of {can.channel_multiples[p]})" for p in can.precisions)
    return f"{version}, {threads} thread; {widths}; measures {', '.join(sorted(can.metrics))}"


def labelling_program(
    opening: str, size: str, call: str, input_shape: Sequence[int] | None, normalize: Normalize | None
) -> str:
    """Five lines or so that label a batch of images; they run as they stand, on a black image.

    `opening` imports numpy as np and opens the file, `size` is Python for the sizes of an image where they are not
    known, and `call` is Python for the logits, with `{feed}` where the images go.
    """
    size = size if input_shape is None else ", ".join(map(str, input_shape))
    before, feed, scale = "", "images", "scaled as in training"
    if normalize is not None:
        mean, std = map(list, normalize)
        before = f"mean, std = np.reshape([{mean}, {std}], (2, 1, {len(mean)}, 1, 1))\n"
        feed, scale = "((images - mean) / std).astype(np.float32)", "RGB in 0..1"
    return (
        f"{opening}{before}"
        f"images = np.zeros((1, {size}), np.float32)  # your images: (n, channels, height, width), {scale}\n"
        f"labels = {call.format(feed=feed)}.argmax(axis=1)\n"
    )
