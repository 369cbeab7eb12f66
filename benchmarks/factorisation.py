"""Seconds of factorisation and of surgery on one core, side by side with TensorLy and Torch-Pruning.

`OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/factorisation.py [layer trained policy pruning] [--repeats 7]`

Seconds are processor time of this one thread, so that a core shared with other programs counts alike for both sides;
medians, with the range. Every repeat of a pair runs both sides, one after the other.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorly
import torch
import torch_pruning
from tensorly.decomposition import partial_tucker
from torch import nn

from moco.compression.compressor import Compressor
from moco.compression.methods.filter_pruning import kept_channels, rankings
from moco.compression.methods.low_rank import (
    FactorCache,
    SvdRank,
    TuckerFactors,
    TuckerRanks,
    factorise_,
    svd_rank,
    tucker_ranks,
)
from moco.models import build_model
from moco.models.weights import load_weights
from tests.policies import why_not

PARTS = ("layer", "trained", "policy", "pruning")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "parts", metavar="PART", nargs="*", default=["layer", "policy", "pruning"], help=", ".join(PARTS)
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument(
        "--weights", type=Path, help="trained weights of cifar_resnet56, which the part `trained` takes"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if "layer" in arguments.parts:
        one_layer(arguments.repeats)
    if "trained" in arguments.parts:
        trained_layers(arguments.weights)
    if {"policy", "pruning"} & set(arguments.parts):
        compressor = Compressor.of(build_model("resnet50"), torch.zeros(2, 3, 64, 64))
        if "policy" in arguments.parts:
            whole_policy(compressor, arguments.repeats)
        if "pruning" in arguments.parts:
            pruning_alone(compressor, arguments.repeats)


def one_layer(repeats: int) -> None:
    """A 512x512x3x3 weight of Tucker rank 128 with noise: computed once, cut to ranks, and TensorLy's two ways."""
    print("Tucker-2 of 512x512x3x3")
    generator = torch.Generator().manual_seed(0)
    core = torch.randn(128, 128, 3, 3, generator=generator)
    sides = [torch.randn(512, 128, generator=generator) for _ in range(2)]
    weight = torch.einsum("op,pqhw,iq->oihw", sides[1], core, sides[0])
    weight += 0.074 * weight.std() * torch.randn(weight.shape, generator=generator)
    show("computed", [seconds(lambda: TuckerFactors.of(weight)) for _ in range(repeats)])
    factors = TuckerFactors.of(weight)
    for rank in (64, 128, 256):
        show(f"cut to {rank}", [seconds(lambda r=rank: factors.truncated(r, r)) for _ in range(repeats)])  # type: ignore[misc]
        print(f"    error {error(weight, factors, rank, rank):.5f}")
        for sweeps in (1, 100):
            times, found = [], 0.0
            for _ in range(min(repeats, 5)):
                begun = time.process_time()
                (small, matrices), _ = partial_tucker(
                    weight.numpy(), rank=[rank, rank], modes=[0, 1], n_iter_max=sweeps
                )
                times.append(time.process_time() - begun)
                found = tensorly_error(weight, small, matrices)
            show(f"TensorLy, at most {sweeps} sweeps", times)
            print(f"    error {found:.5f}")


def trained_layers(weights: Path) -> None:
    """What sweeps (higher-order orthogonal iteration) gain on trained weights: errors of the 3x3 layers of a ResNet."""
    network = build_model("cifar_resnet56")
    load_weights(network, weights)
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d) and why_not(m, "tucker") is None]
    print(f"Relative error of {len(layers)} trained layers, plain and after TensorLy's sweeps")
    for keep in (0.25, 0.5, 0.75):
        plain, swept = [], []
        for layer in layers:
            ranks, weight = tucker_ranks(keep, layer.in_channels, layer.out_channels), layer.weight.detach()
            plain.append(error(weight, TuckerFactors.of(weight), ranks.rank_in, ranks.rank_out))
            small, matrices = partial_tucker(weight.numpy(), rank=[ranks.rank_out, ranks.rank_in], modes=[0, 1])[0]
            swept.append(tensorly_error(weight, small, matrices))
        gains = [100 * (1 - b / a) for a, b in zip(plain, swept, strict=True)]
        print(
            f"  keep {keep}: plain {statistics.median(plain):.4f}, swept {statistics.median(swept):.4f}; "
            f"gain {statistics.median(gains):.2f} % ({min(gains):.2f} to {max(gains):.2f})"
        )


def whole_policy(compressor: Compressor, repeats: int) -> None:
    """Random widths for every group of ResNet-50, then Tucker or SVD on a third of its layers."""
    print("ResNet-50: random widths on all groups, then Tucker (3x3) or SVD (1x1, linear) on a third of the layers")
    cache, rng = FactorCache(compressor.network), np.random.default_rng(0)
    totals, surgeries, factorings = [], [], []
    for _ in range(repeats):
        widths = {
            name: int(rng.integers(group.channels // 4, group.channels + 1))
            for name, group in compressor.graph.groups.items()
        }
        kept = kept_channels(compressor.ranking, widths)
        begun = time.process_time()
        thin = compressor.graph.thin(compressor.network, kept)
        cut = time.process_time()
        factorise_(thin, random_ranks(thin, rng), cache)
        done = time.process_time()
        totals.append(done - begun)
        surgeries.append(cut - begun)
        factorings.append(done - cut)
    show("surgery", surgeries)
    show("factorisation", factorings)
    show("both", totals)
    warm = []
    for _ in range(repeats + 1):
        copied = copy.deepcopy(compressor.network)
        warm.append(seconds(lambda c=copied: factorise_(c, random_ranks(c, np.random.default_rng(1)), cache)))  # type: ignore[misc]
    show("unpruned, first time", warm[:1])
    show("unpruned, cut from the cache", warm[1:])


def random_ranks(network: nn.Module, rng: np.random.Generator) -> dict[str, TuckerRanks | SvdRank]:
    """Random ranks for a third of the layers that can be factorised."""
    settings: dict[str, TuckerRanks | SvdRank] = {}
    for name, layer in network.named_modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear) or rng.random() > 1 / 3:
            continue
        out, inner = layer.weight.shape[:2]
        if why_not(layer, "svd") is None:
            settings[name] = svd_rank(float(rng.uniform(0.1, 0.9)), inner, out)
        elif why_not(layer, "tucker") is None:
            settings[name] = tucker_ranks(float(rng.uniform(0.1, 0.9)), inner, out)
    return settings


def pruning_alone(compressor: Compressor, repeats: int) -> None:
    """Half of every group by moco and by Torch-Pruning's one-shot pruner; tracing the network counts for neither."""
    print("ResNet-50: half of the channels of every group")
    network, example = compressor.network, torch.zeros(1, 3, 64, 64)
    widths = {name: group.channels // 2 for name, group in compressor.graph.groups.items()}
    ours, with_ranking, theirs, with_copy = [], [], [], []
    sizes = set()
    for _ in range(repeats):
        begun = time.process_time()
        ranking = rankings(network, compressor.graph)
        ranked = time.process_time()
        thin = compressor.graph.thin(network, kept_channels(ranking, widths))
        done = time.process_time()
        ours.append(done - ranked)
        with_ranking.append(done - begun)

        begun = time.process_time()
        copied = copy.deepcopy(network)
        copying = time.process_time() - begun
        pruner = torch_pruning.pruner.MetaPruner(
            copied,
            example,
            importance=torch_pruning.importance.MagnitudeImportance(p=1),
            pruning_ratio=0.5,
            ignored_layers=[copied.get_submodule("fc")],
        )
        theirs.append(seconds(pruner.step))
        with_copy.append(theirs[-1] + copying)
        sizes |= {sum(p.numel() for p in n.parameters()) for n in (thin, copied)}
    show("moco: ranking, copy and surgery", with_ranking)
    show("moco: copy and surgery (ranked once a search)", ours)
    show("Torch-Pruning: ranking and surgery in place", theirs)
    show("Torch-Pruning: deepcopy, ranking and surgery", with_copy)
    print(f"    parameters of the pruned networks: {', '.join(f'{size:,}' for size in sorted(sizes))}")


def error(weight: torch.Tensor, factors: TuckerFactors, rank_in: int, rank_out: int) -> float:
    """Relative Frobenius norm of what is lost."""
    first, core, last = (factor.double() for factor in factors.truncated(rank_in, rank_out))
    rebuilt = torch.einsum("op,pqhw,qi->oihw", last[:, :, 0, 0], core, first[:, :, 0, 0])
    return float((weight - rebuilt).norm() / weight.norm())


def tensorly_error(weight: torch.Tensor, core: np.ndarray, matrices: list[np.ndarray]) -> float:
    """Relative Frobenius norm of what is lost."""
    rebuilt = tensorly.tenalg.multi_mode_dot(core, matrices, modes=[0, 1])
    return float(np.linalg.norm(weight.numpy() - rebuilt) / np.linalg.norm(weight.numpy()))


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds of one call."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def show(name: str, times: list[float]) -> None:
    """Print the median and the range."""
    middle = statistics.median(times)
    print(f"  {name:46} {middle:8.4f} s   ({min(times):.4f} to {max(times):.4f}, {len(times)} times)", flush=True)


if __name__ == "__main__":
    main()
