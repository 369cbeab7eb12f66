"""An agent against uniform ratios and random search, after as many evaluations each (Q21)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from moco.reproduction.lab import Lab
from moco.trial import Trial
from moco.trial_rank import best


def rivals(lab: Lab, trials: Sequence[Trial], *, action: str, protocol: str, timed: bool = True) -> dict[str, Any]:
    """The best score of the agent, whose trials these are, of uniform ratios and of random search."""
    count = len(trials)
    found = {"agent": best(trials)}
    for name in ("uniform", "random"):
        found[name] = best(lab.search({"name": name}, count, timed=timed))
    return {
        "network": lab.subject.name,
        "action": action,
        "protocol": protocol,
        "evaluations": count,
        "score": {name: None if trial is None else trial.score for name, trial in found.items()},
        "feasible": {name: trial is not None and trial.feasible for name, trial in found.items()},
    }
