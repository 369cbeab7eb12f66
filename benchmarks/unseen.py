"""greybox where it was not tuned: how much of the front each strategy has found on compression problems, and when.

`OMP_NUM_THREADS=1 python -m benchmarks.unseen [--half held-out] [--problems …] [--strategies …] [--seeds 3] [--out
runs/unseen]`

The problems, and which half of them `greybox` was tuned on, are those of benchmarks/problems/compression.py. `ladder`
is the uniform policies that one would try by hand, at most 20; `ladder + x` gives searcher x the same as starts, which
count. Shown is the share of the best known front's hypervolume in the useful region, by expected values, after 50, 100
and 200 evaluations: the median over seeds, with the least and the most; and the processor's milliseconds a suggestion.
The libraries get 100 evaluations, and those that take seconds a suggestion one seed. What a user tells of layers and
directions is for `greybox` alone, so the libraries have the same runs on `-groups` as on `-plain`.

One file a run is kept while the searcher's code stays, and a ledger of those that take seconds a suggestion, so that a
run that was broken off goes on. Finished runs of theirs may come with the project (`KEPT`).
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.greybox import searcher_of
from benchmarks.known_answers import code_of
from benchmarks.problems.compression import Compression
from benchmarks.problems.compression_spaces import HELD_OUT, TUNING, compression
from benchmarks.quick_nehvi import quick_nehvi
from benchmarks.timed import Timed
from moco.registry import plugin
from moco.study import Budget, Start, Study
from moco.tracking.optuna_study import OptunaLedger

AT = (50, 100, 200)
OURS = "greybox"
LIBRARIES = ("tpe", "cmaes", "nsga2", "gp", "botorch", "ax")
STRATEGIES = (OURS, "ladder", *(f"ladder + {name}" for name in LIBRARIES))
SLOW = ("ladder + gp", "ladder + botorch", "ladder + ax")
KEPT = Path(__file__).parent / "problems" / "kept"
HALVES = {"tuning": TUNING, "held-out": HELD_OUT}


def main() -> None:
    """Run what is missing, and print the table of a half."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=HALVES, default="held-out")
    parser.add_argument("--problems", help="some of the half's")
    parser.add_argument("--strategies", default=",".join(STRATEGIES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=AT[-1], help="of greybox")
    parser.add_argument("--out", type=Path, default=Path("runs/unseen"))
    asked = parser.parse_args()
    names = asked.problems.split(",") if asked.problems else HALVES[asked.half]
    print(f"\n{asked.half}: share of the best known front's hypervolume at {', '.join(map(str, AT))} evaluations\n")
    print("| problem | strategy | seeds | 50 | 100 | 200 | ms |\n|---|---|---|---|---|---|---|")
    for name in names:
        for strategy in asked.strategies.split(","):
            seeds = range(seeds_of(name, strategy, asked.seeds))
            runs = [kept_run(name, strategy, seed, asked.out, asked.trials) for seed in seeds]
            if runs:
                print(line(name, strategy, runs), flush=True)


def seeds_of(name: str, strategy: str, seeds: int) -> int:
    """The ladder has no chance, slow searchers get one seed, and one that cannot take the problem none."""
    if plugin("searcher", searcher_of(strategy)).capabilities.why_not(compression(name).problem) is not None:
        return 0
    return min(seeds, 1) if strategy == "ladder" or strategy in SLOW else seeds


def trials_of(name: str, strategy: str, ours: int) -> int:
    """Evaluations of a run."""
    return {OURS: ours, "ladder": len(compression(name).ladder())}.get(strategy, AT[1])


def as_they_see_it(name: str, strategy: str) -> str:
    """The problem's name: what layers there are is told to ours alone."""
    return name if strategy == OURS else name.replace("-groups", "-plain")


def kept_run(name: str, strategy: str, seed: int, folder: Path, ours: int) -> dict[str, Any]:
    """The run as it is on disk, made first where it is not."""
    name = as_they_see_it(name, strategy)
    code = code_of(searcher_of(strategy))
    trials = trials_of(name, strategy, ours)
    path = (
        folder / f"{name}_{strategy.replace(' + ', '_')}_{seed}_{code}{f'_{trials}' if strategy == OURS else ''}.json"
    )
    if (KEPT / path.name).exists():
        path = KEPT / path.name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        problem, url = compression(name), f"sqlite:///{path.with_suffix('.db').resolve()}"
        ledger = OptunaLedger.open(url, strategy, problem.problem, code) if strategy in SLOW else None
        with nullcontext() if ledger is None else closing(ledger):
            path.write_text(json.dumps(run(problem, strategy, seed, trials, ledger=ledger)), encoding="utf-8")
        print(f"{path}: done", file=sys.stderr, flush=True)
    return dict(json.loads(path.read_text(encoding="utf-8")))


def run(
    problem: Compression,
    strategy: str,
    seed: int,
    trials: int,
    options: dict[str, Any] | None = None,
    ledger: OptunaLedger | None = None,
) -> dict[str, Any]:
    """Shares after each evaluation, and milliseconds a suggestion; goes on where the ledger ends."""
    starts = [Start(f"by hand {n}", point) for n, point in enumerate(problem.ladder())]
    cls = plugin("searcher", searcher_of(strategy))
    searcher = Timed(cls(problem.problem, cls.Options(**(options or {})), seed))
    first = starts if strategy.startswith("ladder") else ()
    study = Study(problem.problem, searcher, problem.evaluate, starts=first, ledger=ledger)
    known = len(study.trials)
    with quick_nehvi():
        done = study.run(Budget(trials))[:trials]
    asked = sum(trial.suggestion.id >= 0 for trial in done[known:])
    shares = [round(problem.share(done[: n + 1]), 4) for n in range(len(done))]
    return {"shares": shares, "ms": round(1000 * searcher.seconds / max(asked, 1), 1)}


def line(name: str, strategy: str, runs: list[dict[str, Any]]) -> str:
    """A row of the table."""
    cells = []
    for n in AT:
        known = [run["shares"][-1 if strategy == "ladder" else n - 1] for run in runs if fits(run, strategy, n)]
        spread = f" ({min(known):.3f}-{max(known):.3f})" if len(known) > 1 else ""
        cells.append(f"{np.median(known):.3f}{spread}" if known else "")
    ms = float(np.median([run["ms"] for run in runs]))
    return f"| {name} | {strategy} | {len(runs)} | {' | '.join(cells)} | {ms:.1f} |"


def fits(run: dict[str, Any], strategy: str, n: int) -> bool:
    """Whether the run says what there was after so many evaluations."""
    return strategy == "ladder" or len(run["shares"]) >= n


if __name__ == "__main__":
    main()
