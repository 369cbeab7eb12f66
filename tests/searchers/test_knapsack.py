from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from moco.errors import ConfigError
from moco.problem import Problem
from moco.searchers.knapsack import PARTS, Knapsack, KnapsackSearcher, all_amounts
from moco.searchers.steps.measured_curves import Alternative
from moco.searchers.steps.steps_then_line import StepsOptions
from moco.testing.loop import points, run, told
from moco.trial import Trial, TrialState
from tests.searchers.baselines import evaluate, pruning


def units(seed: int, n_units: int = 5, n_ways: int = 4) -> list[list[Alternative]]:
    rng = np.random.default_rng(seed)
    return [
        [Alternative({f"p{u}": w}, float(rng.random() ** 2), float(rng.random())) for w in range(n_ways)]
        for u in range(n_units)
    ]


def searched(problem: Problem, n: int, **options: int) -> list[Trial]:
    return run(KnapsackSearcher(problem, StepsOptions(**options), seed=0), problem, evaluate, n)  # type: ignore[arg-type]


def parts_of(alternatives: list[list[Alternative]]) -> list[list[int]]:
    most = sum(max(way.saving for way in ways) for ways in alternatives)
    return [[round(PARTS * way.saving / most) for way in ways] for ways in alternatives]


def loss(ways: list[Alternative]) -> float:
    return sum(way.loss for way in ways)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_no_combination_loses_less_and_saves_enough(seed: int, share: float) -> None:
    """Against all 5^5 combinations of at most one alternative a unit."""
    alternatives = units(seed)
    rated = [
        [(way.loss, saved) for way, saved in zip(ways, parts, strict=True)]
        for ways, parts in zip(alternatives, parts_of(alternatives), strict=True)
    ]
    knapsack = Knapsack(alternatives)
    needed = int(share * knapsack.most)
    combinations = product(*[[(0.0, 0), *unit] for unit in rated])
    best = min(sum(lost for lost, _ in one) for one in combinations if sum(saved for _, saved in one) >= needed)
    found = knapsack.solve(needed)
    assert loss(found) == pytest.approx(best, abs=1e-12)
    assert len({name for way in found for name in way.changes}) == len(found)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_branch_and_bound_finds_nothing_better(seed: int, share: float) -> None:
    """A network of 30 units by scipy's mixed-integer solver."""
    alternatives = units(seed, n_units=30, n_ways=8)
    flat = [way for ways in alternatives for way in ways]
    unit_of = np.repeat(np.arange(30), 8)
    knapsack = Knapsack(alternatives)
    needed = int(share * knapsack.most)
    solved = milp(
        c=[way.loss for way in flat],
        integrality=np.ones(len(flat)),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(np.concatenate(parts_of(alternatives)), lb=needed),
            LinearConstraint(np.equal.outer(np.arange(30), unit_of).astype(float), ub=1),
        ],
        options={"mip_rel_gap": 0},
    )
    assert loss(knapsack.solve(needed)) == pytest.approx(solved.fun, abs=1e-6)


def test_amounts_go_from_nothing_to_all() -> None:
    base = {f"p{u}": -1 for u in range(5)}
    alternatives = dict(enumerate(units(0)))
    line = all_amounts(base, {str(unit): ways for unit, ways in alternatives.items()})
    heaviest = [max(ways, key=lambda way: way.saving).changes for ways in alternatives.values()]
    assert line.at(0) == base
    assert line.at(line.size - 1) == {name: value for changes in heaviest for name, value in changes.items()}


def test_single_steps_come_first() -> None:
    first = [trial.suggestion.point for trial in searched(pruning(), 7)]
    assert [sum(value < 1.0 for value in point.values()) for point in first] == [0, 1, 1, 1, 1, 1, 1]
    assert sum(value < 1.0 for value in searched(pruning(), 8)[7].suggestion.point.values()) == 3


def test_a_bound_on_an_exact_cost_is_met_without_a_trial_that_misses_it() -> None:
    """After the single steps; the loss is near the least of all 512 policies, as measured at four levels."""
    problem = pruning({"macs": "<= 0.5x"}, losses=("error",))
    trials = searched(problem, 20, levels=4)[13:]
    assert all(trial.feasible for trial in trials)
    keep = [k / 8 for k in range(1, 9)]
    every = [evaluate({"a.keep": a, "b.keep": b, "c.keep": c}) for a, b, c in product(keep, repeat=3)]
    least = min(values["error"] for values in every if values["macs"] <= 500)
    assert min(trial.outcome.losses[0] for trial in trials if trial.outcome) <= 1.1 * least


def test_a_floor_is_found_by_bisection() -> None:
    problem = pruning({"error": "<= 0.5"})
    trials = searched(problem, 20, levels=4)
    keep = [k / 8 for k in range(1, 9)]
    every = [evaluate({"a.keep": a, "b.keep": b, "c.keep": c}) for a, b, c in product(keep, repeat=3)]
    best = min(values["macs"] for values in every if values["error"] <= 0.5)
    assert min(trial.outcome.losses[1] for trial in trials if trial.feasible and trial.outcome) <= 1.1 * best


def test_what_must_be_measured_is_learned_from_the_single_steps() -> None:
    """The latency is linear in the macs, so the combinations are the same."""
    problem = pruning(losses=("error", "latency_ms"))
    assert points(searched(problem, 12, levels=4)) == points(searched(pruning(), 12, levels=4))


@pytest.mark.parametrize("k", range(0, 30, 4))
def test_a_restart_goes_on_the_same(k: int) -> None:
    problem, bad = pruning({"error": "<= 0.5"}), {0: TrialState.FAILED, 3: TrialState.FAILED, 10: TrialState.REJECTED}
    whole = run(KnapsackSearcher(problem, StepsOptions(), seed=5), problem, evaluate, 30, bad=bad)
    rebuilt = told(KnapsackSearcher(problem, StepsOptions(), seed=5), whole[:k])
    assert points(run(rebuilt, problem, evaluate, 30 - k, first=k, bad=bad)) == points(whole[k:])


@pytest.mark.parametrize("wrong", [{"levels": 0}, {"features": "yes"}])
def test_wrong_options_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=rf"searcher\.{next(iter(wrong))}: expected"):
        StepsOptions(**wrong)  # type: ignore[arg-type]
