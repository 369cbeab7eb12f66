"""The contract of a searcher, on small functions over every kind of space (moco/interfaces.py: Searcher)."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import logging
import os
import random
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache, partial
from multiprocessing import get_context
from tempfile import TemporaryFile
from typing import Any
from unittest.mock import patch

import numpy as np
import optuna
import torch

from moco.interfaces import Searcher, SearcherCapabilities
from moco.problem import Problem
from moco.registry import plugin
from moco.space import SearchSpace
from moco.testing.loop import Evaluate, finished, points, run, told, without_result
from moco.testing.problems import SPACES, distances, two_losses
from moco.testing.suite import Suite, cases
from moco.trial import Point, Suggestion, Trial, TrialState

BAD = {n: TrialState.REJECTED if n in {2, 11, 19} else TrialState.FAILED for n in (2, 5, 11, 12, 19)}
EVERY_KIND = ("mixed", "numeric", "layers")
"""Spaces with every kind of parameter, those that fewer searchers can take first."""
FINITE = ("finite", "finite numeric", "finite layers")  # spaces of six points
EXTREMES: dict[str, tuple[float | None, ...]] = {
    "huge": (None, None, 1e300),
    "hugely negative": (None, None, -1e300),
    "largest": (None, sys.float_info.max),
    "tiny": (None, 1e-300, 5e-324),
    "alternating": (1e300, -1e300),
    "all the largest": (sys.float_info.max,),
}
"""What results are, one after the other and again; None is the function's own."""
RESTARTS = (1, 9, 10, 13, 17, 20, 23)


class SearcherSuite(Suite):
    """What every searcher holds to."""

    kind = "searcher"

    def __init__(
        self,
        plugin: str | type[Any],
        options: Mapping[str, Any] | None = None,
        trials: int = 24,
        seeded: bool = True,
        layered: bool = False,
    ) -> None:
        """Take the trials of a run (beyond TPE's start-up and NSGA-II's second generation), and what it is like."""
        super().__init__(plugin, options)
        self.trials, self.seeded = trials, seeded
        declared: SearcherCapabilities = self.plugin.capabilities
        self.capabilities = dataclasses.replace(declared, needs_layers=layered or declared.needs_layers)

    def make(self) -> Searcher:
        """The searcher on a problem that it can take."""
        return self.build(self.mixed()[0])

    def build(self, problem: Problem, seed: int = 0) -> Searcher:
        """The searcher on a problem."""
        found: Searcher = self.plugin(problem, self.options, seed)
        return found

    def fits(self, space: SearchSpace) -> bool:
        """Whether it declares that it can take the space."""
        return self.capabilities.why_not(Problem(space, {"near": "minimize"})) is None

    def fitting(self, names: Sequence[str]) -> SearchSpace:
        """The first of the spaces that it can take."""
        return next(SPACES[name] for name in names if self.fits(SPACES[name]))

    def mixed(self, constraints: Mapping[str, str] | None = None) -> tuple[Problem, Evaluate]:
        """The problem over every kind of parameter that it can take, and its function."""
        space = self.fitting(EVERY_KIND)
        return two_losses(space, constraints), partial(distances, space)

    def ran(self, problem: Problem, evaluate: Evaluate, n: int | None = None, **bad: Any) -> list[Trial]:
        """The trials of a new searcher; all of its suggestions are of the space."""
        trials = run(self.build(problem), problem, evaluate, n or self.trials, **bad)
        for trial in trials:
            assert_in_space(problem.space, trial.suggestion)
        return trials

    def proposed(self, seed: int = 7) -> list[dict[str, Any]]:
        """What a new searcher with that seed proposes."""
        problem, evaluate = self.mixed()
        return points(run(self.build(problem, seed), problem, evaluate, self.trials))

    def check_it_declares_what_it_is(self) -> None:
        assert isinstance(self.plugin.capabilities, SearcherCapabilities)
        assert isinstance(self.make(), Searcher)

    @cases(lambda suite: [name for name, space in SPACES.items() if suite.fits(space)])
    def check_values_are_of_the_space_and_ids_count_from_zero(self, space: str) -> None:
        trials = self.ran(two_losses(SPACES[space]), partial(distances, SPACES[space]))
        assert [trial.suggestion.id for trial in trials] == list(range(self.trials))

    def check_the_same_seed_gives_the_same_suggestions(self) -> None:
        assert self.proposed() == self.proposed()

    def check_another_seed_gives_other_suggestions(self) -> None:
        assert (self.proposed(7) == self.proposed(8)) is not self.seeded

    def check_another_process_gives_the_same_suggestions(self) -> None:
        pool = _elsewhere()
        pool.submit(_look_in, sys.path).result()
        asked = (self.plugin, self.given, self.trials, self.capabilities.needs_layers)
        assert self.proposed() == pool.submit(_proposed, *asked).result()

    def check_rejected_and_failed_trials_are_survived(self) -> None:
        self.ran(*self.mixed(), bad=BAD)

    def check_a_search_without_a_single_result_goes_on(self) -> None:
        trials = self.ran(*self.mixed(), bad=dict.fromkeys(range(self.trials), TrialState.FAILED))
        assert len({trial.policy for trial in trials}) > 1

    @cases(lambda suite: [k for k in RESTARTS if k < suite.trials])
    def check_a_restart_goes_on_as_if_uninterrupted(self, k: int) -> None:
        problem, evaluate = self.mixed({"sum": "<= 5"})
        first = starts(problem, evaluate)
        whole = run(told(self.build(problem), first), problem, evaluate, self.trials, bad=BAD)
        rebuilt = told(self.build(problem), [*first, *whole[:k]])
        assert points(run(rebuilt, problem, evaluate, self.trials - k, first=k, bad=BAD)) == points(whole[k:])

    def check_a_restart_goes_on_after_tells_out_of_order(self) -> None:
        problem, evaluate = self.mixed()
        searcher, ledger = self.build(problem), list[Trial]()
        for batch in ([3, 0, 2, 1], [1, 3, 0, 2], [2, 0, 1, 3], [0, 3, 2, 1], [3, 2, 1, 0]):
            pending = [searcher.ask() for _ in batch]
            for place in batch:
                ledger.append(finished(problem, evaluate, pending[place], len(ledger)))
                searcher.tell(ledger[-1])
        rebuilt = told(self.build(problem), ledger)
        assert [rebuilt.ask() for _ in range(3)] == [searcher.ask() for _ in range(3)]

    def check_pending_asks_have_ids_of_their_own(self) -> None:
        problem, evaluate = self.mixed()
        searcher = self.build(problem)
        pending = [searcher.ask() for _ in range(15)]
        searcher.tell(finished(problem, evaluate, pending[9], 0))
        pending += [searcher.ask() for _ in range(5)]
        assert [suggestion.id for suggestion in pending] == list(range(20))

    def check_a_rebuilt_searcher_never_gives_an_id_twice(self) -> None:
        problem, evaluate = self.mixed()
        late = finished(problem, evaluate, Suggestion(6, problem.space.uniform(0.5)), 0)
        assert told(self.build(problem), [late]).ask().id == 7

    def check_policies_that_were_evaluated_before_are_survived(self) -> None:
        problem, evaluate = self.mixed()
        searcher, ledger = self.build(problem), list[Trial]()
        for number in range(self.trials):
            suggestion = searcher.ask()
            assert_in_space(problem.space, suggestion)
            repeats = ledger[number // 2].suggestion.point if number % 3 == 2 else suggestion.point
            trial = finished(problem, evaluate, dataclasses.replace(suggestion, point=repeats), number)
            ledger.append(dataclasses.replace(trial, distinct=trial.policy not in {other.policy for other in ledger}))
            searcher.tell(ledger[-1])
        assert not all(trial.distinct for trial in ledger)
        rebuilt = told(self.build(problem), ledger)
        assert [rebuilt.ask() for _ in range(2)] == [searcher.ask() for _ in range(2)]

    def check_starts_do_not_count_as_asks(self) -> None:
        problem, evaluate = self.mixed()
        assert told(self.build(problem), starts(problem, evaluate)).ask().id == 0

    def check_trials_of_another_searcher_are_taken(self) -> None:
        problem, evaluate = self.mixed()
        other = plugin("searcher", "random")
        others = run(other(problem, other.Options(), 99), problem, evaluate, 24)
        for trial in run(told(self.build(problem), others), problem, evaluate, 5, first=24):
            assert_in_space(problem.space, trial.suggestion)

    def check_a_constant_objective_is_survived(self) -> None:
        self.ran(self.mixed()[0], lambda _: {"near": 1.0, "far": 1.0})

    @cases(lambda _: list(EXTREMES))
    def check_extreme_results_are_survived(self, results: str) -> None:
        """Overflow and singular matrices are the searcher's own affair; it may warn that its model is of no use."""
        (problem, evaluate), count, values = self.mixed({"sum": "<= 5"}), itertools.count(), EXTREMES[results]

        def failing(point: Point) -> dict[str, float]:
            number, usual = next(count), evaluate(point)
            value = values[number % len(values)]
            return {name: usual[name] if value is None else value for name in usual}

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.ran(problem, failing)

    def check_an_exhausted_finite_space_is_survived(self) -> None:
        space = self.fitting(FINITE)
        trials = run(self.build(two_losses(space)), two_losses(space), partial(distances, space), 6 + self.trials)
        assert len({trial.policy for trial in trials}) <= 6

    @cases(lambda suite: [1, 2, 3] if suite.make().capabilities.multi_objective else [1])
    def check_any_number_of_losses_is_taken(self, n_losses: int) -> None:
        space = self.fitting(EVERY_KIND)
        problem = Problem(space, dict.fromkeys(["near", "far", "sum"][:n_losses], "minimize"))
        self.ran(problem, partial(distances, space))

    @cases(lambda suite: ["<= 5", "<= -1"] if suite.make().capabilities.constraints else [])
    def check_constraints_are_taken_where_declared(self, bound: str) -> None:
        self.ran(*self.mixed({"sum": bound, "near": "<= 0.4"}))

    def check_nothing_global_is_touched(self) -> None:
        problem, evaluate = self.mixed()
        before = global_state()
        with assert_writes_nothing():
            run(self.build(problem), problem, evaluate, self.trials, bad=BAD)
        assert global_state() == before

    def check_a_trial_without_a_policy_is_survived(self) -> None:
        problem, _ = self.mixed()
        searcher = self.build(problem)
        bad = without_result(problem, searcher.ask(), 0, TrialState.REJECTED)
        searcher.tell(dataclasses.replace(bad, policy=None))
        assert_in_space(problem.space, searcher.ask())


def starts(problem: Problem, evaluate: Evaluate) -> list[Trial]:
    """Three trials that the study brought itself."""
    levels = {n: (problem.space.uniform(at), {"start": f"ladder {at:g}"}) for n, at in enumerate((0, 0.5, 1))}
    return [finished(problem, evaluate, Suggestion(-1 - n, *start), n) for n, start in levels.items()]


def assert_in_space(space: SearchSpace, suggestion: Suggestion) -> None:
    """Fails unless the point is of the space, in the types of its distributions, and JSON."""
    space.check(suggestion.point)
    for key, distribution in space.distributions.items():
        value = suggestion.point[key]
        exact = distribution.to_external_repr(distribution.to_internal_repr(value))
        assert (type(value), value) == (type(exact), exact)
    for content in (dict(suggestion.point), dict(suggestion.notes)):
        assert json.loads(json.dumps(content)) == content


def global_state() -> tuple[Any, ...]:
    """What a searcher could touch that is not its own."""
    numpy_state = np.random.get_state()[1].tobytes()  # type: ignore[index]  # noqa: NPY002
    torch_state = (torch.get_rng_state().numpy().tobytes(), torch.get_num_threads())
    return random.getstate(), numpy_state, torch_state, optuna.logging.get_verbosity(), logging.root.manager.disable


@contextmanager
def assert_writes_nothing() -> Iterator[None]:
    """Fails where the block writes to standard output or standard error, also below Python."""
    written, kept = io.StringIO(), [os.dup(1), os.dup(2)]
    with TemporaryFile() as below:
        try:
            os.dup2(below.fileno(), 1)
            os.dup2(below.fileno(), 2)
            with redirect_stdout(written), redirect_stderr(written):
                yield
        finally:
            for number, copy in enumerate(kept, 1):
                os.dup2(copy, number)
                os.close(copy)
        below.seek(0)
        assert (written.getvalue(), below.read()) == ("", b"")


@cache
def _elsewhere() -> ProcessPoolExecutor:
    """Another process, in which strings hash otherwise."""
    pool = ProcessPoolExecutor(1, get_context("spawn"))
    with patch.dict(os.environ, {"PYTHONHASHSEED": "12345"}):
        pool.submit(_look_in, sys.path).result()
    return pool


def _look_in(path: list[str]) -> None:
    sys.path[:] = path


def _proposed(plugin: type[Any], given: Mapping[str, Any], trials: int, layered: bool) -> list[dict[str, Any]]:
    return SearcherSuite(plugin, given, trials, layered=layered).proposed()
