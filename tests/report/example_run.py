"""A synthetic but realistic finished search: ResNet-20 on CIFAR-10, 30 trials, made up by formulas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from moco.pareto import hypervolume, non_dominated
from moco.randomness import generator

REFERENCE = {"top1_error": 0.081, "latency_ms": 1.412, "throughput_ips": 1043.7, "size_mb": 1.093}
GROUPS = [
    {
        "name": f"layer{stage}.{block}",
        "layers": [f"layer{stage}.{block}.conv1", f"layer{stage}.{block}.conv2"],
        "widths": list(range(4, 16 * 2 ** (stage - 1) + 1, 4)),
        "precisions": ["float32", "int8"],
    }
    for stage in (1, 2, 3)
    for block in range(3)
]
EXPERIMENT_YAML = """name: resnet20_cifar10_accuracy_guaranteed
seed: 0
model: {name: cifar_resnet20, weights: resnet20_cifar10.safetensors}
objective: {protocol: accuracy-guaranteed, floor: "-2 pp"}
searcher: {name: nsga2, population: 20, start: ladder}
budget: {trials: 30, seconds: 3600}
"""


def layers() -> list[dict[str, Any]]:
    """The layers of the manifest, in the order of the forward pass."""
    named = [{"name": "conv1", "kind": "conv", "out_channels": 16, "macs": 442368, "parameters": 432}]
    for stage in (1, 2, 3):
        channels = 16 * 2 ** (stage - 1)
        named += [
            {
                "name": f"layer{stage}.{block}.conv{conv}",
                "kind": "conv",
                "out_channels": channels,
                "macs": 2359296,
                "parameters": 9 * channels**2,
            }
            for block in range(3)
            for conv in (1, 2)
        ]
    return [*named, {"name": "fc", "kind": "linear", "out_channels": 10, "macs": 640, "parameters": 650}]


def policy(keep: list[float], int8: list[bool]) -> dict[str, Any]:
    """A policy that keeps these shares of the inner channels of the nine blocks, in int8 where said."""
    settings: dict[str, Any] = {}
    for number, (share, quantized) in enumerate(zip(keep, int8, strict=True)):
        block, channels = f"layer{number // 3 + 1}.{number % 3}", 16 * 2 ** (number // 3)
        kept = max(4, round(channels * share / 4) * 4)
        if kept < channels:
            settings[f"{block}.conv1"] = {"filter_pruning": {"keep": kept, "of": channels}}
        if quantized:
            for conv in ("conv1", "conv2"):
                settings.setdefault(f"{block}.{conv}", {})["precision"] = "int8"
    return settings


def trials(count: int = 30) -> list[dict[str, Any]]:
    """`count` trials: a reference, an int8 network, a ladder, then a search that gets better; the last ones failed."""
    rng = generator(7, "example run")
    records = []
    for number in range(count):
        keep, int8, origin = [1.0] * 9, [number > 0] * 9, "search"
        if number == 0:
            origin = "reference"
        elif number == 1:
            origin = "int8"
        elif number < 5:
            keep, origin = [1.0 - 0.1 * (number - 1)] * 9, f"ladder {1.0 - 0.1 * (number - 1):.1f} int8"
        else:
            low, high = (0.45, 0.8) if number % 3 else (0.6, 0.95)
            keep = [float(share) for share in np.clip(rng.uniform(low, high, 9) + 0.3 * _SENSITIVITY, 0.2, 1.0)]
            int8 = [bool(choice) for choice in rng.uniform(size=9) < 0.7 + 0.012 * number]
        records.append(_trial(number, origin, policy(keep, int8), (keep, int8), float(rng.normal(0, 0.002))))
    if count >= 10:
        records[-2] |= {"state": "failed", "reason": "onnxruntime: <node> 'conv1' has no kernel", **_NOTHING}
        records[-3] |= {"state": "rejected", "reason": "layer3.2: 4 channels are below the least of 8", **_NOTHING}
        records[-1] = {**records[5], "number": count - 1, "distinct": False}
    return records


_SENSITIVITY = np.asarray([0.9, 0.8, 0.7, 0.8, 0.5, 0.4, 0.4, 0.15, 0.05])
"""Of each block to pruning: the last ones bear more, so a search can beat uniform policies."""

_NOTHING: dict[str, Any] = {"feasible": False, "score": None, "losses": [], "violations": [], "evaluation": None}


def _trial(
    number: int, origin: str, settings: dict[str, Any], choice: tuple[list[float], list[bool]], noise: float
) -> dict[str, Any]:
    keep, int8 = sum(choice[0]) / 9, sum(choice[1]) / 9
    changed = number > 0
    lost = float(np.mean(2 * _SENSITIVITY * (1 - np.asarray(choice[0])) ** 1.5))
    drop = (0.12 * lost + 0.6 * lost**3 + 0.004 * int8 + 0.7 * noise) if changed else 0.0
    error = min(0.9, REFERENCE["top1_error"] + max(drop, -0.002) + (0.5 if number == 7 else 0.0))
    speed = (1 - 0.52 * int8) * (0.35 + 0.65 * keep**1.5) * (1 + 2 * noise if changed else 1.0)
    size = (1 - 0.72 * int8) * (0.1 + 0.9 * keep**2)
    metrics = {
        "top1_error": [round(error, 4), 0.0061 if changed else 0.0],
        "latency_ms": [REFERENCE["latency_ms"] * speed, 0.006],
        "throughput_ips": [REFERENCE["throughput_ips"] / speed**1.05, 7.5],
        "size_mb": [round(REFERENCE["size_mb"] * size, 6), None],
    }
    cost = (speed + speed**1.05 + size) / 3
    violation = (error - REFERENCE["top1_error"] - 0.02) / (REFERENCE["top1_error"] + 0.02)
    return {
        "number": number,
        "origin": origin,
        "state": "complete",
        "feasible": violation <= 0,
        "distinct": True,
        "score": -cost if violation <= 0 else -50.0,
        "reason": None,
        "seconds": 3.1,
        "losses": [error, cost],
        "violations": [violation],
        "policy": settings,
        "point": {f"{group['name']}.keep": share for group, share in zip(GROUPS, choice[0], strict=True)},
        "evaluation": {"metrics": metrics, "samples": {}, "seconds": {}, "artifact_sha256": None, "details": {}},
    }


def result(records: list[dict[str, Any]]) -> dict[str, Any]:
    """The result of a search that ended with these trials."""
    feasible = [record for record in records if record["feasible"]]
    best = max(feasible, key=lambda record: record["score"])
    keep = non_dominated([record["losses"] for record in feasible])
    front = [record for record, kept in zip(feasible, keep, strict=True) if kept]
    chosen = _entry(best)
    return {
        "experiment": "resnet20_cifar10_accuracy_guaranteed",
        "searcher": "nsga2",
        "seed": 0,
        "objectives": ["top1_error", "cost"],
        "objective": {
            "protocol": "accuracy-guaranteed",
            "text": "Lowest cost (latency, throughput, size, equal weights) that loses at most 2 points of top-1.",
        },
        "reference": REFERENCE,
        "trials": len(records),
        "distinct": sum(record["distinct"] for record in records),
        "feasible": len(feasible),
        "exit": "done",
        "best": {**chosen, "score": best["score"]},
        "front": [_entry(record) for record in front],
        "baselines": [
            {"name": r["origin"], "feasible": r["feasible"], "score": r["score"], **_entry(r)} for r in records[:5]
        ],
        "retimed": _retimed(chosen["metrics"]),
        "intervals": {"top1_error": [chosen["metrics"]["top1_error"] - 0.009, chosen["metrics"]["top1_error"] + 0.009]},
        "hypervolume": {
            "value": hypervolume([record["losses"] for record in front], [1.0, 1.0]),
            "reference_point": {"top1_error": 1.0, "cost": 1.0},
        },
        "certificate": certificate(best["number"], front[0]["number"]),
        "seconds": dict(zip(_STAGES, (2.9, 3.4, 8.1, 4.2, 41.7, 22.6, 0.8, 2.3, 86.0), strict=True)),
        "cache": {"hits": 1, "misses": 27},
        "space": {"groups": GROUPS, "policies": 3_200_000_000},
        "budget": {"trials": 30, "seconds": 3600},
        "warnings": ["latency_ms: the load of the machine was 1.9 on 2 processors while timing; trust intervals less"],
    }


_STAGES = ("search", "compress", "recover", "export", "score", "measure", "record", "other", "total")


def certificate(trial: int, other: int) -> dict[str, Any]:
    """A certificate that holds at the second attempt."""
    return {
        "statement": (
            "On 4,000 images that the search never saw, the delivered network loses at most 1.71 points of "
            "top-1 accuracy to the reference, at 95 % confidence; the floor of -2 points holds."
        ),
        "floor": -0.02,
        "estimate": -0.0118,
        "lower_bound": -0.0171,
        "confidence": 0.95,
        "images": 4000,
        "method": "one-sided paired bound on discordant images, Bonferroni over attempts",
        "holds": True,
        "attempts": [
            {"trial": other, "estimate": -0.0172, "lower_bound": -0.0224, "holds": False},
            {"trial": trial, "estimate": -0.0118, "lower_bound": -0.0171, "holds": True},
        ],
        "bounds": [],
    }


def _entry(record: dict[str, Any]) -> dict[str, Any]:
    metrics = {name: pair[0] for name, pair in record["evaluation"]["metrics"].items()}
    metrics["cost"] = record["losses"][1]
    return {"trial": record["number"], "policy": record["policy"], "metrics": metrics, "losses": record["losses"]}


def _retimed(metrics: dict[str, float]) -> dict[str, Any]:
    spread = {"latency_ms": 0.008, "throughput_ips": 0.006, "cost": 0.005}
    return {
        name: {
            "value": 1.01 * metrics[name],
            "low": (1.01 - half) * metrics[name],
            "high": (1.01 + half) * metrics[name],
        }
        for name, half in spread.items()
    }


def manifest() -> dict[str, Any]:
    """The manifest of that search."""
    splits = {"train": 45000, "calibration": 512, "search": 1000, "certification": 4000}
    return {
        "name": "resnet20_cifar10_accuracy_guaranteed",
        "created": "2026-01-15T10:20:30+00:00",
        "versions": {
            "moco": "0.1.0",
            "torch": "2.13.0",
            "onnxruntime": "1.31.0",
            "optuna": "5.0.0",
            "python": "3.11.2",
        },
        "hardware": {"processor": "AMD EPYC 7R13", "cores": 2, "memory_gb": 8, "system": "Linux 6.1"},
        "seeds": {"run": 0},
        "data": {
            "hash": "5be1f0" * 8,
            "splits": {name: {"images": images, "hash": f"{images:06d}ab" * 8} for name, images in splits.items()},
        },
        "config": {
            "data": {"source": "parquet", "normalize": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}},
            "target": {"runtime": "onnxruntime", "threads": 1},
            "objective": {"protocol": "accuracy-guaranteed", "floor": "-2 pp"},
            "searcher": {"name": "nsga2", "population": 20, "start": "ladder"},
            "budget": {"trials": 30, "seconds": 3600},
        },
        "network": {"name": "ResNet-20", "layers": layers(), "input_shape": [3, 32, 32]},
        "command": "moco search experiments/resnet20_cifar10_accuracy_guaranteed.yaml --out runs/resnet20",
    }


def write_example(run: Path, count: int = 30) -> Path:
    """A run folder with the files that the report reads."""
    run.mkdir(parents=True, exist_ok=True)
    records = trials(count)
    (run / "trials.json").write_text(json.dumps(records), encoding="utf-8")
    (run / "result.json").write_text(json.dumps(result(records)), encoding="utf-8")
    (run / "manifest.json").write_text(json.dumps(manifest()), encoding="utf-8")
    (run / "experiment.yaml").write_text(EXPERIMENT_YAML, encoding="utf-8")
    return run
