"""How much faster a single-layer study of ResNet-56 is when what lies before each layer runs once.

`OMP_NUM_THREADS=1 python benchmarks/sensitivity.py [--layers 5] [--repeats 3] [--images 256] [--data FOLDER]`

Filter pruning at ten keep ratios of inner layers (the first convolutions of blocks), with prefixes reused and, through
the same engine with the same thinned modules, run whole each time; both find the same divergences. The two take turns.
`--layers 0` takes all 27 of them. Seconds are those of the processor, so that a busy neighbour counts less; the time
that passed is shown too.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from moco.analysis.sensitivity.layer_sensitivity import Levels, analyse
from moco.compression.compressor import Compressor
from moco.data import Normalization, SourceOptions, load_data
from moco.models import build_model, load_weights

CIFAR10 = Path(__file__).resolve().parents[2] / "shared" / "data" / "cifar10"
ONLY_KEEP = Levels(weight_bits=(), activation_bits=(), int8=False)


def main() -> None:
    """Print the seconds of both ways in each repeat, and the median ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--data", type=Path, default=CIFAR10)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    compressor, images = prepared(asked.data, asked.images)
    inner = [name for name in compressor.graph.groups if name.startswith("layer") and name.endswith(".conv1")]
    count = asked.layers or len(inner)
    layers = [inner[place] for place in np.linspace(0, len(inner) - 1, count).round().astype(int)]
    print(f"{len(layers)} of {len(inner)} inner layers, 10 keep ratios, {len(images)} images: {', '.join(layers)}")
    ratios = []
    for repeat in range(asked.repeats):
        order = (True, False) if repeat % 2 == 0 else (False, True)
        took = {reuse: timed(compressor, images, layers, reuse) for reuse in order}
        ratios.append(took[False][0] / took[True][0])
        difference = max(abs(a - b) for a, b in zip(took[True][2], took[False][2], strict=True))
        print(
            f"processor: reused {took[True][0]:.1f} s, whole {took[False][0]:.1f} s, ratio {ratios[-1]:.2f}; "
            f"passed: {took[True][1]:.1f} s, {took[False][1]:.1f} s; largest difference {difference:.1e} nats"
        )
    print(f"median ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def prepared(folder: Path, n_images: int) -> tuple[Compressor, np.ndarray]:
    """The trained network and training images."""
    normalize = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    options = SourceOptions(train=folder / "train.parquet", test=folder / "test.parquet")
    images = load_data("parquet", options, normalize).train.images(np.arange(n_images))
    network = build_model("cifar_resnet56", 10)
    load_weights(network, folder / "resnet56_cifar10.safetensors")
    return Compressor.of(network.eval(), torch.from_numpy(images[:2])), images


def timed(
    compressor: Compressor, images: np.ndarray, layers: list[str], reuse: bool
) -> tuple[float, float, list[float]]:
    """Seconds of the processor, seconds that passed, and all divergences."""
    began, clock = time.process_time(), time.perf_counter()
    found = analyse(compressor, images, layers, ONLY_KEEP, reuse=reuse)
    spent = time.process_time() - began, time.perf_counter() - clock
    return *spent, [divergence for curve in found.curves for divergence in curve.divergences]


if __name__ == "__main__":
    main()
