"""What each recovery gives back, against what it takes: ResNet-20 on CIFAR-10 with half of its inner channels, in int8.

`python benchmarks/recovery.py ../shared/data/cifar10 --seconds 60 --seconds 180`

Every recovery starts from the same pruned network: filters of every block's first convolution, ranked by L1. Training
starts after least-squares refit and batch-norm re-estimation, and lasts the given seconds on the training images that
are not for calibration; on a busy machine look at the processor's own seconds (cpu s). Accuracy is that of the int8
file on ONNX Runtime, on the search split. Differences are paired: the standard error is that of the difference to
`batch_norm` on the same images.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from moco.certification.confidence_bounds import paired_sem
from moco.compression.compressor import Compressor
from moco.compression.precision import INT8_BITS
from moco.data import Normalization, SourceOptions, load_data
from moco.data.splits import make_splits
from moco.export.calibration import calibrate, open_session, outputs
from moco.export.quantize import observed_tensors, quantizable_layers, quantize
from moco.export.template import build_template
from moco.models import build_model, load_weights
from moco.randomness import generator
from moco.recovery.batch_norm import batch_statistics, re_estimate
from moco.recovery.descent import Tuned, descend_
from moco.recovery.distillation import DistillationOptions, teacher_loss
from moco.recovery.fine_tuning import label_loss
from moco.recovery.quantization_aware import quantization_aware
from moco.recovery.refit import RefitOptions, observe, refit_
from moco.recovery.teacher import Teacher
from moco.recovery.training_plan import FineTuningOptions
from tests.policies import policy_of

IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SIZES = {"calibration": 512, "search": 1000, "certification": 4000}


@dataclass(frozen=True)
class Data:
    """Normalised images (n, 3, 32, 32) and their labels (n,)."""

    train: torch.Tensor
    train_labels: torch.Tensor
    calibration: torch.Tensor
    search: np.ndarray
    search_labels: np.ndarray


@dataclass(frozen=True)
class Case:
    """The network, what was pruned from it, and the images."""

    compressor: Compressor
    kept: dict[str, np.ndarray]
    data: Data

    def pruned(self, refit: bool, batch_norm: bool) -> nn.Module:
        """The thin network after what needs no training."""
        compressor, images = self.compressor, self.data.calibration
        thin = compressor.graph.thin(compressor.network, self.kept)
        if refit:
            options = RefitOptions()
            original = observe(compressor.network, compressor.graph, images, options, generator(0, "refit"))
            refit_(thin, compressor.graph, self.kept, original, options)
        if batch_norm:
            statistics = batch_statistics(compressor.network, images)
            re_estimate(thin, images, statistics, compressor.kept_of_batch_norms(self.kept))
        return thin

    def right(self, network: nn.Module, int8: bool) -> np.ndarray:
        """Which images of the search split (n,) the network's file gets right."""
        calibration = self.data.calibration.numpy()
        proto = build_template(network, self.data.calibration[:2]).render(network)
        if int8:
            names = quantizable_layers(proto)
            proto = quantize(proto, names, calibrate(proto, observed_tensors(proto, names), calibration).ranges)
        session = open_session(proto)
        logits = np.concatenate([outputs(session, batch)[0] for batch in np.array_split(self.data.search, 10)])
        found: np.ndarray = logits.argmax(1) == self.data.search_labels
        return found


def main() -> None:
    """Print a row a recovery."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cifar10", metavar="FOLDER", type=Path)
    parser.add_argument("--seconds", type=float, action="append", help="of each training; may be given several times")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    case = load(arguments.cifar10, arguments.seed)
    reference = case.right(case.compressor.network, int8=False)
    print(f"unpruned, float32: {100 * reference.mean():.1f} %; {len(reference)} images", flush=True)
    print("recovery             seconds    cpu s  epochs  steps  float32 %  int8 %  over batch_norm, pp", flush=True)
    base: np.ndarray | None = None
    for name, recover in recoveries(case, arguments.seconds or [60.0], arguments.seed):
        start, cpu_start = time.perf_counter(), time.process_time()
        network, tuned = recover()
        seconds = time.perf_counter() - start, time.process_time() - cpu_start
        right = case.right(network, int8=True)
        if name == "batch_norm":
            base = right
        print(row(name, seconds, tuned, (case.right(network, int8=False), right), base), flush=True)


def load(folder: Path, seed: int) -> Case:
    """Read the images and the network, and prune half of the inner channels."""
    sets = load_data("parquet", SourceOptions(folder / "train.parquet", folder / "test.parquet"), IMAGENET)
    splits = make_splits(sets.train.labels, sets.test.labels, SIZES, seed)
    data = Data(
        torch.from_numpy(sets.train.images(splits.train)),
        torch.tensor(sets.train.labels[splits.train]),
        torch.from_numpy(sets.train.images(splits.calibration)),
        sets.test.images(splits.search),
        sets.test.labels[splits.search],
    )
    network = build_model("cifar_resnet20")
    load_weights(network, folder / "resnet20_cifar10.safetensors")
    compressor = Compressor.of(network.eval(), data.calibration[:2])
    groups = compressor.graph.groups
    halves = {name: (group.channels // 2, group.channels) for name, group in groups.items() if ".conv1" in name}
    return Case(compressor, compressor.kept(policy_of(halves, {})), data)


Recover = Callable[[], tuple[nn.Module, Tuned | None]]


def recoveries(case: Case, budgets: list[float], seed: int) -> list[tuple[str, Recover]]:
    """Each recovery by its name, in the order of the table."""
    found: list[tuple[str, Recover]] = [
        ("none", lambda: (case.pruned(False, False), None)),
        ("batch_norm", lambda: (case.pruned(False, True), None)),
        ("refit", lambda: (case.pruned(True, False), None)),
        ("refit + batch_norm", lambda: (case.pruned(True, True), None)),
    ]
    for seconds in budgets:
        plan = FineTuningOptions(learning_rate=0.02, epochs=None, seconds=seconds, shift=4, flip=True)
        kinds = ("fine-tuning", "distillation", "QAT", "QAT + distillation")
        found += [(kind, partial(trained, case, kind, plan, seed)) for kind in kinds]
    return found


def trained(case: Case, kind: str, plan: FineTuningOptions, seed: int) -> tuple[nn.Module, Tuned]:
    """The network of the best recovery without training, trained on as `kind` says."""
    network, data = case.pruned(True, True), case.data
    loss = label_loss(data.train_labels)
    if "distillation" in kind:
        plan = replace(plan, views=DistillationOptions.views)
        loss = teacher_loss(Teacher(case.compressor.network, data.train, plan.arithmetic), data.train_labels)
    if "QAT" not in kind:
        return network, descend_(network, data.train, loss, plan, rng_seed=seed)
    layers = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    with quantization_aware(network, dict.fromkeys(layers, INT8_BITS), data.calibration) as quantization:
        return network, descend_(network, data.train, loss, plan, rng_seed=seed, on_epoch=quantization.calibrate)


def row(
    name: str,
    seconds: tuple[float, float],
    tuned: Tuned | None,
    right: tuple[np.ndarray, np.ndarray],
    base: np.ndarray | None,
) -> str:
    """A line of the table; `seconds` are the clock's and the processor's, `right` is in float32 and in int8."""
    took = "     -      -" if tuned is None else f"{tuned.epochs:6.2f} {tuned.steps:6d}"
    accuracies = f"{100 * right[0].mean():9.1f} {100 * right[1].mean():7.1f}"
    line = f"{name:20} {seconds[0]:7.1f}  {seconds[1]:7.1f}  {took}  {accuracies}"
    if base is None or base is right[1]:
        return line
    lost, gained = int(np.sum(base & ~right[1])), int(np.sum(right[1] & ~base))
    error = paired_sem(lost, gained, len(base))
    return f"{line}  {100 * (right[1].mean() - base.mean()):+.1f} ± {'n/a' if error is None else f'{100 * error:.1f}'}"


if __name__ == "__main__":
    main()
