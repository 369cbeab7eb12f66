"""The numbers of a comparison whose outcome is known: each strategy gains so much over `plain`, on every seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from optuna.distributions import FloatDistribution

from moco.comparison.content import About, content
from moco.comparison.match import Match, Run, RunState
from moco.problem import Problem
from moco.randomness import generator
from moco.registry import NoOptions
from moco.run_folder.comparison_record import ComparisonRecord
from moco.strategy import Strategy
from moco.study import Budget
from moco.trial import Trial
from tests.comparison.made_runs import trial

GAINS = {"guided": 0.3, "plain": 0.0, "alike": 0.0}
"""Loss at the end below that of `plain`."""


def run_of(label: str, gain: float, seed: int, trials: int) -> Run:
    """A reference, an infeasible trial, then better and better ones with noise."""
    rng = generator(seed, label)
    found: list[Trial] = [trial(0, (0.9, 0.9), start="reference"), trial(1, (0.1, 0.1), feasible=False)]
    for number in range(2, trials):
        loss = 0.95 - (0.2 + gain) * number / trials + 0.03 * float(rng.normal())
        search_s = 0.002 if label == "plain" else 0.25
        found.append(trial(number, (loss, loss), search_s=search_s, stored=seed > 0 and number % 3 == 0))
    return Run(label, seed, tuple(found), RunState.FINISHED)


def example(gains: Mapping[str, float] = GAINS, seeds: int = 10, trials: int = 20, **changes: Any) -> ComparisonRecord:
    """A comparison of so many strategies and seeds; `failed` names one whose last seed failed."""
    problem = Problem(
        space={"x": FloatDistribution(0, 1)},  # type: ignore[arg-type]
        objectives={"top1_error": "minimize", "cost": "minimize"},
        constraints={"top1_error": "<= 0.5"},
        scorer=lambda evaluation: evaluation.metrics["loss"].value,
    )
    contenders = tuple(Strategy(label, "random", NoOptions()) for label in gains)
    match = Match(problem, lambda _: NotImplemented, contenders, tuple(range(seeds)), Budget(trials, 90.0))
    runs = [run_of(label, gain, seed, trials) for seed in range(seeds) for label, gain in gains.items()]
    if (failed := changes.pop("failed", None)) is not None:
        runs = [
            Run(run.label, run.seed, run.trials[:2], RunState.FAILED, "RuntimeError: no <b>convergence</b>")
            if (run.label, run.seed) == (failed, seeds - 1)
            else run
            for run in runs
        ]
    about = About("made", "reference", (1.0, 1.0), network="digits_resnet")
    return replace(content(match, runs, about, ["made <i>up</i>"]), **changes)
