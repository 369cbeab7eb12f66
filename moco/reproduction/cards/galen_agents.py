"""S3's three agents: one prunes, one quantises, one does both (S3.40 to S3.44), and what each may do to a network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moco.analysis.sensitivity.layer_sensitivity import Levels, to_json
from moco.experiment.loading import experiment_of
from moco.experiment.sensitivity import studied
from moco.reproduction.setting import Setting
from moco.reproduction.subjects import Subject, sections
from moco.run_folder.writing import write_text

PRUNING = {"keep": [0.05, 1.0], "rank": "l1"}
BITS = {
    "precision": ["float32", "int8", "mixed"],
    "weight_bits": [1, 6],
    "activation_bits": [1, 6],
    "mixed_layers": "aligned",
}
MULTIPLE = 8
"""To which the joint agent's channels are rounded; S3 has 32, of which the networks here have one or two."""
FEW_BITS = (6, 5, 4, 3, 2, 1)
WARMUP = 10
PUBLISHED: Mapping[str, Any] = {
    "name": "ddpg",
    "hidden": [400, 300],
    "actor_rate": 1.0e-4,
    "critic_rate": 1.0e-3,
    "discount": 0.99,
    "soft": 1.0e-3,
    "warmup": WARMUP,
    "noise": 0.5,
    "noise_decay": 0.95,
    "noise_least": 1.0e-3,
    "updates": 1,
    "batch": 128,
    "replay": 200,
    "saturation": 0.0,
    "reward": "score",
    "bounds": "none",
}
"""As in experiments/s3."""
SOONER: Mapping[str, Any] = {
    "hidden": [64, 64],
    "actor_rate": 1.0e-3,
    "critic_rate": 5.0e-3,
    "soft": 0.02,
    "updates": 4,
    "batch": 64,
    "noise_decay": 0.93,
    "noise_least": 0.02,
}
"""For a tenth of the episodes: the published rates would leave the actor where it begins."""


@dataclass(frozen=True)
class Agent:
    """One of the three."""

    name: str
    action: str
    features: str
    space: Mapping[str, Any]

    def options(self, setting: Setting, *, constant: bool = False) -> dict[str, Any]:
        """Its searcher; `constant` has no sensitivities in its state (S3.53)."""
        more = {} if setting.full else SOONER
        blind = {"sensitivities": "constant"} if constant else {}
        return {**PUBLISHED, **more, "features": self.features, **blind}


P = Agent("P", "filter pruning", "galen_p", {"channel_multiple": 1, "filter_pruning": PRUNING})
Q = Agent("Q", "bits", "galen_q", {"channel_multiple": 1, "quantization": BITS})
PQ = Agent(
    "PQ",
    "filter pruning, bits",
    "galen_pq",
    {"channel_multiple": MULTIPLE, "filter_pruning": PRUNING, "quantization": BITS},
)
AGENTS = (P, Q, PQ)
ROUNDED = Agent("P", "filter pruning", "galen_p", {**P.space, "channel_multiple": MULTIPLE})
"""The agent that prunes, as it goes before or after another one (S3.52)."""


def sensitivity_file(subject: Subject, setting: Setting) -> Path:
    """What the sensitivity analysis of the subject says (S3.20, S3.21), made once a seed."""
    images = setting.of(64, 256)
    path = setting.folder / f"{subject.name}-sensitivity-{images}-seed{setting.seed}.json"
    if not path.exists():
        setting.tell(f"{subject.name}: sensitivity")
        given = {
            "name": subject.name,
            "seed": setting.seed,
            **sections(subject, setting),
            "space": {"groups": "per-layer", **PQ.space},
            "objective": {"protocol": "front"},
        }
        levels = Levels(weight_bits=FEW_BITS, activation_bits=FEW_BITS, branches=False)
        found = studied(experiment_of(given), images, levels=levels)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(to_json(found.sensitivity)))
    return path
