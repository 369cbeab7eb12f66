"""How near do the agents come to the optimum of the synthetic layer problem, and in how many episodes?

    python -m benchmarks.agents [--instances 20] [--first 2000] [--trials 400] [--strategies ddpg,ppo]
                                [--families separable,interacting] [--out runs/agents.jsonl]

The gap is the loss of the best policy within the bound so far, over the optimum's, minus 1 (problems/layers.py). Every
strategy runs once on every instance, with the instance's number as seed. Options were chosen on the instances 0 to 39;
those from 2000 on were not looked at before (those from 1000 on were, once, by an earlier version). `random_bounded`
draws uniform actions with the bounds of DDPG; `uniform` is the heaviest uniform policy within the bound. Milliseconds
are processor time of the searcher, an episode. Finished runs are in the file of `--out`, a line each, and are not run
again while the searcher's code stays.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.known_answers import code_of
from benchmarks.problems.layers import Layers, instance
from benchmarks.timed import Timed
from moco import registry
from moco.policy import Policy
from moco.study import Budget, Study
from moco.trial import Evaluation, MetricValue

CHECKPOINTS = (50, 100, 200, 400)
"""Episodes after which the gap is noted."""

FAMILIES = {"separable": False, "interacting": True}
NEVER = 1_000_000
UNIFORM, RANDOM = "uniform", "random_bounded"

STRATEGIES: dict[str, tuple[str, dict[str, Any]]] = {
    "ddpg": ("ddpg", {}),
    "ppo": ("ppo", {}),
    "cmaes": ("cmaes", {}),
    RANDOM: ("ddpg", {"warmup": NEVER}),
    UNIFORM: ("uniform", {}),
}
"""Registered searcher and its options; `uniform` is computed, not searched."""

Result = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """One strategy on one instance."""

    strategy: str
    family: str
    seed: int
    trials: int

    @property
    def key(self) -> str:
        """What the result depends on."""
        name, options = STRATEGIES[self.strategy]
        return json.dumps([name, options, code_of(name), self.family, self.seed, self.trials])

    def run(self) -> Result:
        """Gaps by checkpoint, and milliseconds an episode."""
        layers = instance(self.seed, FAMILIES[self.family])
        if self.strategy == UNIFORM:
            gap = uniform_gap(layers)
            return {"key": self.key, "gaps": {str(n): gap for n in CHECKPOINTS if n <= self.trials}, "ms": None}
        problem = layers.problem()
        name, options = STRATEGIES[self.strategy]
        cls = registry.plugin("searcher", name)
        searcher = Timed(cls(problem, cls.Options(**options), self.seed))
        trials = Study(problem, searcher, lambda policy: evaluated(layers, policy)).run(Budget(self.trials))
        losses = [trial.outcome.losses[0] if trial.outcome and trial.feasible else np.inf for trial in trials]
        gaps = {str(n): layers.gap(min(losses[:n])) for n in CHECKPOINTS if n <= self.trials}
        return {"key": self.key, "gaps": gaps, "ms": 1000 * searcher.seconds / self.trials}


def evaluated(layers: Layers, policy: Policy) -> Evaluation:
    """The evaluation of a policy."""
    codec = layers.problem().space.codec
    assert codec is not None
    return Evaluation({name: MetricValue(value) for name, value in layers.evaluate(codec.point(policy)).items()})


def uniform_gap(layers: Layers) -> float:
    """Gap of the heaviest uniform policy within the bound, of 1,000 levels."""
    problem = layers.problem()
    codec = problem.space.codec
    assert codec is not None
    points = (codec.point(problem.space.canonical(problem.space.uniform(level / 1000))) for level in range(1001))
    outcomes = (problem.judge(evaluated(layers, problem.space.canonical(point))) for point in points)
    return layers.gap(next(outcome.losses[0] for outcome in outcomes if outcome.feasible))


def finished(path: Path) -> dict[str, Result]:
    """Results in the file, by key."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {result["key"]: result for result in map(json.loads, lines)}


def table(family: str, results: dict[str, list[Result]]) -> Iterator[str]:
    """Lines of the table of a family, of the results by strategy."""
    yield f"\n{family}: {len(next(iter(results.values())))} instances\n"
    checkpoints = list(next(iter(results.values()))[0]["gaps"])
    heads = [f"median gap at {n}" for n in checkpoints] + ["9 of 10 at 200", "below random", "below uniform", "ms"]
    yield "| strategy | " + " | ".join(heads) + " |"
    yield "|---" * (len(heads) + 1) + "|"
    at = "200" if "200" in checkpoints else checkpoints[-1]
    last = {name: np.array([result["gaps"][at] for result in found]) for name, found in results.items()}
    for name, found in results.items():
        cells = [f"{np.median([result['gaps'][n] for result in found]):.1%}" for n in checkpoints]
        cells.append(f"{np.sort(last[name])[int(np.ceil(0.9 * len(found))) - 1]:.1%}")
        cells += [f"{np.mean(last[name] < last[other]):.0%}" if other in last else "" for other in (RANDOM, UNIFORM)]
        cells.append("" if found[0]["ms"] is None else f"{np.median([result['ms'] for result in found]):.1f}")
        yield f"| {name} | " + " | ".join(cells) + " |"


def known_strategies(asked: str) -> Sequence[str]:
    """The strategies asked for whose searcher is registered."""
    wanted = asked.split(",")
    known = [name for name in wanted if STRATEGIES[name][0] in registry.names("searcher")]
    for name in sorted(set(wanted) - set(known)):
        print(f"{name}: no such searcher is registered; left out")
    return known


def main() -> None:
    """Run what is missing, then print a table a family."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=20)
    parser.add_argument("--first", type=int, default=2000, help="number of the first instance")
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--strategies", default=",".join(STRATEGIES))
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--out", type=Path, default=Path("runs/agents.jsonl"))
    asked = parser.parse_args()
    if asked.trials < CHECKPOINTS[0]:
        parser.error(f"--trials: expected at least {CHECKPOINTS[0]}, the first checkpoint, got {asked.trials}")
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    done = finished(asked.out)
    seeds = range(asked.first, asked.first + asked.instances)
    for family in asked.families.split(","):
        results: dict[str, list[Result]] = {}
        for strategy in known_strategies(asked.strategies):
            for task in (Task(strategy, family, seed, asked.trials) for seed in seeds):
                if task.key not in done:
                    done[task.key] = task.run()
                    with asked.out.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(done[task.key]) + "\n")
                results.setdefault(strategy, []).append(done[task.key])
        print("\n".join(table(family, results)), flush=True)


if __name__ == "__main__":
    main()
