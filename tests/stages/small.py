"""An experiment in stages that takes seconds: real digits, a small network, next to no timing."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from moco.stages.staged import StagedExperiment, staged_experiment
from tests.app.tiny import settings

FRONT = {
    "protocol": "front",
    "objectives": {"top1_error": "minimize", "packed_size_mb": "minimize"},
    "constraints": {"top1_accuracy": ">= -90 pp"},
}
CHANNELS: dict[str, Any] = {"name": "channels", "space": {"channel_pruning": {"keep": [0.4, 0.9]}}}
WEIGHTS: dict[str, Any] = {"name": "weights", "space": {"sparsity": {"keep": [0.3, 1.0]}}}
BITS: dict[str, Any] = {
    "name": "bits",
    "space": {"quantization": {"precision": ["mixed"], "weight_bits": [3, 8], "activation_bits": [8, 8]}},
}
THREE = (CHANNELS, WEIGHTS, BITS)


def sections(*stages: Any, **more: Any) -> dict[str, Any]:
    """The sections of an experiment of these stages; `more` replaces keys as in `tests.app.tiny.settings`."""
    space = {"groups": "per-stage", "channel_multiple": 1}
    found = settings(objective=None, **{"budget": {"trials": 4}, "searcher": {"start": "none"}, **more})
    return {**found, "space": space | more.get("space", {}), "objective": FRONT, "stages": copy.deepcopy(list(stages))}


def write(folder: Path, *stages: Any, **more: Any) -> Path:
    """They as a YAML file in the folder."""
    path = folder / "staged.yaml"
    path.write_text(yaml.safe_dump(sections(*stages, **more), sort_keys=False), encoding="utf-8")
    return path


def staged(folder: Path, *stages: Any, overrides: tuple[str, ...] = (), **more: Any) -> StagedExperiment:
    """They as an experiment in stages."""
    return staged_experiment(write(folder, *stages, **more), overrides)


def write_trained(folder: Path, weights: Path) -> Path:
    """Three stages of a trained network, of which only the first trains on; each looks before its recovery."""
    tuned = [{"fine_tuning": {"epochs": 0.3, "learning_rate": 0.02, "batch_size": 32}}]
    stages = ({**CHANNELS, "recovery": tuned}, WEIGHTS, BITS)
    return write(
        folder,
        *stages,
        model={"weights": str(weights)},
        recovery=[],
        searcher={"start": "reference"},
        before_recovery=True,
    )
