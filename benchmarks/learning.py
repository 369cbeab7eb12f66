"""Do the agents learn? Reward against episodes on the recorded ResNet-20, beside random search and the ladder alone.

`OMP_NUM_THREADS=1 python -m benchmarks.learning [--seeds 5] [--trials 400] [--real 200 --data FOLDER]`

The problem is that of benchmarks/recorded/benchmark.py as one score: the least cost (latency, packed size and BOPs to
the network in int8) with a top-1 error at most ten points above it. The reward that is shown is the same for all
strategies: minus the cost where the floor is met, else -1 and below by how far it is missed, down to -2. What an agent
has learned shows in what it proposes, so the curve is the running median over 20 episodes, not the best so far; the
table also has the best so far. The ladder is its best rung, a line. Every run is a line of the file in `--out`, and is
not made again while the searcher's code stays. With `--real`, one run of each strategy goes through real evaluations of
the network instead. The figure goes to `--images`, docs/images where `make bench` calls.

A second table, where there are several seeds, is of two claims (S5.14): that PPO's reward varies less than DDPG's, in
the last fifth of a search and from seed to seed; and that DDPG's critic lies above what it is trained to predict, as
benchmarks/critic.py measures it.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.critic import Forecast, Watched
from benchmarks.known_answers import code_of
from benchmarks.record import SHARED, Recorder
from benchmarks.recorded.benchmark import Benchmark, benchmark
from moco.policy import Policy
from moco.registry import plugin
from moco.searchers.steps.ladder import rungs
from moco.study import Budget, Start, Study
from moco.trial import Evaluation, Trial

AGENTS, RANDOM, LADDER = ("ddpg", "ppo"), "random", "ladder"
DDPG = AGENTS[0]
COLOURS = {"ddpg": "#c0392b", "ppo": "#1f6fb4", RANDOM: "#7f8c8d"}
RUNGS = 20
WINDOW = 20
"""Episodes of a running median."""
LAST = 0.2
"""Share of the episodes, the last ones, over which a search is taken to have settled."""

Evaluate = Callable[[Policy], Evaluation]


@dataclass(frozen=True)
class Run:
    """One search.

    Attributes:
        rewards: of each episode.
        forecasts: of DDPG's critic, one an episode after the warm-up.
    """

    rewards: list[float]
    forecasts: list[Forecast]

    @property
    def excess(self) -> list[float]:
        """How far the critic lay above each return, in standard deviations of the returns."""
        return [forecast.excess for forecast in self.forecasts]


Runs = dict[str, list[Run]]
"""By strategy, a run a seed."""


def reward(trial: Trial) -> float:
    """Minus the cost of what meets the floor; -1 and less, down to -2, of what misses it or cannot be built."""
    if trial.outcome is None:
        return -2.0
    if trial.feasible:
        return -float(trial.outcome.losses[1])
    return -1.0 - min(sum(max(violation, 0.0) for violation in trial.outcome.violations), 1.0)


def searched(bench: Benchmark, evaluate: Evaluate, strategy: str, seed: int, trials: int) -> Run:
    """One search; the ladder ends with its rungs."""
    problem = bench.problem
    starts = [Start(f"rung {n}", point) for n, point in enumerate(rungs(problem.space, RUNGS))]
    ladder = strategy == LADDER
    cls = plugin("searcher", RANDOM if ladder else strategy)
    searcher = cls(problem, cls.Options(), seed)
    watched = Watched(searcher) if strategy == DDPG else None
    study = Study(problem, watched or searcher, evaluate, starts=starts if ladder else ())
    earned = [reward(trial) for trial in study.run(Budget(len(starts) if ladder else trials))]
    return Run(earned, watched.forecasts if watched else [])


def collected(bench: Benchmark, evaluate: Evaluate, path: Path, seeds: int, trials: int) -> Runs:
    """All runs, made first where the file lacks them; the ladder has no chance in it, so one run."""
    done = kept(path)
    found: Runs = {}
    for strategy in (*AGENTS, RANDOM, LADDER):
        for seed in range(1 if strategy == LADDER else seeds):
            key = (strategy, seed, trials, code_of(RANDOM if strategy == LADDER else strategy))
            if key not in done:
                done[key] = searched(bench, evaluate, strategy, seed, trials)
                with path.open("a", encoding="utf-8") as file:
                    named = dict(zip(("strategy", "seed", "trials", "code"), key, strict=True))
                    file.write(json.dumps({**named, **asdict(done[key])}) + "\n")
            found.setdefault(strategy, []).append(done[key])
    return found


def kept(path: Path) -> dict[tuple[str, int, int, str], Run]:
    """The runs of a file by strategy, seed, trials and code; one of DDPG that was not watched does not count."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found: dict[tuple[str, int, int, str], Run] = {}
    for run in map(json.loads, lines):
        if "forecasts" in run or run["strategy"] != DDPG:
            forecasts = [Forecast(**forecast) for forecast in run.get("forecasts", [])]
            found[run["strategy"], run["seed"], run["trials"], run["code"]] = Run(run["rewards"], forecasts)
    return found


def running_median(values: Sequence[float]) -> np.ndarray:
    """(n - WINDOW + 1,) of n values."""
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(np.array(values), WINDOW), axis=1))


def table(found: Runs) -> str:
    """Markdown: the median reward in each quarter of the episodes, and the best at the end, over the seeds."""
    trials = len(found[RANDOM][0].rewards)
    edges = np.linspace(0, trials, 5).astype(int)
    heads = [f"{low + 1} to {high}" for low, high in pairwise(edges)]
    lines = ["| strategy | seeds | " + " | ".join(heads) + " | best |", "|---" * 7 + "|"]
    for strategy, runs in found.items():
        best = np.array([max(run.rewards) for run in runs])
        cells = [f"{np.median(best):.3f} [{best.min():.3f}, {best.max():.3f}]"]
        if strategy != LADDER:
            parts = [[float(np.median(run.rewards[low:high])) for run in runs] for low, high in pairwise(edges)]
            cells = [f"{np.median(p):.3f} [{min(p):.3f}, {max(p):.3f}]" for p in parts] + cells
        else:
            cells = [""] * 4 + cells
        lines.append(f"| {strategy} | {len(runs)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def stability(found: Runs) -> Iterator[str]:
    """Markdown: how much the reward varies once an agent has settled, and how far DDPG's critic lies above its returns.

    Only for several seeds: of one, nothing is known of the spread between them.
    """
    yield f"In the last {LAST:.0%} of the episodes; the critic less its return in standard deviations of the returns:"
    yield ""
    heads = (
        "sd of reward",
        "of rewards above -1",
        "sd of its mean over seeds",
        "critic less return",
        "all since the warm-up",
    )
    yield f"| strategy | seeds | {' | '.join(heads)} |"
    yield "|---" * 7 + "|"
    for strategy in AGENTS:
        runs = found[strategy]
        ends = [last(run.rewards, round(LAST * len(run.rewards))) for run in runs]
        met = [[value for value in end if value > -1] for end in ends]
        cells = [ranged([spread(end) for end in kind], ".3f") for kind in (ends, met)]
        cells += [f"{spread([fmean(end) for end in ends]):.3f}", "", ""]
        if strategy == DDPG:
            excess = [last(run.excess, len(end)) for run, end in zip(runs, ends, strict=True)]
            cells[3:] = [
                ranged([fmean(part or [math.nan]) for part in of], "+.2f")
                for of in (excess, [run.excess for run in runs])
            ]
        yield f"| {strategy} | {len(runs)} | {' | '.join(cells)} |"


def spread(values: Sequence[float]) -> float:
    """The standard deviation; NaN of fewer than two."""
    return stdev(values) if len(values) > 1 else math.nan


def last(values: Sequence[float], n: int) -> list[float]:
    """The last n values."""
    return list(values[len(values) - n :])


def ranged(values: Sequence[float], form: str) -> str:
    """The median over seeds, and the least and the greatest."""
    return f"{np.median(values):{form}} [{min(values):{form}}, {max(values):{form}}]"


def draw(found: Runs, path: Path, title: str) -> None:
    """Curves: the median over seeds of the running median, with a band from the least to the greatest seed."""
    figure = Figure(figsize=(7.5, 4.2), dpi=150, layout="tight")
    axes = figure.subplots()
    for strategy, colour in COLOURS.items():
        curves = np.array([running_median(run.rewards) for run in found[strategy]])
        episodes = np.arange(WINDOW, WINDOW + curves.shape[1])
        axes.plot(
            episodes,
            np.median(curves, axis=0),
            color=colour,
            label=f"{strategy}, {len(curves)} seed{'s' * (len(curves) > 1)}",
        )
        axes.fill_between(episodes, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.18, linewidth=0)
    axes.axhline(max(found[LADDER][0].rewards), color="black", linestyle=":", label="best of the ladder")
    axes.axhline(-1, color="black", linewidth=0.5)
    axes.set(xlabel="episode", ylabel=f"reward, running median over {WINDOW} episodes", title=title)
    axes.legend(frameon=False)
    figure.savefig(path)
    with Image.open(path) as image:  # 64 colours are enough, and a quarter of the bytes
        image.convert("RGB").quantize(64).save(path, optimize=True)


def main() -> None:
    """Run what is missing; print the table and draw the curves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--real", type=int, default=0, help="so many real evaluations instead, one seed")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of CIFAR-10 and the trained networks")
    parser.add_argument("--out", type=Path, default=Path("runs/learning"))
    parser.add_argument("--images", type=Path, help="folder of the figure; --out where it is not named")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    bench = benchmark("resnet20")
    kind = "real" if asked.real else "recorded"
    evaluate: Evaluate = bench.evaluate
    if asked.real:
        evaluate = Recorder("resnet20", asked.data, Path("runs/recorded")).prepared.evaluator.evaluate
    seeds, trials = (1, asked.real) if asked.real else (asked.seeds, asked.trials)
    found = collected(bench, evaluate, asked.out / f"{kind}.jsonl", seeds, trials)
    print(table(found))
    if seeds > 1:
        print("", *stability(found), sep="\n")
    draw(found, (asked.images or asked.out) / f"learning_{kind}.png", f"Agents on ResNet-20, {kind} evaluations")


if __name__ == "__main__":
    main()
