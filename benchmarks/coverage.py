"""Do the networks of torchvision and of timm go through the whole of moco? Writes docs/coverage.md.

    python -m benchmarks.coverage [NAMES...] [--cache coverage.json] [--page docs/coverage.md] [--limit 900] [--fresh]

Random weights, the smallest image that the network takes. Asked for (W26, W27): groups found, a random policy of 50 %
keep on every group by real surgery, forward equal to the masked network, counts exact, the ONNX file equal to torch,
int8 loads, runs and agrees. Every network runs in a process of its own, with one thread; what a run has found is kept
in the cache, and only failures and what is new are run again. Ends with status 1 where fewer than 95 % of a library
pass.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from benchmarks.coverage_networks import BIG, input_of, networks
from benchmarks.coverage_page import STEPS, Limits, page, passing, plain_reason
from moco.compression.channels.surgery import masked
from moco.compression.compressor import Compressor
from moco.compression.counting import count
from moco.compression.methods.depth import Depth
from moco.compression.methods.filter_pruning import FilterPruning, FilterPruningOptions
from moco.compression.precision import INT8, INT8_BITS, Bits
from moco.compression.rankings.weights import Random
from moco.compression.space.codec import cost_of
from moco.compression.space.context import Draft
from moco.compression.verify import verify_network, verify_parameters
from moco.errors import CompressionError
from moco.evaluation.builder import Builder
from moco.export.calibration import open_session, outputs
from moco.export.held import with_branches_of
from moco.export.quantize import quantizable_layers
from moco.export.template import build_template, export_graph
from moco.hardware.measuring.processor import processor
from moco.hardware.onnxruntime import ONNXRuntimeTarget
from moco.models import build_model
from moco.models.training import seeded_torch
from moco.policy import Policy
from moco.recovery.batch_norm import BatchNormStep
from moco.recovery.recovery import RecoveryPlan
from tests.policies import policy_of

ASKED = 0.95
"""Least share of the networks of each library that has to pass every step."""

CALIBRATION = 24
"""Images for batch-norm statistics and int8 ranges: with 4 of them a deep network of random weights blows up."""

MOST_FORWARD, MOST_EXPORT, LEAST_EFFECT = 1e-5, 1e-3, 100
"""Most that logits may differ, of the largest; and how much more than that difference removed channels change them.

Where random weights let a branch weigh little (products of two small layers), its channels change little at all.
"""
LEAST_CORRELATION = 0.7
"""Of int8 logits with the float network's: random weights magnify the noise of 8 bits, and a wrong file gives none."""


@dataclass
class Candidate:
    """One network on its way through the steps.

    Attributes:
        figures: what the steps measured.
    """

    network: nn.Module
    example: torch.Tensor
    folder: Path
    figures: dict[str, Any] = field(default_factory=dict)

    def groups(self) -> None:
        """Channel groups, and a random order of the channels of each."""
        compressor = Compressor.of(self.network, self.example)
        drawn = FilterPruning(FilterPruningOptions(rank=Random()))
        self.compressor = compressor.prepared_for((drawn,), rng=np.random.default_rng(0))
        self.figures |= described(compressor)
        if not compressor.graph.groups:
            reasons = dict.fromkeys(map(plain_reason, compressor.graph.left_out.values()))
            raise CompressionError(f"no prunable group: {'; '.join(reasons) or 'none found'}")

    def surgery(self) -> None:
        """Half of the channels of every group, removed."""
        graph = self.compressor.graph
        self.widths = {name: (max(group.channels // 2, 1), group.channels) for name, group in graph.groups.items()}
        self.kept = self.compressor.kept(policy_of(self.widths, {}))
        self.thin = graph.thin(self.network, self.kept)
        verify_network(self.thin, graph, self.kept)

    def forward(self) -> None:
        """The thin network gives what the masked one gives (W26)."""
        with torch.no_grad():
            whole, thin = self.network(self.example), self.thin(self.example)
            expected = masked(self.network, self.compressor.graph.axes, self.kept)(self.example)
        error = float((thin - expected).abs().max() / expected.abs().max())
        effect = float((whole - expected).abs().max() / expected.abs().max())
        self.figures |= {"forward_error": error, "effect": effect}
        if not effect >= LEAST_EFFECT * error:
            raise CompressionError(f"what was removed changes logits by {effect:.2g} only, the surgery by {error:.2g}")
        if not error <= MOST_FORWARD:
            raise CompressionError(f"the thin network's logits differ from the masked one's by {error:.2g}")

    def counts(self) -> None:
        """Parameters and multiply-accumulates are those that the policy states (W27)."""
        stated = self.compressor.costs.of({name: kept for name, (kept, _) in self.widths.items()})
        verify_parameters(self.thin, stated["parameters"])
        counted = count(self.thin, tuple(self.example.shape[1:]))
        self.figures["left"] = counted.parameters / self.compressor.counts.parameters
        if stated["macs"] != counted.macs:
            raise CompressionError(f"the policy states {stated['macs']:,} MACs, the network has {counted.macs:,}")

    def export(self) -> None:
        """The file of the thin network gives what torch gives, by the template of the whole one where that works."""
        calibration = images(CALIBRATION, self.example.shape[-1], seed=3)
        self.builder = Builder(self.compressor, calibration.numpy(), RecoveryPlan((BatchNormStep(),)), self.folder)
        try:
            self.proto = self.builder.template.render(self.thin)
            self.figures["export_error"] = parity(self.proto, self.thin, self.example)
            self.figures["template"] = True
        except CompressionError as error:
            self.figures |= {"template": False, "template_fault": str(error)[:300]}
            self.proto = build_template(self.thin, self.example).render(self.thin)
            self.figures["export_error"] = parity(self.proto, self.thin, self.example)

    def int8(self) -> None:
        """The same policy in int8, built, verified, loaded and run as a search does it."""
        kinds = {layer.name: layer.kind for layer in self.compressor.counts.layers}
        in_graph = set(quantizable_layers(self.proto))
        target = ONNXRuntimeTarget(ONNXRuntimeTarget.Options(threads=1))
        legal = [name for name, kind in kinds.items() if kind in target.capabilities.layer_kinds[INT8]]
        chosen = [name for name in legal if name in in_graph]
        self.figures |= {"layers": len(kinds), "int8_legal": len(legal), "int8_layers": len(chosen)}
        if not chosen:
            raise CompressionError("no layer of the exported graph can be put into int8")
        # Sums of products with 8-bit weights overflow without dot products of bytes, and correlations say that alone.
        bits = INT8_BITS if processor().int8_exact else Bits(7, 8)
        artifact, built = self.builder.build(policy_of(self.widths, dict.fromkeys(chosen, bits)))
        logits = target.load(artifact).run(self.example.numpy())
        with torch.no_grad():
            expected = built(self.example).numpy()
        if not np.all(np.isfinite(logits)):
            raise CompressionError("the int8 logits are not finite")
        correlation = float(np.corrcoef(logits.ravel(), expected.ravel())[0, 1])
        weights = {layer.name: layer.parameters for layer in self.compressor.counts.layers}
        self.figures |= {
            "int8_share": sum(weights[name] for name in chosen) / self.compressor.counts.parameters,
            "int8_error": float(np.abs(logits - expected).max() / np.abs(expected).max()),
            "int8_correlation": correlation,
            "size_ratio": artifact.size_bytes / len(self.proto.SerializeToString()),
        }  # fmt: skip
        if not correlation >= LEAST_CORRELATION:
            raise CompressionError(f"the int8 logits have a correlation of {correlation:.2f} with the float network's")

    def depth(self) -> None:
        """Every second residual branch left out of the whole network, in module and file."""
        found = with_branches_of(self.builder.template.proto, self.compressor.graph).branches
        reasons = dict.fromkeys(map(plain_reason, found.left_out.values()))
        counted = {"branches": len(found.all), "branches_found": len(found.all) + len(found.left_out)}
        self.figures |= {**counted, "branches_stay": list(reasons)}
        if not found.all:
            return
        method, draft = Depth(), Draft()
        for branch in found.all[::2]:
            draft.set(branch.name, method.setting_of(branch))
        artifact, built = self.builder.build(policy := Policy.of(draft.settings))
        self.figures["depth_error"] = parity(onnx.load(artifact.path), built, self.example)
        stated, got = cost_of(self.compressor.costs, policy), count(built, tuple(self.example.shape[1:]))
        if (stated["macs"], stated["parameters"]) != (got.macs, got.parameters):
            raise CompressionError(f"the policy states {stated['macs']:,.0f} MACs, the network has {got.macs:,}")


def checked(name: str, steps: Sequence[str], folder: Path) -> dict[str, Any]:
    """By step that was reached why it failed, None where it passed; and the figures. A step that fails ends them."""
    side, options = input_of(name)
    example = images(4, side, seed=1)
    candidate = Candidate(randomized(name, side, options), example, folder)
    candidate.figures |= {"side": side, "parameters": sum(p.numel() for p in candidate.network.parameters())}
    faults: dict[str, str | None] = {}
    for step in steps:
        start = time.perf_counter()
        try:
            getattr(candidate, step)()
            faults[step] = None
        except Exception as error:  # whatever a network or a library raises is what the page reports
            faults[step] = f"{type(error).__name__}: {error}"[:500]
            break
        finally:
            candidate.figures[f"{step}_s"] = round(time.perf_counter() - start, 2)
    return {"faults": faults, "figures": candidate.figures}


def randomized(name: str, side: int, options: Mapping[str, Any]) -> nn.Module:
    """The builder's network with weights of a fixed seed, and no parameter that a fault could hide behind.

    Batch-norms that do nothing, heads of zeros and scales of 1e-6 would make a wrong network look right.
    """
    with seeded_torch(0):
        network = build_model(name, **options)
    rng = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        values = parameter.data
        if values.numel() > 1 and bool((values == values.flatten()[0]).all()):
            if float(values.flatten()[0]) == 0:
                values.normal_(0, 0.02 if values.ndim == 1 else 0.05, generator=rng)
            else:
                values.uniform_(0.5, 1.5, generator=rng)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # a plain average
    with torch.no_grad():  # statistics of what they see, or the signal dies or explodes on the way
        network.eval()
        for norm in norms:
            norm.train()
        network(images(CALIBRATION, side, seed=2))
    for norm in norms:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.add_(0.2 * norm.running_var.sqrt() * torch.randn(norm.num_features, generator=rng))
        norm.running_var.add_(norm.running_mean**2)  # a channel that is nearly constant would have its noise blown up
        norm.running_var.mul_(torch.empty(norm.num_features).uniform_(0.7, 1.4, generator=rng))
    return network.eval()


def images(n: int, side: int, seed: int) -> torch.Tensor:
    """Images (n, 3, side, side) of large blotches under noise; images of noise alone look the same to a network."""
    rng = torch.Generator().manual_seed(seed)
    blotches = nn.functional.interpolate(torch.randn(n, 3, 4, 4, generator=rng), side, mode="bilinear")
    return 2 * blotches + 0.5 * torch.randn(n, 3, side, side, generator=rng)


def described(compressor: Compressor) -> dict[str, Any]:
    """How many groups and layers can be pruned, by weights too, and what is left out for which reason."""
    graph, network = compressor.graph, compressor.network
    owned = {name for (name, _), axis in graph.axes.items() if axis.groups}
    weights = {layer.name: layer.parameters for layer in compressor.counts.layers if layer.parameters}
    reasons: dict[str, int] = {}
    for reason in graph.left_out.values():
        reasons[reason] = reasons.get(reason, 0) + 1
    return {
        "groups": len(graph.groups),
        "left_out": len(graph.left_out),
        "reasons": reasons,
        "share": sum(n for name, n in weights.items() if name in owned) / sum(weights.values()),
        "share_of_all": sum(n for name, n in weights.items() if name in owned) / compressor.counts.parameters,
        "modules": len(list(network.modules())),
    }


def parity(proto: Any, network: nn.Module, example: torch.Tensor) -> float:
    """Largest difference of the file's logits from the network's, of the largest logit.

    Raises:
        CompressionError: the graph does not run, or the difference is more than is allowed.
    """
    with torch.no_grad():
        expected = network(example).numpy()
    got = outputs(open_session(proto), example.numpy())[0]
    if got.shape != expected.shape:
        raise CompressionError(f"the file gives logits of shape {got.shape}, torch {expected.shape}")
    error = float(np.abs(got - expected).max() / np.abs(expected).max())
    if not error <= MOST_EXPORT:
        raise CompressionError(f"the file's logits differ from torch's by {error:.2g}")
    return error


def run_one(name: str, steps: Sequence[str], limit: int) -> dict[str, Any]:
    """The result of one builder, from a process of its own that may take `limit` seconds."""
    context = multiprocessing.get_context("fork")  # what is imported stays imported
    reader, writer = context.Pipe(duplex=False)
    start = time.perf_counter()
    process = context.Process(target=_child, args=(name, steps, writer))
    process.start()
    writer.close()
    try:
        result: dict[str, Any] = reader.recv() if reader.poll(limit) else {"faults": {"time": f"more than {limit} s"}}
    except EOFError:
        result = {"faults": {"process": "it ended without a result: out of memory?"}}
    process.kill()
    process.join()
    result.setdefault("figures", {})["total_s"] = round(time.perf_counter() - start, 1)
    return result


def _child(name: str, steps: Sequence[str], writer: Connection) -> None:
    with tempfile.TemporaryDirectory() as folder:
        writer.send(checked(name, steps, Path(folder)))
        writer.close()


def main() -> int:
    """Run what the cache lacks, write the page; 0 where as many builders pass as are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="builders; all where none is named")
    parser.add_argument("--cache", type=Path, default=Path("coverage.json"))
    parser.add_argument("--page", type=Path, default=Path("docs/coverage.md"))
    parser.add_argument("--limit", type=int, default=900, help="seconds that one network may take")
    parser.add_argument("--fresh", action="store_true", help="run again what the cache holds as passed")
    parser.add_argument("--steps", nargs="*", choices=STEPS, default=STEPS, help="the first few only")
    options = parser.parse_args()
    torch.set_num_threads(1)
    known = networks()
    results = json.loads(options.cache.read_text()) if options.cache.exists() else {}
    export_graph(nn.Conv2d(3, 1, 1), torch.zeros(2, 3, 4, 4))  # the exporter is imported once, before any fork
    for name in options.names or [name for names in known.values() for name in names if name not in BIG]:
        done = name in results and all(results[name]["faults"].get(step, "not run") is None for step in options.steps)
        if options.fresh or not done:
            results[name] = run_one(name, options.steps, options.limit)
            options.cache.write_text(json.dumps(results, indent=1))
            figures = results[name]["figures"]
            fault = next((f"{s}: {f}" for s, f in results[name]["faults"].items() if f), "passes")
            print(f"{name}: {fault} ({figures.get('total_s')} s)", flush=True)
    shares = {library: passing(names, results) / len(names) for library, names in known.items()}
    limits = Limits(MOST_FORWARD, MOST_EXPORT, LEAST_CORRELATION)
    options.page.write_text(page(known, results, limits), encoding="utf-8")
    for library, share in shares.items():
        print(f"{library}: {share:.1%} of {len(known[library])} pass every step; asked: at least {ASKED:.0%}")
    return 0 if min(shares.values()) >= ASKED else 1


if __name__ == "__main__":
    sys.exit(main())
