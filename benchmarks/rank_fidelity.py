"""Does the accuracy without training rank networks as the accuracy with training does (W34, W35)?

`python -m benchmarks.rank_fidelity ../shared/data/cifar10 [--policies 20] [--epochs 1]`

ResNet-20 on CIFAR-10; each policy draws a ratio to keep of 0.3 to 0.9 for every block's inner channels, ranked by L1.
A search scores a candidate after a recovery that takes a second; what is shipped may be trained on. Printed are the
accuracies after each recovery, on the search split in float32, and Spearman's correlation of each with the one after
fine-tuning, with a 95 % bootstrap interval over the policies.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from benchmarks.recovery import Case, load
from moco.compression.methods.filter_pruning import rounded_width
from moco.recovery.descent import descend_
from moco.recovery.fine_tuning import label_loss
from moco.recovery.training_plan import FineTuningOptions
from tests.policies import policy_of

QUICK = {
    "none": (False, False),
    "batch_norm": (False, True),
    "refit": (True, False),
    "refit + batch_norm": (True, True),
}
"""(refit, batch-norm) by name."""
REDRAWS = 2000


def main() -> None:
    """Print a row a policy and a line a recovery."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cifar10", metavar="FOLDER", type=Path)
    parser.add_argument("--policies", type=int, default=20)
    parser.add_argument("--epochs", type=float, default=1.0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    case, rng = load(asked.cifar10, 0), np.random.default_rng(0)
    plan = FineTuningOptions(learning_rate=0.02, epochs=asked.epochs, shift=4, flip=True)
    print(
        f"policy  {'  '.join(QUICK)}  fine-tuned for {asked.epochs:g} epochs: top-1 % on {len(case.data.search)} images"
    )
    rows = []
    for number in range(asked.policies):
        rows.append(accuracies(drawn(case, rng), plan))
        print(f"{number:6}  " + "  ".join(f"{value:.1f}" for value in rows[-1]), flush=True)
    *quick, tuned = np.array(rows).T
    for name, values in zip(QUICK, quick, strict=True):
        print(f"{name:20} {correlation(values, tuned)}")


def drawn(case: Case, rng: np.random.Generator) -> Case:
    """The case with other widths of the blocks."""
    groups = case.compressor.graph.groups
    inner = {name: group.channels for name, group in groups.items() if ".conv1" in name}
    widths = {name: (rounded_width(channels, rng.uniform(0.3, 0.9)), channels) for name, channels in inner.items()}
    return Case(case.compressor, case.compressor.kept(policy_of(widths, {})), case.data)


def accuracies(case: Case, plan: FineTuningOptions) -> list[float]:
    """Top-1 accuracy in percent after each quick recovery, then after fine-tuning what the last of them gave."""
    found = []
    for refit, batch_norm in QUICK.values():
        network = case.pruned(refit, batch_norm)
        found.append(100 * float(case.right(network, int8=False).mean()))
    descend_(network, case.data.train, label_loss(case.data.train_labels), plan, rng_seed=0)
    return [*found, 100 * float(case.right(network, int8=False).mean())]


def correlation(quick: np.ndarray, tuned: np.ndarray) -> str:
    """Spearman's rho with its bootstrap interval."""
    rng, n = np.random.default_rng(0), len(tuned)
    draws = [rng.integers(n, size=n) for _ in range(REDRAWS)]
    spread = [spearmanr(quick[draw], tuned[draw]).statistic for draw in draws]
    low, high = np.nanpercentile(spread, (2.5, 97.5))
    return f"Spearman {spearmanr(quick, tuned).statistic:.2f}  [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    main()
