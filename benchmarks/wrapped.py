"""What moco adds to the libraries behind its searchers: seconds a suggestion, bare and wrapped, and whether they agree.

`python benchmarks/wrapped.py [--searchers tpe gp …] [--told 20 50 100] [--asks 5] [--out FILE.json]`

20 parameters (integers, floats, choices), two losses, two constraints. Both are told the same random trials, then asked
in turn; what the wrapped one proposes is evaluated and told to both. The bare library is one that lives through the
search, as its own user has it: Optuna's sampler keeps its generator and its models' last fit, Ax its client. Processor
seconds of one thread, of ask and tell together: medians, and the median of the paired differences.

`same` counts asks at which the library, built anew with the seed that moco gives it and told the same trials, proposes
exactly what moco proposes. moco proposes something else where a policy was told before.

CMA-ES takes one loss, no categories and no results but those of its own draws: `cmaes` is on the 15 numbers of the same
problem with its first loss and no bounds, what is told is its own search from the start, and its ask and tell are means
over one generation, in which the distribution is updated once, instead of medians.
BoTorch is no library of suggestions but of their parts, so `botorch` has no bare counterpart.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import optuna
from cmaes import CMAwM
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseGASampler, BaseSampler, GPSampler, NSGAIIISampler, NSGAIISampler, TPESampler
from optuna.trial import create_trial

from moco.encoding import decode, encode
from moco.interfaces import Searcher
from moco.problem import Problem
from moco.randomness import derived_seed
from moco.searchers.cmaes import CMAESOptions
from moco.space import SearchSpace, n_values
from moco.testing.loop import build, finished, run
from moco.trial import Point, Suggestion, Trial
from tests.searchers.bare import ask_seed

SEED = 1
POPULATION = 10
CMAES = "cmaes"
PRECISIONS = ("float32", "float16", "int8")

SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(seed=seed),
    "nsga2": lambda seed: NSGAIISampler(population_size=POPULATION, seed=seed),
    "nsga3": lambda seed: NSGAIIISampler(population_size=POPULATION, dividing_parameter=9, seed=seed),
    "gp": lambda seed: GPSampler(seed=seed),
}


@dataclass(frozen=True)
class Row:
    """One searcher at one number of told trials; processor seconds."""

    searcher: str
    told: int
    bare_s: float | None
    wrapped_s: float
    more_s: float | None
    same: int | None
    asks: int


class Bare(Protocol):
    """A library as its own user has it."""

    def ask(self) -> dict[str, Any]:
        """Its next suggestion."""

    def tell(self, trial: Trial) -> None:
        """Take another trial instead of the one that it asked for."""


def main() -> None:
    """Print a table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searchers", nargs="+", default=[*SAMPLERS, CMAES, "ax", "botorch"])
    parser.add_argument("--told", nargs="+", type=int, default=[20, 50, 100])
    parser.add_argument("--asks", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore")
    print("| searcher | told | bare, s | wrapped, s | more, ms | more, % | same |")
    print("|---|---|---|---|---|---|---|")
    rows = []
    for row in measured(arguments.searchers, arguments.told, arguments.asks):
        rows.append(row)
        print(line(row), flush=True)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


def measured(names: Sequence[str], counts: Sequence[int], asks: int) -> Iterator[Row]:
    """A row for each searcher and each number of told trials."""
    for name in names:
        stated = numeric_problem() if name == CMAES else problem()
        for told in counts:
            yield measure(name, stated, told, LivingCMAES(stated, SEED).population if name == CMAES else asks)


def measure(name: str, stated: Problem, n_told: int, asks: int) -> Row:
    """Tell both, ask both in turn, and compare; the first ask of each is a warm-up."""
    teacher = build(CMAES, stated, SEED) if name == CMAES else build("random", stated, seed=99)
    trials = run(teacher, stated, evaluate, n_told)
    ours = Wrapped(build(name, stated, SEED))
    both: dict[str, Bare] = {"wrapped": ours}
    if name != "botorch":
        both["bare"] = living(name, stated, SEED)
    for one in both.values():
        for trial in trials:
            one.tell(trial)
    seconds: dict[str, list[float]] = {which: [] for which in both}
    same = 0
    for number in range(n_told, n_told + asks + 1):
        expected = anew(name, stated, trials, ask_seed(SEED, number)) if "bare" in both else None
        asked = {which: timed(one.ask) for which, one in both.items()}
        trial = finished(stated, evaluate, ours.suggestion, number)
        trials.append(trial)
        told = {which: timed(partial(one.tell, trial)) for which, one in both.items()}
        if number > n_told:
            same += asked["wrapped"][1] == expected
            for which in both:
                seconds[which].append(asked[which][0] + told[which][0])
    wrapped, bare = seconds["wrapped"], seconds.get("bare")
    middle = statistics.fmean if name == CMAES else statistics.median
    if bare is None:
        return Row(name, n_told, None, middle(wrapped), None, None, asks)
    more = middle([w - b for w, b in zip(wrapped, bare, strict=True)])
    return Row(name, n_told, middle(bare), middle(wrapped), more, same, asks)


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of a call, and what it gave."""
    started = time.process_time()
    result = call()
    return time.process_time() - started, result


class Wrapped:
    """A searcher of moco's.

    Attributes:
        suggestion: the last one, with the searcher's notes; none before the first ask.
    """

    suggestion: Suggestion

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher
        self.tell = searcher.tell

    def ask(self) -> dict[str, Any]:
        """The point of its next suggestion."""
        self.suggestion = self._searcher.ask()
        return dict(self.suggestion.point)


class LivingOptuna:
    """A study whose sampler lives through the search."""

    def __init__(self, stated: Problem, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._space = dict(stated.space.distributions)
        self._make, sampler = make, make(seed)
        self._generation = f"{type(sampler).__name__}:generation"
        self._study = optuna.create_study(directions=["minimize"] * len(stated.objectives), sampler=sampler)
        self._n_told = 0
        self._open: optuna.Trial | None = None

    def ask(self) -> dict[str, Any]:
        """The next suggestion."""
        self._open = self._study.ask(self._space)
        return dict(self._open.params)

    def tell(self, trial: Trial) -> None:
        """Take another trial instead of the one that it asked for."""
        if self._open is not None:
            self._study.tell(self._open, state=optuna.trial.TrialState.FAIL)
        assert trial.outcome is not None
        self._study.add_trial(
            create_trial(
                params=dict(trial.point),
                distributions=self._space,
                values=list(trial.outcome.losses),
                constraints={str(i): violation for i, violation in enumerate(trial.outcome.violations)},
                system_attrs={self._generation: self._n_told // POPULATION},
            )
        )
        self._n_told += 1
        if isinstance(self._study.sampler, BaseGASampler) and self._n_told % POPULATION == 0:
            self._select(self._n_told // POPULATION)

    def _select(self, generation: int) -> None:
        """Choose who breeds as soon as a generation is full, as moco does.

        Optuna does it at the next draw, which alone then finds the parents in another order.
        """
        self._study.tell(self._study.ask(), state=optuna.trial.TrialState.FAIL)  # Optuna renews its list of trials then
        selecting = self._make(derived_seed(SEED, "searcher", "selection", generation))
        assert isinstance(selecting, BaseGASampler)
        selecting.get_parent_population(self._study, generation)


class LivingAx:
    """A client that lives through the search."""

    def __init__(self, stated: Problem, seed: int) -> None:
        self._ax = import_module("moco.searchers.ax")
        self._names = self._ax.AxNames(stated.space)
        logging.getLogger("ax").handlers[0].setLevel(logging.CRITICAL)
        self._client = self._ax.Client(random_seed=seed)
        self._client.configure_experiment(self._names.configs)
        self._client.configure_optimization(*self._ax.goals(len(stated.objectives), len(stated.bounds)))
        # A client that lives on is past the centre; a new one would step from there to Sobol, not to the model.
        self._client.configure_generation_strategy(initialize_with_center=False)
        self._open: int | None = None

    def ask(self) -> dict[str, Any]:
        """The next suggestion."""
        [(self._open, parameters)] = self._client.get_next_trials(1).items()
        return dict(self._names.point(parameters))

    def tell(self, trial: Trial) -> None:
        """Take another trial instead of the one that it asked for."""
        if self._open is not None:
            self._client.mark_trial_failed(self._open)
        assert trial.outcome is not None
        index = self._client.attach_trial(self._names.parameters(trial.point))
        self._client.complete_trial(index, raw_data=self._ax.raw_data(trial.outcome))


class LivingCMAES:
    """CMA-ES with margin from the middle of the unit cube, told a generation when it is full.

    Attributes:
        population: members of a generation.
    """

    def __init__(self, stated: Problem, seed: int) -> None:
        self._space = stated.space
        counts = [n_values(distribution) for distribution in stated.space.distributions.values()]
        steps = np.array([0.0 if n is None else 1 / n for n in counts])
        self._cma = CMAwM(
            mean=np.full(len(counts), 0.5),
            sigma=CMAESOptions.sigma,
            bounds=np.stack([steps / 2, 1 - steps / 2], axis=1),
            steps=steps,
            seed=derived_seed(seed, "searcher", CMAES, 0),
        )
        self.population: int = self._cma.population_size
        self._open = False
        self._generation: list[tuple[np.ndarray, float]] = []

    def ask(self) -> dict[str, Any]:
        """The next member of the generation."""
        self._open = True
        return dict(decode(self._space, self._cma.ask()[0]))

    def tell(self, trial: Trial) -> None:
        """Take another trial, of a draw that moco's searcher noted, instead of the one that it asked for."""
        if not self._open:
            self._cma.ask()  # a draw that was told is one that the package's generator has made
        self._open = False
        assert trial.outcome is not None
        self._generation.append((np.array(trial.suggestion.notes["x"]), trial.outcome.losses[0]))
        if len(self._generation) == self.population:
            self._cma.tell(self._generation)
            self._generation = []


def living(name: str, stated: Problem, seed: int) -> Bare:
    """The bare library behind the searcher of that name."""
    if name == CMAES:
        return LivingCMAES(stated, SEED)
    return LivingAx(stated, seed) if name == "ax" else LivingOptuna(stated, SAMPLERS[name], seed)


def anew(name: str, stated: Problem, trials: Sequence[Trial], seed: int) -> dict[str, Any]:
    """What the library proposes when it is built anew and told the trials."""
    bare = living(name, stated, seed)
    for trial in trials:
        bare.tell(trial)
    return bare.ask()


def problem() -> Problem:
    """20 parameters: ten integers, five floats and five choices."""
    space: dict[str, BaseDistribution] = {}
    for i in range(5):
        space[f"channels{i}"] = IntDistribution(1, 32)
        space[f"bits{i}"] = IntDistribution(2, 8)
        space[f"keep{i}"] = FloatDistribution(0.1, 1.0)
        space[f"precision{i}"] = CategoricalDistribution(PRECISIONS)
    return Problem(
        SearchSpace(space), {"error": "minimize", "size": "minimize"}, {"size": "<= 0.6", "latency": "<= 0.7"}
    )


def numeric_problem() -> Problem:
    """Its numbers alone, with one loss and no bounds."""
    space = {k: d for k, d in problem().space.distributions.items() if not isinstance(d, CategoricalDistribution)}
    return Problem(SearchSpace(space), {"error": "minimize"}, {})


def evaluate(point: Point) -> Mapping[str, float]:
    """Smooth in the coordinates of the unit cube; the error has a term that two parameters share.

    A choice that is not in the point is the first one.
    """
    space = problem().space
    x = encode(space, dict.fromkeys(space.distributions, PRECISIONS[0]) | dict(point))
    rng = np.random.default_rng(0)
    sensitivity, size = 2 * rng.random(len(x)), rng.random(len(x))
    return {
        "error": float(np.log1p(sensitivity @ (1 - x) ** 2) + 0.1 * np.sin(5 * x[0] * x[1])),
        "size": float(size @ x / size.sum()),
        "latency": float(x.mean() + 0.1 * x[3] * x[4]),
    }


def line(row: Row) -> str:
    """A row of the table."""
    if row.bare_s is None or row.more_s is None:
        return f"| {row.searcher} | {row.told} | | {shown(row.wrapped_s)} | | | |"
    return (
        f"| {row.searcher} | {row.told} | {shown(row.bare_s)} | {shown(row.wrapped_s)} | {1000 * row.more_s:+.1f} "
        f"| {100 * row.more_s / row.bare_s:+.0f} | {row.same} of {row.asks} |"
    )


def shown(seconds: float) -> str:
    """To the millisecond, and less than one to a tenth of it."""
    return f"{seconds:.3f}" if seconds >= 1e-3 else f"{seconds:.4f}"


if __name__ == "__main__":
    main()
