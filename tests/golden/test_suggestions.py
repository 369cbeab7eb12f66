"""What every searcher proposes for a fixed seed, on a plain space and on layers, told the values of a function."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

import moco
from moco import registry
from moco.errors import ConfigError
from moco.policy import Policy
from moco.problem import Problem
from moco.space import LayerGroup, SearchSpace
from moco.trial import MetricValue
from tests.golden.records import differences, elsewhere, read

TRIALS = 30
SLOW: dict[str, dict[str, Any]] = {
    "ax": {},
    "botorch": {"startup": 5, "samples": 32, "raw": 64, "restarts": 2},
    "gp": {"startup": 5},
}
"""Searchers that take a second for a suggestion, with options by which their model takes over after five trials."""
SLOW_TRIALS = 8
OPTIONS: dict[str, dict[str, Any]] = {**SLOW, "ddpg": {"warmup": 8}, "greybox": {"ladder": 6, "steps": 6}}
ANYWHERE = {"random", "uniform", "nsga2", "nsga3", "sobol", "evolution", "greedy", "binary_search", "knapsack"}
"""Searchers that add and compare, so give the same on every processor; the others fit models."""

NUMBERS: dict[str, BaseDistribution] = {
    "float": FloatDistribution(-1.0, 2.0),
    "log": FloatDistribution(1e-4, 1.0, log=True),
    "step": FloatDistribution(0.1, 0.7, step=0.1),
    "int": IntDistribution(2, 8),
    "int_log": IntDistribution(1, 1000, log=True),
}
WORDS: dict[str, BaseDistribution] = {
    "precision": CategoricalDistribution(("float32", "int8")),
    "odd": CategoricalDistribution((None, True, 3, 0.5, "x")),
}
MACS, CHANNELS = (4e6, 8e6, 6e6, 2e6), (16, 16, 32, 64)
SENSITIVITIES = (2.0, 0.5, 1.0, 0.5)


@dataclass(frozen=True)
class Widths:
    """Keep ratios are rounded to channels; multiply-accumulates are linear in what is kept, and in int8 a quarter."""

    def policy(self, point: Mapping[str, Any]) -> Policy:
        widths = {f"layer{i}.keep": max(2, round(point[f"layer{i}.keep"] * n)) for i, n in enumerate(CHANNELS)}
        return Policy.of({**widths, "layer3.precision": point["layer3.precision"]})

    def point(self, policy: Policy) -> dict[str, Any]:
        kept = {f"layer{i}.keep": policy.settings[f"layer{i}.keep"] / n for i, n in enumerate(CHANNELS)}
        return {**kept, "layer3.precision": policy.settings["layer3.precision"]}

    def cost(self, policy: Policy) -> dict[str, float]:
        point = self.point(policy)
        kept = [macs * point[f"layer{i}.keep"] for i, macs in enumerate(MACS)]
        kept[3] *= 0.25 if point["layer3.precision"] == "int8" else 1.0
        return {"macs": sum(kept)}

    def n_policies(self) -> int | None:
        return None


def layered() -> Problem:
    """Four layers, the last with a choice of precision, and a bound on what they cost."""
    distributions: dict[str, BaseDistribution] = {f"layer{i}.keep": FloatDistribution(0.2, 1.0) for i in range(4)}
    distributions["layer3.precision"] = WORDS["precision"]
    groups = tuple(
        LayerGroup(
            f"layer{i}",
            tuple(name for name in distributions if name.startswith(f"layer{i}.")),
            (f"layer{i}",),
            {"index": float(i), "out_channels": float(CHANNELS[i]), "kernel": 3.0, "macs": MACS[i]},
        )
        for i in range(4)
    )
    neutral = {**{f"layer{i}.keep": 1.0 for i in range(4)}, "layer3.precision": "float32"}
    space = SearchSpace(distributions, groups, neutral, Widths())
    reference = {"macs": MetricValue(sum(MACS))}
    return Problem(space, {"loss": "minimize", "macs": "minimize"}, {"macs": "<= 0.6x"}, reference=reference)


def layered_values(policy: Mapping[str, Any]) -> dict[str, float]:
    """Loss and cost of channels left."""
    found = Policy.of(policy)
    point = Widths().point(found)
    loss = sum(s * (1 - point[f"layer{i}.keep"]) ** 2 for i, s in enumerate(SENSITIVITIES))
    return {"loss": loss + 0.03 * (point["layer3.precision"] == "int8"), **Widths().cost(found)}


def plain_values(point: Mapping[str, Any]) -> dict[str, float]:
    """Two losses that want opposite corners, and a sum that is bounded."""
    unit = [(point["float"] + 1) / 3, point["log"], (point["step"] - 0.1) / 0.6, (point["int"] - 2) / 6]
    near = sum(x**2 for x in unit) + point["int_log"] / 1000
    far = sum((1 - x) ** 2 for x in unit) + (point.get("precision") == "int8") + 0.2 * (point.get("odd") == 3)
    return {"near": near, "far": far, "sum": sum(unit)}


PROBLEMS: dict[str, tuple[Problem, Any]] = {
    "mixed": (Problem({**NUMBERS, **WORDS}, {"near": "minimize", "far": "minimize"}, {"sum": "<= 2.5"}), plain_values),
    "numbers": (Problem(NUMBERS, {"near": "minimize"}), plain_values),
    "layers": (layered(), layered_values),
}


def suggested(name: str, problem: str) -> list[dict[str, Any]] | str:
    """What the searcher proposes; one word where it does not take the problem."""
    space, evaluate = PROBLEMS[problem]
    trials = SLOW_TRIALS if name in SLOW else TRIALS
    searcher = {"name": name, **OPTIONS.get(name, {})}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = moco.search(space, evaluate, searcher=searcher, trials=trials, seed=7)
        except ConfigError:
            return "refused"
    return [dict(trial.suggestion.point) for trial in found.trials]


def made(_: Path) -> dict[str, Any]:
    """The suggestions of every searcher on every problem."""
    return {name: {problem: suggested(name, problem) for problem in PROBLEMS} for name in registry.names("searcher")}


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name
        for name in read("surface")["registry"]["searcher"]
    ],
)
def test_the_suggestions_are_those_that_were_recorded(name: str, problem: str) -> None:
    if name not in ANYWHERE and elsewhere():
        pytest.skip(elsewhere())
    assert differences(read("suggestions")[name][problem], suggested(name, problem)) == []
