"""What the cases are made from: a trained network, valid experiments, and a finished search whose folder is copied."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

import torch
import yaml
from safetensors.torch import save_file

from benchmarks.fuzzing.responses import SEARCH_LIMIT_S, command_response
from moco.compression.policy_file import policy_file
from moco.data import load_data
from moco.data.sources import SourceOptions
from moco.experiment.build import build_job, untracked
from moco.experiment.loading import load_experiment
from moco.models import build_model
from moco.models.training import TrainingPlan, train
from moco.policy import Policy
from moco.registry import names
from moco.run.job import Prepared, prepare
from tests.app import tiny

PUBLISHED = Path(__file__).parents[2] / "experiments"
SMALL: dict[str, Any] = {
    "seed": 0,
    **{section: tiny.SETTINGS[section] for section in ("model", "data", "space", "target")},
    "objective": {"protocol": "accuracy-guaranteed", "floor": "-10 pp", "weights": {"latency_ms": 1, "size_mb": 1}},
    "searcher": {"name": "random", "start": "ladder"},
    "budget": {"trials": 4},
    "certificate": {"attempts": 2, "seconds": 0.02},
    "store": "evaluations.db",  # beside the experiment, where it is broken too
}
OBJECTIVES: tuple[dict[str, Any], ...] = (
    {"protocol": "accuracy-guaranteed", "floor": ">= 50 %", "weights": {"size_mb": 1}},
    {"protocol": "resource-constrained", "constraints": {"size_mb": "<= 0.8x"}},
    {"protocol": "galen", "metric": "latency_ms", "target": 0.5},
    {"protocol": "two-stage", "metric": "flops"},
    {"protocol": "hybrid", "target": "0.5x"},
    {
        "protocol": "front",
        "objectives": {"top1_error": "minimize", "size_mb": "minimize"},
        "constraints": {"macs": "<= 0.9x"},
    },
)
SPACES: tuple[dict[str, Any], ...] = (
    {"groups": {"all": ["*"]}, "sparsity": {"keep": [0.3, 1.0]}},
    {"factorisation": {"keep": [0.3, 1.0]}, "ignore": ["conv1"], "channel_multiple": 2},
    {"quantization": {"precision": ["mixed"], "weight_bits": [2, 8]}, "channel_multiple": {"int8": 4}},
    {"channel_pruning": {"keep": [0.5, 1.0], "coupled": False}, "choose": True},
)
RECOVERIES: tuple[list[Any], ...] = (
    [],
    ["batch_norm"],
    ["refit", "batch_norm"],
    [{"fine_tuning": {"epochs": 0.1, "learning_rate": 0.01}}],
    [{"distillation": {"seconds": 0.1, "temperature": 2.0}}],
)
SHORT = (
    "budget.trials=1",
    "budget.seconds=5",
    "target.timing.seconds_batch1=0.005",
    "target.timing.seconds_batch32=0.005",
    "target.timing.slot_ms=1",
    "certificate.seconds=0.02",
    "certificate.attempts=1",
    "space.probe_seconds=1",
    "store=false",
    "tracking.mlflow=false",
    "tracking.dashboard=false",
    "workers=1",
)
"""Overrides by which a search of any experiment that was accepted takes seconds."""


@dataclass(frozen=True)
class Workbench:
    """A folder, and what is in it; each part is made when it is first needed."""

    folder: Path

    @cached_property
    def weights(self) -> Path:
        """Of a network for the digits that gets most of them right."""
        rows = load_data("digits", SourceOptions(), None).train
        network = untrained()
        train(network, rows.images(), rows.labels.copy(), plan=TrainingPlan(epochs=2), seed=0)
        save_file(network.state_dict(), self.folder / "digits.safetensors")
        return self.folder / "digits.safetensors"

    @cached_property
    def published(self) -> list[str]:
        """Texts of the experiments of the repository."""
        return [path.read_text(encoding="utf-8") for path in sorted(PUBLISHED.glob("*.yaml"))]

    @property
    def _trained(self) -> dict[str, Any]:
        """`SMALL` with the weights."""
        return {**SMALL, "model": {"name": "digits_resnet", "weights": str(self.weights)}}

    def small(self, rng: Random) -> dict[str, Any]:
        """A valid experiment that takes a second a trial."""
        found = {**self._trained}
        options: dict[str, tuple[Any, ...]] = {"objective": OBJECTIVES, "space": SPACES, "recovery": RECOVERIES}
        for section, choices in options.items():
            if rng.random() < 0.6:
                found[section] = rng.choice(choices)
        if rng.random() < 0.6:
            found["searcher"] = {"name": rng.choice([n for n in names("searcher") if n not in {"ax", "botorch", "gp"}])}
        return found

    @cached_property
    def prepared(self) -> Prepared:
        """The small experiment, ready to build the networks of policies."""
        path = self.folder / "prepared.yaml"
        space = {"groups": "per-layer", "filter_pruning": {"keep": [0.2, 1.0]}, **SPACES[2]}
        path.write_text(yaml.safe_dump({**self._trained, "space": space}))
        return prepare(build_job(untracked(load_experiment(path)), self.folder / "none"), self.folder / "files")

    def policy(self, rng: Random) -> dict[str, Any]:
        """The content of a valid policy.json."""
        space, prepared = self.prepared.space, self.prepared
        policy = space.canonical(space.uniform(rng.random(), rng.randrange(4))) if rng.random() < 0.8 else Policy.of({})
        return policy_file(policy, prepared.job.network_name, prepared.job.plan.space.ranking)

    @cached_property
    def finished(self) -> Path:
        """A folder with an experiment, the run folder `run` of its finished search, and the evaluation store."""
        folder = self.folder / "finished"
        folder.mkdir()
        (folder / "tiny.yaml").write_text(yaml.safe_dump(self._trained), encoding="utf-8")
        response = command_response("search", folder / "tiny.yaml", "--out", folder / "run", limit_s=SEARCH_LIMIT_S)
        assert response.exit_code == 0, (response.error, response.raised)
        return folder

    def copied(self, name: str) -> Path:
        """A copy of `finished` to be broken."""
        target = self.folder / name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.finished, target)
        return target


def untrained() -> torch.nn.Module:
    """A network of the class of the finished search's, its weights not trained."""
    return build_model("digits_resnet", 10)
