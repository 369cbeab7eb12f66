"""`moco.search` on any callable: the published example, what a callable may give, and every searcher."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

import moco
from moco.app.search_function import as_metric
from moco.errors import ConfigError, PolicyRejectedError
from moco.interfaces import SearcherCapabilities
from moco.registry import BUILT_IN, names, plugin
from moco.searchers.random import RandomSearcher
from moco.study import SearchAbortedError, Start
from moco.trial import MetricValue, TrialState
from tests.contracts.test_plug_ins import NOT_RANDOM

SPACE = {"layer1.keep": FloatDistribution(0.1, 1.0), "layer1.bits": IntDistribution(2, 8)}


def problem(**changes: Any) -> moco.Problem:
    given: dict[str, Any] = {
        "space": SPACE,
        "objectives": {"top1_error": "minimize", "cost": "minimize"},
        "constraints": {"top1_error": "<= 0.10"},
    }
    return moco.Problem(**{**given, **changes})


def evaluate(point: Any) -> dict[str, Any]:
    """Fewer bits and channels cost less and err more."""
    size = point["layer1.keep"] * point["layer1.bits"] / 8
    return {"top1_error": (0.2 * (1 - size) ** 2, 0.001), "cost": size}


def test_the_example_of_the_design() -> None:
    result = moco.search(problem(), evaluate, searcher="nsga2", trials=100, seed=0)
    assert len(result.trials) == 100
    assert [trial.number for trial in result.trials] == list(range(100))
    best = result.best
    assert best is not None
    assert best.feasible
    assert best.evaluation is not None
    assert best.evaluation.metrics["top1_error"].value <= 0.10
    assert best.evaluation.metrics["top1_error"].sem == 0.001
    assert best.score == max(trial.score for trial in result.trials if trial.feasible)
    assert best in result.front
    assert all(trial.feasible for trial in result.front)
    assert 0.3 < result.hypervolume({"top1_error": 1.0, "cost": 1.0}) < 1


def test_the_callable_gets_a_dict_of_the_spaces_values() -> None:
    points = []

    def watched(point: Any) -> dict[str, Any]:
        points.append(dict(point))
        return evaluate(point)

    moco.search(problem(), watched, searcher="random", trials=5)
    assert [set(point) for point in points] == [{"layer1.keep", "layer1.bits"}] * 5
    assert all(isinstance(point["layer1.bits"], int) and 0.1 <= point["layer1.keep"] <= 1 for point in points)


@pytest.mark.parametrize(
    "value",
    [
        "0.05",
        b"1",
        np.str_("1"),
        True,
        np.bool_(1),
        np.array("1"),
        torch.tensor(True),
        1j,
        np.complex64(1),
        10**400,
        {},
    ],
)
def test_what_is_no_number_is_refused_though_python_would_convert_it(value: object) -> None:
    for given in (value, (0.5, value)):
        with pytest.raises(ValueError, match="'cost': expected a number"):
            as_metric("cost", given)


@pytest.mark.parametrize("value", [1, 1.0, np.float32(1), np.uint8(1), np.array(1.0), torch.tensor(1), Fraction(1)])
def test_numbers_of_any_library_are_taken(value: object) -> None:
    assert as_metric("cost", (value, value)) == MetricValue(1.0, 1.0)


@pytest.mark.parametrize("searcher", ["random", "tpe", "greybox", "nsga2", "evolution"])
def test_a_callable_that_changes_its_point_changes_no_record(searcher: str) -> None:
    seen = []

    def spoils(point: Any) -> dict[str, Any]:
        seen.append(dict(point))
        found = evaluate(point)
        point.pop("layer1.keep")
        point["note"] = "mine"
        return found

    def hears(trial: Any) -> None:
        trial.point.clear()
        trial.evaluation.metrics.clear()

    result = moco.search(problem(), spoils, searcher=searcher, trials=12, on_trial=hears)
    assert [dict(trial.point) for trial in result.trials] == seen
    assert len(result.trials) == 12


def test_a_callback_that_fails_is_named_and_the_trials_are_kept() -> None:
    def fails(trial: Any) -> None:
        if trial.number == 2:
            raise KeyError("mine\nand yours")

    with pytest.raises(SearchAbortedError, match=r"^on_trial failed: KeyError: 'mine\\nand yours'$") as ended:
        moco.search(problem(), evaluate, searcher="random", trials=12, on_trial=fails)
    assert len(ended.value.trials) == 3


@pytest.mark.slow
def test_a_huge_loss_does_not_end_a_search_of_ax() -> None:
    """A failure that is written as a number; Ax cannot cast the objective's range then."""
    called = itertools.count(1)

    def failing(point: Any) -> dict[str, Any]:
        return evaluate(point) if next(called) % 3 else {"top1_error": 0.0, "cost": 1e300}

    with pytest.warns(UserWarning, match="could not propose by its model"):
        result = moco.search(problem(), failing, searcher="ax", trials=8)
    assert [trial.state for trial in result.trials] == [TrialState.COMPLETE] * 8


SEARCHERS = [
    pytest.param(name, marks=pytest.mark.slow) if name in {"ax", "botorch"} else name for name in names("searcher")
]


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_every_searcher_takes_any_callable_and_repeats_itself(searcher: str) -> None:
    if plugin("searcher", searcher).capabilities.needs_layers:
        with pytest.raises(ConfigError, match="it walks over layer groups, which a plain space does not have"):
            moco.search(problem(), evaluate, searcher=searcher, trials=12)
        return
    trials = 8 if searcher == "ax" else 12  # three of Ax's model, that takes seconds for each
    first, again, other = (
        moco.search(problem(), evaluate, searcher=searcher, trials=trials, seed=seed) for seed in (1, 1, 2)
    )
    assert [trial.point for trial in first.trials] == [trial.point for trial in again.trials]
    same = [trial.point for trial in first.trials] == [trial.point for trial in other.trials]
    assert same is (searcher in NOT_RANDOM)


def test_trials_that_raise_or_give_no_number_fail_with_their_reason() -> None:
    answers: list[Any] = [
        RuntimeError("no memory"),
        PolicyRejectedError("two bits are too few"),
        {"top1_error": math.nan, "cost": 1.0},
        {"top1_error": 0.05, "costs": 1.0},
        {"top1_error": (0.05, math.inf), "cost": 1.0},
        evaluate({"layer1.keep": 1.0, "layer1.bits": 8}),
        {"top1_error": "low", "cost": 1.0},
        {"top1_error": (0.05, None), "cost": 1},
        {"top1_error": (0.05, 0.1, 3), "cost": 1},
        None,
        [0.05, 1.0],
        {"top1_error": (0.05, -0.1), "cost": 1.0},
    ]
    given = iter(answers)

    def fickle(_: Any) -> Any:
        answer = next(given)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with pytest.warns(UserWarning, match="9 of 12 trials failed, the first with: RuntimeError: no memory"):
        result = moco.search(problem(), fickle, searcher="random", trials=len(answers))
    trials = result.trials
    assert result.failed == [trial for trial in trials if trial.state is TrialState.FAILED]
    states = [trial.state for trial in trials]
    failed, complete = TrialState.FAILED, TrialState.COMPLETE
    assert states == [
        failed, TrialState.REJECTED, failed, failed, failed, complete, failed, complete, failed, failed, failed, failed,
    ]  # fmt: skip
    assert trials[0].reason == "RuntimeError: no memory"
    assert trials[1].reason == "two bits are too few"
    assert "not a finite number" in str(trials[2].reason)
    assert "the evaluation gives no 'cost'; did you mean 'costs'?" in str(trials[3].reason)
    assert trials[6].reason == "ValueError: 'top1_error': expected a number or (number, standard error), got 'low'"
    assert "got (0.05, 0.1, 3)" in str(trials[8].reason)
    assert trials[9].reason == "TypeError: expected {name: number} of the callable, got None"
    assert trials[10].reason == "TypeError: expected {name: number} of the callable, got [0.05, 1.0]"
    assert "got (0.05, -0.1)" in str(trials[11].reason)
    assert all(trial.outcome is None and trial.score is None for trial in trials if trial.state is not complete)


def test_a_callable_that_always_fails_ends_the_search_and_the_trials_are_kept() -> None:
    def broken(_: Any) -> Any:
        raise ValueError("broken")

    with pytest.raises(SearchAbortedError, match="ValueError: broken") as caught:
        moco.search(problem(), broken, searcher="random", trials=50)
    assert len(caught.value.trials) == 5
    assert "ledger" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:.*trials failed")
def test_a_callable_that_raises_on_half_of_the_space_is_searched_to_the_end() -> None:
    """Rows of more than five failures are common then; the first start succeeds, so they are no sign of the end."""

    def half(point: Any) -> dict[str, Any]:
        if point["layer1.keep"] > 0.55:
            raise MemoryError("too large")
        return evaluate(point)

    small = [{"layer1.keep": 0.3, "layer1.bits": 4}]
    for seed in range(20):
        found = moco.search(problem(), half, searcher="random", trials=100, seed=seed, start=small)
        assert len(found.trials) == 100
        assert 20 < len(found.failed) < 80


@pytest.mark.parametrize("searcher", ["random", "nsga2", "tpe"])
@pytest.mark.parametrize(
    "wrong",
    [RuntimeError("lost"), {"top1_error": math.nan, "cost": 1.0}, {"top1_eror": 0.1, "cost": 1.0}, {}, "0.1"],
    ids=["raises", "NaN", "wrong names", "no names", "text"],
)
def test_any_wrong_answer_fails_its_trial_and_five_in_a_row_end_the_search(wrong: Any, searcher: str) -> None:
    calls = 0

    def now_and_then(point: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls % 3:
            return evaluate(point)
        if isinstance(wrong, Exception):
            raise wrong
        return wrong

    with pytest.warns(UserWarning, match="of 20 trials failed"):
        trials = moco.search(problem(), now_and_then, searcher=searcher, trials=20).trials
    failed = [trial for trial in trials if trial.state is TrialState.FAILED]
    assert len(trials) == 20
    assert len(failed) >= 4
    assert all(trial.reason for trial in failed)

    def always(_: Any) -> Any:
        if isinstance(wrong, Exception):
            raise wrong
        return wrong

    with pytest.raises(SearchAbortedError, match=r"^the last 5 trials failed, the last one \(trial 4\) with: "):
        moco.search(problem(), always, searcher=searcher, trials=20)


class Sequential:
    """Walks over layer groups and takes numbers alone; it must not even be built for another problem."""

    capabilities = SearcherCapabilities(categorical=False, needs_layers=True)

    def __init__(self, *_: Any) -> None:
        raise AssertionError("built for a problem that it cannot take")


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (SPACE, r"^searcher: 'own' does not fit this problem: it walks over layer groups, .*; choose another one"),
        (
            {**SPACE, "precision": CategoricalDistribution(["float32", "int8"])},
            r"^searcher: 'own' does not fit .*: it takes no categorical parameters, the space has 'precision'; choose",
        ),
    ],
)
def test_a_searcher_that_does_not_fit_is_refused_before_it_is_built(
    monkeypatch: pytest.MonkeyPatch, space: Any, message: str
) -> None:
    monkeypatch.setitem(BUILT_IN["searcher"], "own", f"{__name__}:Sequential")
    with pytest.raises(ConfigError, match=message):
        moco.search(problem(space=space), evaluate, searcher="own")


class Slow(RandomSearcher):
    """Made for few trials."""

    capabilities = SearcherCapabilities(max_trials=3)


def test_more_trials_than_the_searcher_is_made_for_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BUILT_IN["searcher"], "slow", f"{__name__}:Slow")
    moco.search(problem(), evaluate, searcher="slow", trials=3)
    message = "^budget.trials: 4 is more than the 3 that 'slow' is made for; it becomes slow$"
    with pytest.warns(UserWarning, match=message) as told:
        moco.search(problem(), evaluate, searcher="slow", trials=4)
    assert [warning.filename for warning in told] == [__file__]


def test_an_option_without_effect_is_told() -> None:
    with pytest.warns(UserWarning, match=r"^searcher\.repair: 'shrink' has no effect: no bound is '<='") as told:
        moco.search(problem(), evaluate, searcher="cmaes", options={"repair": "shrink"}, trials=3)
    assert len(told) == 1


def test_starts_may_be_points_and_may_be_given() -> None:
    light, heavy = {"layer1.keep": 0.9, "layer1.bits": 8}, {"layer1.keep": 0.3, "layer1.bits": 4}
    start = [light, Start("known", heavy, given=True), "reference"]
    trials = moco.search(problem(), evaluate, searcher="random", trials=4, start=start).trials
    assert [trial.origin for trial in trials] == ["known", "point 0", "reference", "search", "search"]
    assert [dict(trial.point) for trial in trials][:2] == [heavy, light]
    assert len(trials) == 5
    with pytest.raises(ConfigError, match=r"^start\[0\]: point: unknown parameter 'layer1\.kep'"):
        moco.search(problem(), evaluate, start=[{"layer1.kep": 1.0}])


def test_where_nothing_is_feasible_the_best_is_what_misses_least() -> None:
    impossible = problem(constraints={"top1_error": "<= -0.1"})
    result = moco.search(impossible, evaluate, searcher="random", trials=20)
    assert result.front == []
    assert result.best is not None
    assert not result.best.feasible
    errors = [trial.evaluation.metrics["top1_error"].value for trial in result.trials if trial.evaluation]
    assert result.best.evaluation is not None
    assert result.best.evaluation.metrics["top1_error"].value == min(errors)
    assert result.hypervolume({"top1_error": 1, "cost": 1}) == 0


def test_an_objective_may_be_maximised() -> None:
    both = problem(objectives={"accuracy": "maximize", "cost": "minimize"}, constraints={"accuracy": ">= 50 %"})

    def measured(point: Any) -> dict[str, float]:
        return {"accuracy": point["layer1.keep"], "cost": point["layer1.keep"] ** 2}

    result = moco.search(both, measured, searcher="random", trials=30)
    assert result.front
    assert all(trial.point["layer1.keep"] >= 0.5 for trial in result.front)
    assert 0 < result.hypervolume({"accuracy": 0.0, "cost": 1.0}) < 1


def test_starts_come_first_and_count() -> None:
    space = {**SPACE, "precision": CategoricalDistribution(["float32", "int8"])}

    def seen(start: str) -> list[str]:
        found = moco.search(problem(space=space), evaluate, searcher="random", trials=4, start=start).trials
        assert len(found) == 4
        return [trial.origin for trial in found]

    assert seen("none") == ["search"] * 4
    assert seen("reference")[1:] == ["search"] * 3
    assert "search" not in seen("ladder")


def test_progress_is_told_trial_by_trial_and_time_limits_the_search() -> None:
    heard: list[int] = []
    moco.search(problem(), evaluate, searcher="random", trials=4, on_trial=lambda trial: heard.append(trial.number))
    assert heard == [0, 1, 2, 3]
    assert len(moco.search(problem(), evaluate, searcher="random", trials=10**6, seconds=0.05).trials) < 10**5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"searcher": "nsga-2"}, "nsga2"),
        ({"searcher": "nsga2", "options": {"poplation": 3}}, r"options\.poplation: unknown key.*population"),
        ({"searcher": "nsga2", "options": {"population": 1}}, "population"),
        ({"trials": 0}, "trials: expected at least 1"),
        ({"start": "ladders"}, "ladder"),
        ({"trials": 2.5}, r"^trials: expected at least 1, a whole number, got 2\.5"),
        ({"trials": True}, r"^trials: expected at least 1, a whole number, got True"),
        ({"seconds": "10"}, r"^seconds: expected a number above 0, or None for no limit, got '10'"),
        ({"seconds": -1}, r"^seconds: expected a number above 0, or None for no limit, got -1"),
        ({"seconds": 0.0}, r"^seconds: expected a number above 0, or None for no limit, got 0\.0"),
        ({"seconds": math.nan}, r"^seconds: expected a number above 0, or None for no limit, got nan"),
        ({"seconds": math.inf}, r"^seconds: expected a number above 0, or None for no limit, got inf"),
        ({"seconds": 10**400}, r"^seconds: expected a number above 0, or None for no limit, got 1000"),
        ({"seconds": True}, r"^seconds: expected a number above 0, or None for no limit, got True"),
        ({"seed": "a"}, r"^seed: expected at least 0, a whole number, got 'a'"),
        ({"seed": -1}, r"^seed: expected at least 0, a whole number, got -1"),
        ({"seed": None}, r"^seed: expected at least 0, a whole number, got None"),
        ({"seed": 1.0}, r"^seed: expected at least 0, a whole number, got 1\.0"),
        ({"options": [1]}, r"^options: expected \{option: value\}, got \[1\]"),
        ({"options": {1: 2}}, r"^options: the key 1 is not text"),
        ({"start": 5}, r"^start: expected 'none', 'reference' or 'ladder', or a list .*, got 5"),
        ({"start": {"layer1.keep": 1.0}}, r"^start: expected .* a list of these, of points .*, got \{'layer1\.keep'"),
        ({"start": ["none", 5]}, r"^start\[1\]: expected a word, a point or a Start of a point, got 5"),
        ({"start": [Start("mine", 5)]}, r"^start\[0\]: expected .* a Start of a point, got Start"),  # type: ignore[arg-type]
        ({"on_trial": 5}, r"^on_trial: expected a function of a trial, got 5"),
    ],
)
def test_what_a_search_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        moco.search(problem(), evaluate, **arguments)


@pytest.mark.parametrize("given", [None, SPACE, moco.Problem])
def test_what_is_no_problem_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"^problem: expected a moco\.Problem, got "):
        moco.search(given, evaluate)


def test_what_cannot_be_called_is_refused_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match=r"^evaluate: expected a function of a point .*, got \{'cost': 1\}"):
        moco.search(problem(), {"cost": 1})  # type: ignore[arg-type]


def test_numbers_may_be_numpys() -> None:
    given: dict[str, Any] = {"trials": np.int64(5), "seconds": np.float32(60), "seed": np.uint8(3)}
    numpys = moco.search(problem(), evaluate, searcher="random", **given)
    plain = moco.search(problem(), evaluate, searcher="random", trials=5, seed=3)
    assert [trial.point for trial in numpys.trials] == [trial.point for trial in plain.trials]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": [1]}, "space: expected"),
        ({"objectives": {}}, "objectives: expected at least one"),
        ({"objectives": {"cost": "smaller"}}, r"objectives\.cost: expected 'minimize'"),
        ({"constraints": {"cost": "below 1"}}, "cost"),
        ({"constraints": {"cost": "<= 0.5x"}}, "cost"),
    ],
)
def test_what_a_problem_refuses(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        problem(**changes)


def test_a_hypervolume_needs_its_reference_point() -> None:
    result = moco.search(problem(), evaluate, searcher="random", trials=3)
    with pytest.raises(ConfigError, match="hypervolume: give a reference point"):
        result.hypervolume()
    with pytest.raises(ConfigError, match="'cost' is missing"):
        result.hypervolume({"top1_error": 1.0})
    with pytest.raises(ConfigError, match=r"^reference_point: expected \{objective: value\}, got \(1, 1\)"):
        result.hypervolume((1, 1))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^reference_point\.cost: expected a number, got nan"):
        result.hypervolume({"top1_error": 1.0, "cost": math.nan})


def test_a_searcher_may_come_with_its_options_and_a_budget_is_a_number() -> None:
    named = moco.search(problem(), evaluate, searcher={"name": "nsga2", "population": 4}, trials=9)
    beside = moco.search(problem(), evaluate, searcher="nsga2", options={"population": 4}, trials=9)
    assert [trial.point for trial in named.trials] == [trial.point for trial in beside.trials]
    with pytest.raises(ConfigError, match=r"^searcher: expected a searcher's name, or .*, got \{\}"):
        moco.search(problem(), evaluate, searcher={})
    with pytest.raises(ConfigError, match=r"^trials: expected at least 1, a whole number, got 'ten'"):
        moco.search(problem(), evaluate, trials="ten")  # type: ignore[arg-type]
