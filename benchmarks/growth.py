"""Does a searcher become slower with the trials told as it declares, up to the most that it declares?

`OMP_NUM_THREADS=1 python -W ignore -m benchmarks.growth [--searchers random,tpe,…] [--out runs/growth.jsonl]`

Each searcher searches on to the most trials that it declares, `LIMIT` where it declares none. Shown are the processor's
milliseconds of a trial (ask and tell), a mean over the fifth of the trials before an eighth, a quarter, a half and the
whole of them. Those that take seconds a suggestion (`SLOW`) are instead told so many trials of random search, asked
once so that they may catch up, and then told and asked `REPEATS` times more. The order is the slope of milliseconds
against trials on logarithms, from a quarter on; a declared order holds where the slope is at most `TOLERANCE` above it.
Searchers that need layers are tried on the synthetic network (benchmarks/problems/layers.py), the others on ZDT1.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.known_answers import append, code_of, evaluation_by, runs
from benchmarks.problems.known import KNOWN, Evaluate
from benchmarks.problems.layers import instance
from benchmarks.timed import Timed
from moco import registry
from moco.interfaces import SearcherCapabilities
from moco.problem import Problem
from moco.study import Budget, Study
from moco.trial import Trial

LIMIT, PARTS = 2000, (8, 4, 2, 1)
WINDOW = 0.2
SLOW, REPEATS = ("gp", "botorch", "ax"), 3
TOLERANCE = 0.3
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
        key = {"searcher": name, "code": code_of(name)}
        if not any(key.items() <= run.items() for run in done):
            done += [{**key, "told": n, "ms": ms} for n, ms in growth(name).items()]
            for run in done[-len(PARTS) :]:
                append(asked.out, run)
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


def growth(name: str) -> dict[int, float]:
    """By the number of trials, the processor's milliseconds of one more."""
    if name in SLOW:
        return {n: after_random(name, n) for n in sizes(name)}
    return along_a_search(name, sizes(name))


def along_a_search(name: str, told: Sequence[int]) -> dict[int, float]:
    """Of one search, a mean over the last fifth of each number of trials."""
    problem, evaluate = stated(name)
    searcher, seconds = built(name, problem), [0.0]
    Study(problem, searcher, evaluation_by(evaluate)).run(
        Budget(max(told)), on_trial=lambda _: seconds.append(searcher.seconds)
    )
    first = {n: n - max(round(WINDOW * n), 1) for n in told}
    return {n: 1000 * (seconds[n] - seconds[first[n]]) / (n - first[n]) for n in told}


def after_random(name: str, n: int) -> float:
    """Of the trials after n of random search."""
    problem, evaluate = stated(name)
    random = registry.plugin("searcher", "random")
    drawn = Study(problem, random(problem, random.Options(), 0), evaluation_by(evaluate)).run(Budget(n))
    searcher = built(name, problem)
    study = Study(problem, searcher, evaluation_by(evaluate), ledger=Told(drawn))
    study.run(Budget(n + 1))
    caught_up = searcher.seconds
    study.run(Budget(n + 1 + REPEATS))
    return 1000 * (searcher.seconds - caught_up) / REPEATS


def built(name: str, problem: Problem) -> Timed:
    """The searcher with its default options."""
    cls = registry.plugin("searcher", name)
    return Timed(cls(problem, cls.Options(), 0))


class Told:
    """A ledger of trials that are there already; what comes later is not kept."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        """Take the trials."""
        self._trials = list(trials)

    def trials(self) -> list[Trial]:
        """All of them."""
        return self._trials

    def record(self, trial: Trial) -> None:
        """Keep nothing."""


def stated(name: str) -> tuple[Problem, Evaluate]:
    """The problem that it is tried on, and its function."""
    if capabilities(name).needs_layers:
        layers = instance(0)
        return layers.problem(), layers.evaluate
    return KNOWN["zdt1"].problem, KNOWN["zdt1"].evaluate


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
        most = declared.max_trials if told[-1] == declared.max_trials else f"more than {told[-1]}"
        holds = "holds" if slope <= declared.order + TOLERANCE else "**does not hold**"
        yield f"| {name} | {most} | {cells} | {slope:.1f} | {declared.order} | {holds} |"


if __name__ == "__main__":
    main()
