"""What a refit is fitted on: whose inputs, and how many images (W28).

`python -m benchmarks.refit_inputs ../shared/data/cifar10 [--policies 10] [--images 1000] [--keep 0.5 0.9]`

ResNet-56 on CIFAR-10 without tuning, pruned by L1 under random policies with inner ratios in that range, and once with
the inner widths 16, 16 and 48. A refit on the inputs of the compressed network in sequence (asymmetric) against one on
the original's, each on so many training images at 20 positions; batch-norms are not re-estimated. Printed are top-1
accuracies, in how many policies the asymmetric one is not worse, and the paired difference with its 95 % interval by
Student's t.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from benchmarks.refit_ablation import Study, interval
from moco.recovery.refit import Inputs, Original, RefitOptions, observe

SAMPLES = (64, 128, 256, 512, 1024)
WIDTHS = {"layer1": 16, "layer2": 16, "layer3": 48}


def main() -> None:
    """Print a table a number of images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--policies", type=int, default=10)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--samples", type=int, nargs="+", default=SAMPLES)
    parser.add_argument("--keep", type=float, nargs=2, default=(0.5, 0.9), metavar=("LOW", "HIGH"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    study = Study(asked.folder, asked.images, max(asked.samples))
    policies = study.policies(asked.policies, *asked.keep)
    fixed = {name: WIDTHS[name.split(".", maxsplit=1)[0]] for name in study.inner}
    print(f"reference {study.scored(study.compressor.network):.1f} %; {asked.policies} policies, then 16/16/48")
    for n in asked.samples:
        report(study, [*policies, fixed], n)


def report(study: Study, policies: Sequence[Mapping[str, int]], n: int) -> None:
    """Print accuracies by whose inputs a refit on `n` images is fitted on; the last policy is apart."""
    found = {}
    for inputs in get_args(Inputs):
        options = RefitOptions(inputs=inputs)
        images = study.calibration[:n]
        graph, rng = study.compressor.graph, np.random.default_rng(0)
        original: Original = observe(study.compressor.network, graph, images, options, rng)
        found[inputs] = np.array([study.refitted(widths, original, options) for widths in policies])
    difference = (found["compressed"] - found["original"])[:-1]
    for inputs, values in found.items():
        row = " ".join(f"{value:.1f}" for value in values[:-1])
        print(f"{n:5} images, {inputs:10} mean {values[:-1].mean():5.2f} %  16/16/48 {values[-1]:.1f} %  [{row}]")
    not_worse = int(np.sum(difference >= 0))
    print(f"      asymmetric not worse in {not_worse} of {len(difference)}: {interval(difference)} points", flush=True)


if __name__ == "__main__":
    main()
