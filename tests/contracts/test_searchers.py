"""The contract of every registered searcher: a new one is covered as soon as `moco.registry` knows its name."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import optuna
import pytest
import torch

from moco import registry
from moco.interfaces import Searcher, SearcherCapabilities
from moco.problem import Problem
from moco.space import SearchSpace
from moco.trial import Suggestion, Trial, TrialState
from tests.contracts import loop
from tests.contracts.loop import finished, points, run, told, without_result
from tests.contracts.spaces import SPACES, distances, two_losses

ROOT = Path(__file__).resolve().parents[2]
NAMES = registry.names("searcher")
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {"greybox, layers": ("greybox", {"ladder": 4, "steps": 4})}
"""Searchers that work otherwise on layer groups, by what they are called here: their model takes over at once."""

NOT_RANDOM = {"binary_search", "greedy", "knapsack", "uniform"}
"""Searchers whose suggestions do not depend on the seed."""

N = 24
"""Trials of a run: beyond TPE's start-up and NSGA-II's second generation."""

SLOW: dict[str, dict[str, Any]] = {
    "ax": {},
    "botorch": {"startup": 5, "samples": 32, "raw": 64, "restarts": 2},
    "gp": {"startup": 5},
}
"""Searchers that take a second for a suggestion, with options by which their model takes over after five trials."""

N_SLOW = 10
"""Trials of a run of those."""

BAD = {
    2: TrialState.REJECTED,
    5: TrialState.FAILED,
    11: TrialState.REJECTED,
    12: TrialState.FAILED,
    19: TrialState.REJECTED,
}

EVERY_KIND = ("mixed", "numeric", "layers")
"""Spaces with every kind of parameter, those that fewer searchers can take first."""

FINITE = ("finite", "finite numeric", "finite layers")
"""Spaces of six points."""

pytestmark = pytest.mark.parametrize(
    "name",
    [
        *(pytest.param(name, marks=pytest.mark.heavy) if name in SLOW else name for name in NAMES),
        *(pytest.param(name, marks=pytest.mark.slow) for name in VARIANTS),
    ],
)


def n_trials(name: str) -> int:
    """Trials of a run of the searcher."""
    return N_SLOW if name in SLOW else N


def build(name: str, problem: Problem, seed: int = 0) -> Searcher:
    """The searcher of that name; default options, but for the slow ones and the variants."""
    registered, options = VARIANTS.get(name, (name, SLOW.get(name)))
    return loop.build(registered, problem, seed, options)


def kind(name: str) -> Any:
    """The searcher's class."""
    return registry.plugin("searcher", VARIANTS.get(name, (name, None))[0])


def fits(name: str, space: SearchSpace) -> bool:
    """Whether the searcher declares that it can take the space; variants are for layer groups."""
    capabilities: SearcherCapabilities = kind(name).capabilities
    if name in VARIANTS:
        capabilities = dataclasses.replace(capabilities, needs_layers=True)
    return capabilities.why_not(Problem(space, {"near": "minimize"})) is None


def fitting(name: str, spaces: Sequence[str]) -> SearchSpace:
    """The first of the spaces that the searcher can take."""
    return next(SPACES[space] for space in spaces if fits(name, SPACES[space]))


def mixed(name: str, constraints: dict[str, str] | None = None) -> tuple[Problem, Any]:
    """The problem over every kind of parameter that the searcher can take, and its function."""
    space = fitting(name, EVERY_KIND)
    return two_losses(space, constraints), partial(distances, space)


def starts(problem: Problem, evaluate: Any) -> list[Trial]:
    """Three trials that the study brought itself."""
    suggestions = [
        Suggestion(-1 - n, problem.space.uniform(level), {"start": f"ladder {level:g}"})
        for n, level in enumerate((0.0, 0.5, 1.0))
    ]
    return [finished(problem, evaluate, suggestion, number) for number, suggestion in enumerate(suggestions)]


def check_of_space(space: SearchSpace, suggestion: Suggestion) -> None:
    """Fails unless the point is of the space, in the types of its distributions, and JSON."""
    space.check(suggestion.point)
    for key, distribution in space.distributions.items():
        value = suggestion.point[key]
        exact = distribution.to_external_repr(distribution.to_internal_repr(value))
        assert (type(value), value) == (type(exact), exact)
    assert json.loads(json.dumps(dict(suggestion.point))) == dict(suggestion.point)
    assert json.loads(json.dumps(dict(suggestion.notes))) == dict(suggestion.notes)


def test_it_declares_what_it_is(name: str) -> None:
    cls = kind(name)
    assert isinstance(cls.capabilities, SearcherCapabilities)
    assert dataclasses.is_dataclass(cls.Options)
    assert cls.Options.__dataclass_params__.frozen
    assert isinstance(build(name, mixed(name)[0]), Searcher)


@pytest.mark.parametrize("space", SPACES)
def test_values_are_of_the_space_and_ids_count_from_zero(name: str, space: str) -> None:
    if not fits(name, SPACES[space]):
        pytest.skip(f"{name} declares that it does not take this space")
    problem = two_losses(SPACES[space])
    trials = run(build(name, problem), problem, partial(distances, problem.space), n_trials(name))
    for trial in trials:
        check_of_space(problem.space, trial.suggestion)
    assert [trial.suggestion.id for trial in trials] == list(range(n_trials(name)))


def test_the_same_seed_gives_the_same_suggestions(name: str) -> None:
    problem, evaluate = mixed(name)
    first, second = (points(run(build(name, problem, seed=7), problem, evaluate, n_trials(name))) for _ in range(2))
    assert first == second


def test_another_seed_gives_other_suggestions(name: str) -> None:
    problem, evaluate = mixed(name)
    first, second = (points(run(build(name, problem, seed), problem, evaluate, n_trials(name))) for seed in (7, 8))
    assert (first == second) is (name in NOT_RANDOM)


@cache
def in_another_process(names: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    """What each of the searchers proposes in a fresh interpreter, where strings hash otherwise."""
    script = """
import json, pathlib, sys
from tests.contracts import test_searchers as t
found = {n: t.points(t.run(t.build(n, problem, 7), problem, evaluate, t.n_trials(n)))
         for n in sys.argv[2:] for problem, evaluate in [t.mixed(n)]}
pathlib.Path(sys.argv[1]).write_text(json.dumps(found), encoding="utf-8")
"""
    with TemporaryDirectory() as folder:
        found = Path(folder, "found.json")
        environment = {**os.environ, "PYTHONHASHSEED": "12345"}
        subprocess.run([sys.executable, "-c", script, str(found), *names], cwd=ROOT, env=environment, check=True)
        return dict(json.loads(found.read_text(encoding="utf-8")))


def test_another_process_gives_the_same_suggestions(name: str) -> None:
    problem, evaluate = mixed(name)
    names = (name,) if name in SLOW else tuple(name for name in [*NAMES, *VARIANTS] if name not in SLOW)
    here = points(run(build(name, problem, seed=7), problem, evaluate, n_trials(name)))
    assert here == in_another_process(names)[name]


def test_rejected_and_failed_trials_are_survived(name: str) -> None:
    problem, evaluate = mixed(name)
    for trial in run(build(name, problem), problem, evaluate, n_trials(name), bad=BAD):
        check_of_space(problem.space, trial.suggestion)


def test_a_search_without_a_single_result_goes_on(name: str) -> None:
    problem, evaluate = mixed(name)
    n = n_trials(name)
    trials = run(build(name, problem), problem, evaluate, n, bad=dict.fromkeys(range(n), TrialState.FAILED))
    assert len({trial.policy for trial in trials}) > 1


@pytest.mark.parametrize("k", [1, 9, 10, 13, 17, 20, 23])
def test_a_restart_goes_on_as_if_uninterrupted(name: str, k: int) -> None:
    n = n_trials(name)
    if k >= n:
        pytest.skip(f"{name} runs for {n} trials only")
    problem, evaluate = mixed(name, {"sum": "<= 5"})
    first = starts(problem, evaluate)
    uninterrupted = run(told(build(name, problem), first), problem, evaluate, n, bad=BAD)
    rebuilt = told(build(name, problem), [*first, *uninterrupted[:k]])
    assert points(run(rebuilt, problem, evaluate, n - k, first=k, bad=BAD)) == points(uninterrupted[k:])


def test_a_restart_goes_on_after_tells_out_of_order(name: str) -> None:
    """Suggestions depend on what was told and on how often it was asked, not on what was pending meanwhile."""
    problem, evaluate = mixed(name)
    searcher, ledger = build(name, problem), []
    for batch in ([3, 0, 2, 1], [1, 3, 0, 2], [2, 0, 1, 3], [0, 3, 2, 1], [3, 2, 1, 0]):
        pending = [searcher.ask() for _ in batch]
        for place in batch:
            trial = finished(problem, evaluate, pending[place], len(ledger))
            searcher.tell(trial)
            ledger.append(trial)
    rebuilt = told(build(name, problem), ledger)
    assert [rebuilt.ask() for _ in range(3)] == [searcher.ask() for _ in range(3)]


def test_pending_asks_have_ids_of_their_own(name: str) -> None:
    problem, evaluate = mixed(name)
    searcher = build(name, problem)
    pending = [searcher.ask() for _ in range(15)]
    searcher.tell(finished(problem, evaluate, pending[9], 0))
    pending += [searcher.ask() for _ in range(5)]
    assert [suggestion.id for suggestion in pending] == list(range(20))


def test_a_rebuilt_searcher_never_gives_an_id_twice(name: str) -> None:
    problem, evaluate = mixed(name)
    late = finished(problem, evaluate, Suggestion(6, problem.space.uniform(0.5)), 0)
    assert told(build(name, problem), [late]).ask().id == 7


def test_policies_that_were_evaluated_before_are_survived(name: str) -> None:
    """They are told with what is known of them and counted as no evaluation of their own, and a restart goes on."""
    problem, evaluate = mixed(name)
    searcher, ledger = build(name, problem), []
    for number in range(n_trials(name)):
        suggestion = searcher.ask()
        check_of_space(problem.space, suggestion)
        repeats = ledger[number // 2].suggestion.point if number % 3 == 2 else None
        proposed = suggestion if repeats is None else dataclasses.replace(suggestion, point=repeats)
        trial = finished(problem, evaluate, proposed, number)
        ledger.append(dataclasses.replace(trial, distinct=trial.policy not in {other.policy for other in ledger}))
        searcher.tell(ledger[-1])
    assert not all(trial.distinct for trial in ledger)
    rebuilt = told(build(name, problem), ledger)
    assert [rebuilt.ask() for _ in range(2)] == [searcher.ask() for _ in range(2)]


def test_starts_do_not_count_as_asks(name: str) -> None:
    problem, evaluate = mixed(name)
    searcher = told(build(name, problem), starts(problem, evaluate))
    assert searcher.ask().id == 0


def test_trials_of_another_searcher_are_taken(name: str) -> None:
    problem, evaluate = mixed(name)
    others = run(build("random", problem, seed=99), problem, evaluate, N)
    searcher = told(build(name, problem), others)
    for trial in run(searcher, problem, evaluate, 5, first=N):
        check_of_space(problem.space, trial.suggestion)


def test_a_constant_objective_is_survived(name: str) -> None:
    problem, _ = mixed(name)
    for trial in run(build(name, problem), problem, lambda _: {"near": 1.0, "far": 1.0}, n_trials(name)):
        check_of_space(problem.space, trial.suggestion)


def test_an_exhausted_finite_space_is_survived(name: str) -> None:
    problem = two_losses(fitting(name, FINITE))
    trials = run(build(name, problem), problem, partial(distances, problem.space), 6 + n_trials(name))
    assert len({trial.policy for trial in trials}) <= 6


@pytest.mark.parametrize("n_losses", [1, 2, 3])
def test_any_number_of_losses_is_taken(name: str, n_losses: int) -> None:
    if n_losses > 1 and not build(name, mixed(name)[0]).capabilities.multi_objective:
        pytest.skip(f"{name} declares that it takes one loss")
    space = fitting(name, EVERY_KIND)
    problem = Problem(space, dict.fromkeys(["near", "far", "sum"][:n_losses], "minimize"))
    for trial in run(build(name, problem), problem, partial(distances, space), n_trials(name)):
        check_of_space(problem.space, trial.suggestion)


@pytest.mark.parametrize("bound", ["<= 5", "<= -1"], ids=["some feasible", "none feasible"])
def test_constraints_are_taken_where_declared(name: str, bound: str) -> None:
    problem, evaluate = mixed(name, {"sum": bound, "near": "<= 0.4"})
    if not build(name, problem).capabilities.constraints:
        pytest.skip(f"{name} declares that it takes no constraints")
    for trial in run(build(name, problem), problem, evaluate, n_trials(name)):
        check_of_space(problem.space, trial.suggestion)


def global_state() -> tuple[Any, ...]:
    """What a searcher could touch that is not its own."""
    numpy_state = np.random.get_state()[1].tobytes()  # type: ignore[index, union-attr]  # noqa: NPY002
    torch_state = (torch.get_rng_state().numpy().tobytes(), torch.get_num_threads())
    return random.getstate(), numpy_state, torch_state, optuna.logging.get_verbosity(), logging.root.manager.disable


def test_nothing_global_is_touched(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    problem, evaluate = mixed(name)
    before = global_state()
    run(build(name, problem), problem, evaluate, n_trials(name), bad=BAD)
    assert global_state() == before
    assert capfd.readouterr() == ("", "")


def test_a_trial_without_a_policy_is_survived(name: str) -> None:
    problem, _ = mixed(name)
    searcher = build(name, problem)
    bad = dataclasses.replace(without_result(problem, searcher.ask(), 0, TrialState.REJECTED), policy=None)
    searcher.tell(bad)
    check_of_space(problem.space, searcher.ask())
