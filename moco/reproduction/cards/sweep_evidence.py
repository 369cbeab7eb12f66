"""E2's evidence: latencies of dead and of living networks (Q14), and the lowest ones that sweeps have found (Q16)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from moco.reproduction.lab import Lab
from moco.trial import Trial

MODELS = ("gp", "botorch")
"""Searchers that learn from what they have seen; beside them stands random search."""
TOLERATED = 0.10
"""Loss of accuracy on the search images, before any training, that leaves a network of use (Q16)."""
NEAR_CHANCE = 0.10
"""Accuracy above chance below which a network is dead (Q14)."""


@dataclass(frozen=True)
class Sweep:
    """What a searcher has tried for a target."""

    target: str
    searcher: str
    trials: Sequence[Trial]


def dead_and_alive(lab: Lab, sweeps: Sequence[Sweep]) -> dict[str, Any]:
    """Latencies of distinct networks near chance and of all others (Q14).

    Only those of the random sweeps: the others look for fast or for accurate ones, which would settle the answer.
    """
    chance = 1 / lab.prepared.job.data.train.classes
    found: dict[str, dict[str, float]] = {"dead": {}, "alive": {}}
    for sweep in sweeps:
        if sweep.searcher not in MODELS:
            for trial in sweep.trials:
                kind = "dead" if accuracy_of(trial) < chance + NEAR_CHANCE else "alive"
                assert trial.policy is not None
                found[kind][trial.policy.text] = latency_of(lab, trial)
    return {"network": lab.subject.name, **{kind: list(latencies.values()) for kind, latencies in found.items()}}


def lowest_latencies(lab: Lab, sweeps: Sequence[Sweep]) -> list[dict[str, Any]]:
    """Of each searcher that learns, the lowest latency of use that its sweeps for either target have found (Q16)."""
    least = 1 - lab.reference["top1_error"] - TOLERATED
    lowest: dict[tuple[str, str], float | None] = {}
    for sweep in sweeps:
        kept = [latency_of(lab, trial) for trial in sweep.trials if accuracy_of(trial) >= least]
        lowest[sweep.target, sweep.searcher] = min(kept, default=None)
    return [
        {
            "network": lab.subject.name,
            "searcher": name,
            "accuracy_sweep": lowest["top-1", name],
            "latency_sweep": lowest["latency", name],
        }
        for name in MODELS
    ]


def accuracy_of(trial: Trial) -> float:
    """Top-1 accuracy on the search images, a fraction."""
    assert trial.evaluation is not None
    return 1 - trial.evaluation.metrics["top1_error"].value


def latency_of(lab: Lab, trial: Trial) -> float:
    """Latency relative to the reference's."""
    assert trial.evaluation is not None
    return float(f"{trial.evaluation.metrics['latency_ms'].value / lab.reference['latency_ms']:.6g}")
