"""How much faster is the refit of a layer by its Gram matrix than a full least-squares solve for each candidate?

    python benchmarks/refit.py [--repeats 5] [--rows 30000] [--candidates 20]

A 1x1 layer of 512 channels and a 3x3 layer of 128, each with half of its input channels kept: scikit-learn's
LinearRegression fits the sampled rows, in single and in double precision; the refit solves the part of the Gram matrix
that stays, in double precision. Asked for (W28): at least 50 times faster at 512 channels, the Gram matrix not counted.
Times are medians of processor seconds of one thread, so that a busy machine does not count. Where OPENBLAS_CORETYPE or
OPENBLAS_L2_SIZE is set, it may slow scikit-learn: run again with `env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import partial
from statistics import median
from time import process_time
from typing import TypeVar

import numpy as np
import torch
from sklearn.linear_model import LinearRegression
from threadpoolctl import threadpool_info, threadpool_limits
from torch import nn

from moco.compression.windows import draw_positions, sampled_outputs, sampled_rows
from moco.recovery.least_squares import Gram, columns_of, refit_weights

Result = TypeVar("Result")
POSITIONS = 10
LAYERS = {
    "1x1, 512 channels": (nn.Conv2d(512, 512, 1, bias=False), 4),
    "3x3, 128 channels": (nn.Conv2d(128, 128, 3, padding=1, bias=False), 8),
}
"""Layer and side of its input, by name."""


def main() -> None:
    """Print a block a layer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--candidates", type=int, default=20)
    asked = parser.parse_args()
    kernels = sorted({f"{p['internal_api']} {p.get('architecture', '')}".strip() for p in threadpool_info()})
    settings = {name: os.environ.get(name, "unset") for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    print(f"kernels: {', '.join(kernels)}; {settings}; torch {torch.backends.cpu.get_cpu_capability()}; 1 thread")
    torch.set_num_threads(1)
    with threadpool_limits(1):
        for name, (layer, side) in LAYERS.items():
            print(name)
            report(layer, side, asked.rows, asked.repeats, asked.candidates)


def report(layer: nn.Conv2d, side: int, rows: int, repeats: int, candidates: int) -> None:
    """Print seconds and ratios of one layer."""
    inputs = correlated(rows // POSITIONS, layer.in_channels, side)
    positions = draw_positions(layer, inputs, POSITIONS, np.random.default_rng(0))
    x = sampled_rows(layer, inputs, positions)
    with torch.no_grad():
        y = sampled_outputs(layer, layer(inputs), positions)
    weight, columns = layer.weight.detach(), columns_of(torch.arange(0, layer.in_channels, 2), layer.weight)
    gram, gram_s = timed(lambda: Gram.of(sampled_rows(layer, inputs, positions)), repeats)
    (ours, _), solve_s = timed(lambda: refit_weights(gram, columns, (weight, None), 0.0, "layer"), repeats)
    print(f"  rows {len(x)}, columns {x.shape[1]}, kept {len(columns)}")
    print(f"  Gram                  {1000 * gram_s:9.1f} ms, once a layer")
    print(f"  solve                 {1000 * solve_s:9.1f} ms")
    for precision in (np.float32, np.float64):
        reduced, wanted = x[:, columns].numpy().astype(precision), y.numpy().astype(precision)
        fitted, full_s = timed(partial(LinearRegression(fit_intercept=False).fit, reduced, wanted), repeats)
        difference = np.abs(ours.flatten(1).numpy() - fitted.coef_).max() / np.abs(fitted.coef_).max()
        counted = candidates * full_s / (gram_s + candidates * solve_s)
        print(
            f"  scikit-learn, {precision.__name__} {1000 * full_s:9.1f} ms: the solve is {full_s / solve_s:.0f} times "
            f"faster, {counted:.1f} times with the Gram counted once over {candidates} candidates; the weights differ "
            f"by {difference:.1e} of the largest"
        )


def correlated(images: int, channels: int, side: int) -> torch.Tensor:
    """Non-negative maps (images, channels, side, side) whose channels are correlated, as behind a ReLU."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(channels, channels, generator=generator) / channels**0.5
    pixels = torch.randn(images * side * side, channels, generator=generator) @ mixing
    return torch.relu(pixels).reshape(images, side, side, channels).permute(0, 3, 1, 2).contiguous()


def timed(call: Callable[[], Result], repeats: int) -> tuple[Result, float]:
    """What the call gives, and the median of its processor seconds after one call to warm up."""
    result, seconds = call(), []
    for _ in range(repeats):
        start = process_time()
        result = call()
        seconds.append(process_time() - start)
    return result, median(seconds)


if __name__ == "__main__":
    main()
