"""Channel pruning with refit against filter pruning: ranking x refit, each with and without batch-norm (Q01).

`python benchmarks/refit_ablation.py ../shared/data/cifar10 [--policies 10] [--images 1000]`

ResNet-56 on CIFAR-10 without tuning. Each policy draws a ratio to keep of 0.5 to 0.9 for every inner channel group (the
first convolution of each block), the same for all eight ways. Channels are ranked by L1 norm or by activation on 256
training images, which also serve the refit (in sequence, compressed inputs) and the batch-norms. Printed are mean top-1
accuracies over the policies, and paired differences with 95 % intervals by Student's t over the policies.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import numpy as np
import torch
from scipy.stats import t as student_t

from moco.compression.collecting import CalibrationData
from moco.compression.compressor import Compressor
from moco.compression.methods.channel_pruning import ChannelPruning
from moco.compression.methods.filter_pruning import kept_channels, rounded_width
from moco.data import Normalization, load_data
from moco.data.sources import SourceOptions
from moco.models import build_model, load_weights
from moco.recovery.batch_norm import Statistics, batch_statistics, re_estimate
from moco.recovery.refit import Original, RefitOptions, observe, refit_

WAYS = tuple(product(("l1", "activation"), (False, True), (False, True)))
"""(ranking, refit, batch-norm)."""
NORMALIZE = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Study:
    """One network with all that candidates are made and scored by."""

    def __init__(self, folder: Path, images: int, calibration: int = 256) -> None:
        network = build_model("cifar_resnet56")
        load_weights(network, folder / "resnet56_cifar10.safetensors")
        network.eval()
        files = SourceOptions(train=str(folder / "train.parquet"), test=str(folder / "test.parquet"))
        data = load_data("parquet", files, NORMALIZE)
        self.calibration = torch.from_numpy(data.train.images(np.arange(calibration)))
        self.images = torch.from_numpy(data.test.images(np.arange(images)))
        self.labels = torch.tensor(data.test.labels[:images])
        self.compressor = Compressor.of(network, self.calibration[:2]).prepared_for(
            (ChannelPruning(),), CalibrationData(self.calibration, None)
        )
        self.statistics: Statistics = batch_statistics(network, self.calibration)
        self.options = RefitOptions()
        graph = self.compressor.graph
        self.original: Original = observe(network, graph, self.calibration, self.options, np.random.default_rng(0))

    @property
    def inner(self) -> dict[str, int]:
        """Channels of each block's inner group, by its first convolution."""
        groups = self.compressor.graph.groups.items()
        return {name: group.channels for name, group in groups if len(group.producers) == 1 and name != "conv1"}

    def policies(self, n: int, low: float = 0.5, high: float = 0.9) -> list[dict[str, int]]:
        """Widths of the inner groups, ratios to keep drawn from low to high; always the same ones."""
        rng, inner = np.random.default_rng(0), self.inner.items()
        return [{name: rounded_width(channels, rng.uniform(low, high)) for name, channels in inner} for _ in range(n)]

    def refitted(self, widths: Mapping[str, int], original: Original, options: RefitOptions) -> float:
        """Top-1 accuracy in percent of the network with these widths, ranked by L1 and refitted."""
        kept = kept_channels(self.compressor.ranking, widths)
        thin = self.compressor.graph.thin(self.compressor.network, kept)
        refit_(thin, self.compressor.graph, kept, original, options)
        return self.scored(thin)

    def accuracy(self, widths: Mapping[str, int], ranking: str, refit: bool, batch_norm: bool) -> float:
        """Top-1 accuracy in percent of the network with these widths, made in one of the eight ways."""
        compressor = self.compressor
        order = compressor.ranking if ranking == "l1" else compressor.prepared[ChannelPruning.name]
        kept = kept_channels(order, widths)
        thin = compressor.graph.thin(compressor.network, kept)
        if refit:
            refit_(thin, compressor.graph, kept, self.original, self.options)
        if batch_norm:
            re_estimate(thin, self.calibration, self.statistics, compressor.kept_of_batch_norms(kept))
        return self.scored(thin)

    def scored(self, network: torch.nn.Module) -> float:
        """Top-1 accuracy in percent."""
        with torch.no_grad():
            found = torch.cat([network(part).argmax(1) for part in torch.split(self.images, 100)])
        return 100 * float((found == self.labels).double().mean())


def main() -> None:
    """Print the table and the paired differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--policies", type=int, default=10)
    parser.add_argument("--images", type=int, default=1000)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    study = Study(asked.folder, asked.images)
    rows = []
    for number, widths in enumerate(study.policies(asked.policies)):
        rows.append([study.accuracy(widths, *way) for way in WAYS])
        print(f"policy {number + 1}: " + "  ".join(f"{value:.1f}" for value in rows[-1]), flush=True)
    found = np.array(rows)
    reference = study.scored(study.compressor.network)
    print(f"\nreference {reference:.1f} %; {len(study.inner)} groups, {asked.policies} policies")
    for way, values in zip(WAYS, found.T, strict=True):
        print(f"{name_of(way):38} {values.mean():6.2f} %  (sd {values.std(ddof=1):.2f})")
    print("\npaired differences, points")
    at = {way: index for index, way in enumerate(WAYS)}
    for batch_norm in (False, True):
        pairs = {
            "channel pruning with refit - filter pruning": (("activation", True), ("l1", False)),
            "ranking alone (activation - l1)": (("activation", False), ("l1", False)),
            "refit alone (l1)": (("l1", True), ("l1", False)),
            "refit alone (activation)": (("activation", True), ("activation", False)),
        }
        for words, (one, other) in pairs.items():
            difference = found[:, at[*one, batch_norm]] - found[:, at[*other, batch_norm]]
            print(f"{words + (', with batch-norm' if batch_norm else ''):62} {interval(difference)}")


def name_of(way: tuple[str, bool, bool]) -> str:
    """A way in words."""
    ranking, refit, batch_norm = way
    return f"{ranking}{', refit' if refit else ''}{', batch-norm' if batch_norm else ''}"


def interval(differences: np.ndarray) -> str:
    """Mean of paired differences (policies,) with its 95 % interval."""
    n = len(differences)
    half = float(student_t.ppf(0.975, n - 1)) * differences.std(ddof=1) / np.sqrt(n)
    return f"{differences.mean():+.2f}  [{differences.mean() - half:+.2f}, {differences.mean() + half:+.2f}]"


if __name__ == "__main__":
    main()
