"""A made two-objective problem with constraints, and trials of all kinds for it."""

from __future__ import annotations

from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from moco.errors import PolicyRejectedError
from moco.problem import Problem
from moco.randomness import generator
from moco.trial import Evaluation, MetricValue, Suggestion, Trial, TrialState


def problem(groups: int = 3) -> Problem:
    """Top-1 error against cost over `groups` layers, each with a keep ratio and a precision."""
    space: dict[str, BaseDistribution] = {}
    for index in range(groups):
        space[f"layer{index + 1}.keep"] = FloatDistribution(0.3, 1.0)
        space[f"layer{index + 1}.precision"] = CategoricalDistribution(["float32", "int8"])
    space["head.rank"] = IntDistribution(4, 64, step=4)
    return Problem(
        space=space,  # type: ignore[arg-type]
        objectives={"top1_error": "minimize", "cost": "minimize"},
        constraints={"top1_error": "<= +3 pp", "latency_ms": "<= 0.8x"},
        reference={"top1_error": MetricValue(0.08), "latency_ms": MetricValue(1.25)},
    )


def point(of: Problem, rng: np.random.Generator) -> dict[str, Any]:
    """A random point, in NumPy's types as a searcher may give them."""
    drawn: dict[str, Any] = {}
    for name, distribution in of.space.distributions.items():
        if isinstance(distribution, CategoricalDistribution):
            drawn[name] = rng.choice(np.asarray(distribution.choices))
        elif isinstance(distribution, IntDistribution):
            drawn[name] = rng.integers(1, 17) * 4
        else:
            drawn[name] = np.float64(rng.uniform(0.3, 1.0))
    return drawn


def evaluation(at: dict[str, Any], rng: np.random.Generator) -> Evaluation:
    """Smaller and lower is faster and less accurate, with noise."""
    keeps = np.array([float(value) for name, value in at.items() if name.endswith("keep")])
    int8 = np.mean([str(value) == "int8" for name, value in at.items() if name.endswith("precision")])
    cost = float(np.mean(keeps**2) * (1 - 0.6 * int8))
    error = 0.08 + 0.12 * float(np.mean((1 - keeps) ** 2)) + 0.008 * float(int8) + float(rng.uniform(0, 0.01))
    return Evaluation(
        metrics={
            "top1_error": MetricValue(error, 0.006),
            "cost": MetricValue(cost),
            "latency_ms": MetricValue(1.25 * cost, 0.01),
            "size_mb": MetricValue(3.4 * cost),
        },
        samples={"latency_ratio": tuple((cost * (1 + 0.01 * rng.standard_normal(20))).tolist())},
        seconds={"compress": 0.04, "score": 0.9, "measure": 0.4},
        artifact_sha256="ab" * 32,
        details={"warnings": [], "interval": [0.1, 0.2]},
    )


def trial(number: int, of: Problem, seed: int = 0) -> Trial:
    """The trial of that number: every seventh is rejected, every eleventh failed; the first is the reference."""
    rng = generator(seed, "trial", number)
    at = point(of, rng)
    policy = of.space.canonical({name: value.item() for name, value in at.items()})
    notes: dict[str, Any] = {"start": "reference"} if number == 0 else {"generation": number // 10}
    suggestion = Suggestion(number - 1, at, notes)
    if number % 7 == 6:
        reason = str(PolicyRejectedError("layer2.precision: int8 is not legal on a depthwise layer here"))
        return Trial(number, suggestion, TrialState.REJECTED, at, reason=reason, seconds=0.01)
    if number % 11 == 10:
        return Trial(number, suggestion, TrialState.FAILED, at, policy, reason="out of memory", seconds=0.2)
    measured = evaluation(at, rng)
    return Trial(
        number=number,
        suggestion=suggestion,
        state=TrialState.COMPLETE,
        point=at,
        policy=policy,
        evaluation=measured,
        outcome=of.judge(measured),
        score=of.score(measured),
        distinct=number % 5 != 4,
        seconds=1.34,
    )
