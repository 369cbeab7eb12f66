"""Does a searcher become slower with the trials told as it declares, up to the most that it declares?

`OMP_NUM_THREADS=1 python -W ignore -m benchmarks.growth [--searchers random,tpe,…] [--out runs/growth.jsonl]`

A searcher is told n trials of random search, asked once so that it may catch up, and then told and asked `REPEATS`
times more: the median of the processor's milliseconds is what a trial costs it. n is an eighth, a quarter, a half and
the whole of the most trials that it declares, `LIMIT` where it declares none. The order is the slope of milliseconds
against n on logarithms, over the upper half; a declared order holds where the slope is no more than `TOLERANCE` above.
Searchers that need layers are tried on the synthetic network (benchmarks/problems/layers.py), the others on ZDT1.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import process_time
from typing import Any

from benchmarks.known_answers import append, code_of, runs
from benchmarks.problems.known import KNOWN, Evaluate
from benchmarks.problems.layers import instance
from moco import registry
from moco.interfaces import SearcherCapabilities
from moco.problem import Problem
from moco.study import Budget, Study
from moco.trial import Evaluation, MetricValue

LIMIT, PARTS, REPEATS = 2000, (8, 4, 2, 1), 3
TOLERANCE = 0.3
OPTIONS: dict[str, dict[str, Any]] = {"greybox": {"ladder": 1, "steps": 0}}
"""So that the model is what is timed: its own first asks are a design, whatever it was told."""
FLOOR_MS = 1.0
"""Below it nobody waits, and the clock's own steps would make the slope."""


def main() -> None:
    """Measure what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searchers", default=",".join(registry.names("searcher")))
    parser.add_argument("--out", type=Path, default=Path("runs/growth.jsonl"))
    asked = parser.parse_args()
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    done, names = runs(asked.out), asked.searchers.split(",")
    for name in names:
        for n in sizes(name):
            key = {"searcher": name, "told": n, "code": code_of(name)}
            if not any(key.items() <= run.items() for run in done):
                done.append({**key, "ms": milliseconds(name, n)})
                append(asked.out, done[-1])
    for line in table(names, done):
        print(line)


def capabilities(name: str) -> SearcherCapabilities:
    """What the searcher declares."""
    found: SearcherCapabilities = registry.plugin("searcher", name).capabilities
    return found


def sizes(name: str) -> list[int]:
    """The numbers of trials that it is told."""
    most = min(capabilities(name).max_trials or LIMIT, LIMIT)
    return [most // part for part in PARTS]


def milliseconds(name: str, n: int) -> float:
    """Of the processor, for a trial after n were told."""
    problem, evaluate = stated(name)
    cls, random = registry.plugin("searcher", name), registry.plugin("searcher", "random")
    drawn = Study(problem, random(problem, random.Options(), 0), evaluation_by(evaluate)).run(Budget(n))
    searcher = cls(problem, cls.Options(**OPTIONS.get(name, {})), 0)
    study = Study(problem, searcher, evaluation_by(evaluate), ledger=Told(drawn))
    study.run(Budget(n + 1))
    taken = []
    for more in range(REPEATS):
        began = process_time()
        study.run(Budget(n + 2 + more))
        taken.append(1000 * (process_time() - began))
    return statistics.median(taken)


class Told:
    """A ledger of trials that are there already; what comes later is not kept."""

    def __init__(self, trials: Sequence[Any]) -> None:
        """Take the trials."""
        self._trials = list(trials)

    def trials(self) -> list[Any]:
        """All of them."""
        return self._trials

    def record(self, trial: Any) -> None:
        """Keep nothing."""


def stated(name: str) -> tuple[Problem, Evaluate]:
    """The problem that it is tried on, and its function."""
    if capabilities(name).needs_layers:
        layers = instance(0)
        return layers.problem(), layers.evaluate
    return KNOWN["zdt1"].problem, KNOWN["zdt1"].evaluate


def evaluation_by(evaluate: Evaluate) -> Any:
    """The function over policies."""

    def evaluated(policy: Any) -> Evaluation:
        return Evaluation({key: MetricValue(value) for key, value in evaluate(policy.settings).items()})

    return evaluated


def order(told: Sequence[int], ms: Sequence[float]) -> float:
    """Least-squares slope of the logarithms, of milliseconds above `FLOOR_MS`."""
    x, y = [math.log(n) for n in told], [math.log(max(value, FLOOR_MS)) for value in ms]
    return statistics.linear_regression(x, y).slope


def table(names: Sequence[str], found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Markdown: milliseconds at each part of the limit, the measured and the declared order."""
    yield "| searcher | most trials | ms at 1/8 | 1/4 | 1/2 | all | order | declared | |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|---|"
    for name in names:
        code = code_of(name)
        ms = {run["told"]: run["ms"] for run in found if (run["searcher"], run["code"]) == (name, code)}
        told, declared = sizes(name), capabilities(name)
        slope = order(told[1:], [ms[n] for n in told[1:]])
        cells = " | ".join(f"{ms[n]:.1f}" for n in told)
        most = declared.max_trials if told[-1] == declared.max_trials else f"none ({told[-1]})"
        holds = "holds" if slope <= declared.order + TOLERANCE else "**does not hold**"
        yield f"| {name} | {most} | {cells} | {slope:.1f} | {declared.order} | {holds} |"


if __name__ == "__main__":
    main()
