"""What is told of strategies before they run: options that have no effect on the problem at hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from optuna.distributions import FloatDistribution

from moco.experiment.strategies import strategies_of
from moco.problem import Problem
from moco.registry import plugin
from moco.space import SearchSpace
from moco.strategy import Strategy, failure_warnings, idle_options
from moco.trial import Suggestion, Trial, TrialState
from tests.searchers.layered import layered_problem

LAYERED = layered_problem()


def problem(constraints: dict[str, str], features: dict[str, float] | None = None) -> Problem:
    """The layer problem with those bounds, and those features of its first layer."""
    first, *others = LAYERED.space.groups
    space = replace(LAYERED.space, groups=(replace(first, features=features or {}), *others))
    return Problem(space, LAYERED.objectives, constraints, derived=LAYERED.derived)


def told(searcher: str, given: Problem, **options: Any) -> list[str]:
    return idle_options([Strategy("searcher", searcher, plugin("searcher", searcher).Options(**options))], given)


CHOSEN = [
    ("ddpg", "bounds", "fill"),
    ("ddpg", "bounds", "shrink"),
    ("ppo", "bounds", "wall"),
    ("cmaes", "repair", "shrink"),
]


@pytest.mark.parametrize(("searcher", "option", "value"), CHOSEN)
@pytest.mark.parametrize("constraints", [{}, {"top1_error": "<= 0.15"}, {"macs": ">= 20"}])
def test_keeping_bounds_has_no_effect_where_none_is_on_exact_costs(
    searcher: str, option: str, value: str, constraints: dict[str, str]
) -> None:
    reason = "no bound is '<=' on a cost that the space computes exactly (macs, bops)"
    assert told(searcher, problem(constraints), **{option: value}) == [
        f"searcher.{option}: '{value}' has no effect: {reason}"
    ]


@pytest.mark.parametrize(("searcher", "option", "value"), CHOSEN)
def test_keeping_bounds_has_no_effect_where_no_policy_meets_them(searcher: str, option: str, value: str) -> None:
    assert told(searcher, problem({"macs": "<= 15", "bops": "<= 9000"}), **{option: value}) == [
        f"searcher.{option}: '{value}' has no effect: even the lightest policy misses the bounds on macs, bops"
    ]


@pytest.mark.parametrize(("searcher", "option", "value"), CHOSEN)
def test_nothing_is_told_where_a_bound_is_kept(searcher: str, option: str, value: str) -> None:
    assert told(searcher, problem({"top1_error": "<= 0.15", "macs": "<= 40"}), **{option: value}) == []


@pytest.mark.parametrize(
    ("searcher", "options"),
    [
        ("random", {}),
        ("cmaes", {}),
        ("cmaes", {"repair": "fill"}),
        ("cmaes", {"repair": "none"}),
        ("ddpg", {}),
        ("ddpg", {"bounds": "none"}),
        ("ddpg", {"bounds": "wall"}),
        ("ppo", {"bounds": "fill"}),
    ],
)
def test_a_default_without_effect_is_no_news(searcher: str, options: dict[str, Any]) -> None:
    assert told(searcher, problem({}), **options) == []


def test_a_plain_space_computes_no_costs() -> None:
    plain = Problem(SearchSpace({"x": FloatDistribution(0, 1)}), {"loss": "minimize"}, {"macs": "<= 1"})
    (text,) = told("cmaes", plain, repair="shrink")
    assert text.endswith("no bound is '<=' on a cost that the space computes exactly")


@pytest.mark.parametrize("searcher", ["ddpg", "ppo"])
def test_a_state_with_sensitivities_needs_an_analysis(searcher: str) -> None:
    (text,) = told(searcher, problem({}, {"macs": 10.0}), state="s3")
    assert text.startswith(
        "searcher.state: 's3' shows no sensitivities: no layer has features kl_*, which space.sensitivity"
    )
    assert told(searcher, problem({}, {"macs": 10.0, "kl_keep": 0.1}), state="s3") == []
    assert told(searcher, problem({}), state="s1") == []


def test_each_contender_is_told_of_by_its_label() -> None:
    pair = strategies_of([{"name": "ddpg", "label": "walker", "bounds": "fill"}, {"name": "cmaes", "repair": "shrink"}])
    assert [text.partition(":")[0] for text in idle_options(pair, problem({}))] == ["walker.bounds", "cmaes.repair"]


def failing(*texts: Any) -> Trial:
    return Trial(0, Suggestion(0, {}, {"failures": list(texts)}), TrialState.COMPLETE, {})


def test_a_failure_of_the_searcher_is_told_once_with_its_count() -> None:
    trials = [failing("could not learn: inf"), failing(), failing("could not learn: inf", "could not\npropose", 3)]
    assert failure_warnings(trials) == ["the searcher could not learn: inf (2 times)", "the searcher could not propose"]
    assert failure_warnings([Trial(0, Suggestion(0, {}, {"failures": 7}), TrialState.COMPLETE, {})]) == []


def test_of_many_different_failures_some_are_told() -> None:
    (*told, rest) = failure_warnings([failing(f"could not learn: {n}") for n in range(12)], "cmaes")
    assert len(told) == 5
    assert rest == "cmaes failed 7 more times, for other reasons"
