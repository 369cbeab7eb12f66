"""moco's own searcher beside the others on the recorded benchmarks: how much of the front each has found, and when.

`OMP_NUM_THREADS=1 python -m benchmarks.greybox [--benchmarks resnet20,digits] [--strategies …] [--seeds 10] [--out
runs/greybox]`

Every strategy gets 200 evaluations, or fewer where a suggestion takes seconds (`FEWER_TRIALS`). `ladder` is greybox's
own ladder of uniform policies and nothing after it; `ladder + x` gives searcher x the same policies as starts, which
count. Shown is the median over seeds of the share of the front's hypervolume in the region that one would deploy from
(benchmarks/recorded/benchmark.py), with the quartiles of the last, the processor's milliseconds a suggestion, and
Wilcoxon's signed-rank test of greybox against each at 50, 100 and 200 evaluations, paired by seed, with Holm's
correction over the rows. A strategy without chance has one run, that all seeds are paired with. One with fewer seeds
has too few pairs to tell anything, and is tested by Mann and Whitney's, which needs none, against all seeds of greybox.
One file a run is kept while the searcher's code stays, and a ledger of those that take seconds a suggestion, so that a
run that was broken off, or was shorter, goes on; the milliseconds of such a run are not known. Finished runs of theirs
come with the project (`KEPT`). Tuned on `resnet20` alone; `digits` is held out.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import mannwhitneyu, wilcoxon

from benchmarks.known_answers import code_of
from benchmarks.quick_nehvi import quick_nehvi
from benchmarks.recorded.benchmark import Benchmark, benchmark
from benchmarks.recorded.rows import NAMES
from benchmarks.timed import Timed
from moco.problem import Problem
from moco.registry import plugin
from moco.searchers.steps.ladder import rungs
from moco.study import Budget, Start, Study
from moco.tracking.optuna_study import OptunaLedger

TRIALS, AT = 200, (50, 100, 200)
LADDER = 20
OURS = "greybox"
PLAIN = ("tpe", "nsga2", "nsga3", "gp", "evolution", "cmaes", "ddpg", "ppo")
BASELINES = ("random", "sobol", "greedy", "binary_search", "knapsack")
AFTER_LADDER = ("tpe", "nsga2", "nsga3", "gp", "botorch", "ax", "cmaes")
STRATEGIES = (OURS, "ladder", *(f"ladder + {name}" for name in AFTER_LADDER), *PLAIN, *BASELINES)
WITHOUT_CHANCE = ("ladder", "greedy", "binary_search", "knapsack")
KEPT = Path(__file__).parent / "recorded" / "kept"
"""Finished runs of slow strategies, copied from `--out`: a quarter of an hour to an hour and a half each."""
SLOW = ("gp", "ladder + gp", "ladder + botorch", "ladder + ax")
"""They take seconds a suggestion."""
FEWER_SEEDS = dict.fromkeys(WITHOUT_CHANCE, 1) | dict.fromkeys(SLOW, 3)
FEWER_TRIALS = {"ladder": LADDER, "gp": 100}


@dataclass(frozen=True)
class Row:
    """A strategy's runs: shares (seeds, len(AT)), NaN where a run ended earlier, and milliseconds a suggestion."""

    strategy: str
    shares: np.ndarray
    ms: float


def main() -> None:
    """Run what is missing, and print a table a benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmarks", default=",".join(NAMES))
    parser.add_argument("--strategies", default=",".join(STRATEGIES))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("runs/greybox"))
    asked = parser.parse_args()
    for name in asked.benchmarks.split(","):
        bench, rows = benchmark(name), []
        for strategy in asked.strategies.split(","):
            seeds = range(min(asked.seeds, FEWER_SEEDS.get(strategy, asked.seeds)))
            runs = [recorded_run(bench, strategy, seed, asked.out / name) for seed in seeds]
            shares = np.array([shares_at(run["shares"], strategy) for run in runs])
            timed = [run["ms"] for run in runs if not math.isnan(run["ms"])]
            rows.append(Row(strategy, shares, float(np.median(timed or [math.nan]))))
        print(table(name, rows), flush=True)


def shares_at(shares: list[float], strategy: str) -> list[float]:
    """The shares after each of `AT` evaluations; the ladder alone stays where it ends."""
    ended = shares[-1] if strategy == "ladder" else math.nan
    return [shares[n - 1] if n <= len(shares) else ended for n in AT]


def searcher_of(strategy: str) -> str:
    """Its registered name; the ladder alone asks none."""
    return strategy.removeprefix("ladder + ") if strategy != "ladder" else "uniform"


def trials_of(strategy: str) -> int:
    """Evaluations of a run."""
    return FEWER_TRIALS.get(strategy, TRIALS)


def recorded_run(bench: Benchmark, strategy: str, seed: int, folder: Path) -> dict[str, Any]:
    """The run as it is on disk, made first where it is not."""
    code = code_of(searcher_of(strategy))
    begun = folder / f"{strategy.replace(' + ', '_')}_{seed}_{code}"
    path = begun.with_name(f"{begun.name}_{trials_of(strategy)}.json")
    if (KEPT / folder.name / path.name).exists():
        path = KEPT / folder.name / path.name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{begun.resolve()}.db"
        ledger = OptunaLedger.open(url, strategy, bench.problem, code) if strategy in SLOW else None
        with nullcontext() if ledger is None else closing(ledger):
            path.write_text(json.dumps(run(bench, strategy, seed, ledger=ledger)), encoding="utf-8")
        print(f"{path}: done", file=sys.stderr, flush=True)
    return dict(json.loads(path.read_text(encoding="utf-8")))


def run(
    bench: Benchmark,
    strategy: str,
    seed: int,
    options: dict[str, Any] | None = None,
    ledger: OptunaLedger | None = None,
) -> dict[str, Any]:
    """Shares after each evaluation, and milliseconds a suggestion; goes on where the ledger ends."""
    problem: Problem = bench.problem
    starts = [Start(f"rung {n}", point) for n, point in enumerate(rungs(problem.space, LADDER))]
    has_ladder = strategy.startswith("ladder")
    cls = plugin("searcher", searcher_of(strategy))
    searcher = Timed(cls(problem, cls.Options(**(options or {})), seed))
    study = Study(problem, searcher, bench.evaluate, starts=starts if has_ladder else (), ledger=ledger)
    not_timed = bool(study.trials) or searcher_of(strategy) == "ax"
    with quick_nehvi():
        trials = study.run(Budget(trials_of(strategy)))[: trials_of(strategy)]
    asked = sum(trial.suggestion.id >= 0 for trial in trials)
    shares = [bench.share(trials[: n + 1]) for n in range(len(trials))]
    return {"shares": shares, "ms": math.nan if not_timed else 1000 * searcher.seconds / max(asked, 1)}


def table(name: str, rows: list[Row]) -> str:
    """The rows as Markdown, the tests against greybox in the last columns."""
    ours = next((row for row in rows if row.strategy == OURS), None)
    corrected = [p_values(rows, ours, column) for column in range(len(AT))] if ours is not None else []
    lines = [
        f"\n{name}: share of the front's hypervolume at {', '.join(map(str, AT))} evaluations\n",
        f"| strategy | seeds | {' | '.join(map(str, AT))} | quartiles of the last | ms | greybox better, p |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for place, row in enumerate(rows):
        medians = " | ".join(shown(value) for value in np.median(row.shares, axis=0))
        low, high = np.quantile(row.shares[:, np.flatnonzero(~np.isnan(row.shares).any(axis=0))[-1]], [0.25, 0.75])
        ps = ", ".join(shown(c[place], ".3g") for c in corrected) if row.strategy != OURS and corrected else "-"
        lines.append(
            f"| {row.strategy} | {len(row.shares)} | {medians} | {low:.3f}-{high:.3f} | {shown(row.ms, '.1f')} | {ps} |"
        )
    return "\n".join(lines)


def shown(value: float, form: str = ".3f") -> str:
    """The number in that form; n/a for NaN."""
    return "n/a" if math.isnan(value) else f"{value:{form}}"


def p_value(ours: np.ndarray, others: np.ndarray) -> float:
    """One-sided p that ours are better: signed ranks of pairs, or of all against one; fewer are not paired."""
    if 1 < len(others) < len(ours):
        return float(mannwhitneyu(ours, others, alternative="greater", method="exact").pvalue)
    differences = ours - others
    return float(wilcoxon(differences, alternative="greater").pvalue) if np.any(differences) else 1.0


def p_values(rows: list[Row], ours: Row, column: int) -> list[float]:
    """One-sided p a row that greybox is better there, with Holm's correction over the rows; NaN where there is none.

    Against one run of a strategy that has chance in it nothing can be tested.
    """
    raw = np.full(len(rows), np.nan)
    for place, row in enumerate(rows):
        one_draw = len(row.shares) == 1 and row.strategy not in WITHOUT_CHANCE
        if row.strategy == OURS or one_draw or np.isnan(row.shares[:, column]).any():
            continue
        raw[place] = p_value(ours.shares[:, column], row.shares[:, column])
    found, largest, left = raw.copy(), 0.0, int(np.sum(~np.isnan(raw)))
    for place in np.argsort(raw)[:left]:  # NaN comes last
        largest = max(largest, min(1.0, raw[place] * left))
        found[place], left = largest, left - 1
    return [float(p) for p in found]


if __name__ == "__main__":
    main()
