from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from moco.problem import Problem
from moco.searchers.binary_search import BinarySearchSearcher, all_thresholds, below
from moco.searchers.steps.measured_curves import Alternative
from moco.searchers.steps.steps_then_line import StepsOptions, next_position
from moco.space import LayerGroup
from moco.testing.loop import points, run, told
from moco.trial import Trial, TrialState
from tests.searchers.baselines import SENSITIVITY, evaluate, pruning

WAYS = {
    "a": [Alternative({"a": 1}, 0.1, 1.0), Alternative({"a": 2}, 0.4, 3.0), Alternative({"a": 3}, 0.4, 2.0)],
    "b": [Alternative({"b": 1}, 0.2, 5.0), Alternative({"b": 2}, 0.3, 0.0)],
}


def searched(problem: Problem, n: int, **options: int) -> list[Trial]:
    return run(BinarySearchSearcher(problem, StepsOptions(**options), seed=0), problem, evaluate, n)  # type: ignore[arg-type]


def every_policy() -> list[dict[str, float]]:
    keep = [k / 8 for k in range(1, 9)]
    return [evaluate({"a.keep": a, "b.keep": b, "c.keep": c}) for a, b, c in product(keep, repeat=3)]


def test_each_unit_goes_as_far_as_the_threshold_lets_it() -> None:
    line = all_thresholds({"a": 0, "b": 0}, WAYS)
    assert [line.at(position) for position in range(line.size)] == [
        {"a": 0, "b": 0},
        {"a": 1, "b": 0},
        {"a": 1, "b": 1},
        {"a": 2, "b": 1},
    ]
    assert below(0.05, WAYS["a"]) is None


def test_the_ends_come_first_and_then_the_halves() -> None:
    feasible: dict[int, bool | None] = {}
    order = []
    while (position := next_position(9, feasible)) is not None:
        order.append(position)
        feasible[position] = True
    assert order == [0, 8, 4, 2, 6, 1, 3, 5, 7]


def test_the_place_where_feasibility_changes_is_found_in_log2_positions() -> None:
    """Of 1,025 positions those from 618 on miss the bound: 2 ends and 10 halvings, and only then other gaps."""
    feasible: dict[int, bool | None] = {}
    for _ in range(12):
        position = next_position(1025, feasible)
        assert position is not None
        feasible[position] = position < 618
    assert feasible[617] is True
    assert feasible[618] is False
    assert next_position(1025, feasible) in (256, 820)


def test_a_position_without_a_result_splits_its_gap_only() -> None:
    assert next_position(9, {0: True, 8: False, 4: None}) == 2
    assert next_position(9, {0: True, 8: False, 4: None, 2: False}) == 1


def widths(trials: list[Trial]) -> list[tuple[int, ...]]:
    return [tuple(width for width, _ in trial.policy.settings.values()) for trial in trials if trial.policy]


def by_hand() -> list[tuple[int, ...]]:
    """The policies of all thresholds: of each layer the least width whose own loss is no larger."""
    lost = {name: {w: s * (1 - w / 8) ** 2 for w in range(1, 9)} for name, s in SENSITIVITY.items()}
    thresholds = sorted({loss for of in lost.values() for loss in of.values()})
    line = [tuple(min(w for w, loss in of.items() if loss <= t) for of in lost.values()) for t in thresholds]
    return list(dict.fromkeys(line))


def test_the_line_is_that_of_a_second_implementation() -> None:
    """Seven levels measure every width; after the 22 single steps the whole line is seen, and nothing else."""
    line = by_hand()
    trials = searched(pruning(), 22 + len(line) - 2, levels=7)  # both ends lie in the line, neutral was a single step
    seen = set(widths(trials[:22])) | set(widths(trials[22:]))
    assert len(line) > 15
    assert set(line) <= seen
    assert set(widths(trials[22:])) <= set(line)


def test_a_bound_on_an_exact_cost_is_met_without_a_trial_that_misses_it() -> None:
    """The first trial after the single steps lies at the bound: the search before it was free."""
    problem = pruning({"macs": "<= 0.5x"}, losses=("error",))
    trials = searched(problem, 26, levels=7)[22:]
    at_the_bound = next(policy for policy in by_hand() if 600 * policy[0] + 300 * policy[1] + 100 * policy[2] <= 4000)
    assert all(trial.feasible for trial in trials)
    assert widths(trials)[0] == at_the_bound


def test_a_floor_is_found_by_bisection() -> None:
    problem = pruning({"error": "<= 0.5"})
    trials = searched(problem, 20, levels=4)
    best = min(values["macs"] for values in every_policy() if values["error"] <= 0.5)
    assert min(trial.outcome.losses[1] for trial in trials if trial.feasible and trial.outcome) <= 1.2 * best


def with_features(keys: str) -> Problem:
    """The problem with a sensitivity analysis of these layers in its features."""
    problem = pruning({"macs": "<= 0.5x"}, losses=("error",))
    groups = tuple(
        LayerGroup(
            group.name,
            group.parameters,
            group.layers,
            {f"kl_keep_{k / 10:g}": SENSITIVITY[group.name] * (1 - k / 10) ** 2 for k in range(1, 11)}
            if group.name in keys
            else {},
        )
        for group in problem.space.groups
    )
    return replace(problem, space=replace(problem.space, groups=groups))


def test_features_take_the_place_of_single_steps() -> None:
    first = searched(with_features("abc"), 2)
    assert [sum(value < 1 for value in trial.suggestion.point.values()) for trial in first] == [0, 3]
    assert first[1].feasible


@pytest.mark.parametrize(("keys", "features"), [("ab", True), ("abc", False)])
def test_single_steps_are_asked_where_a_feature_is_missing_or_not_wanted(keys: str, features: bool) -> None:
    first = searched(with_features(keys), 7, features=features)
    assert [sum(value < 1 for value in trial.suggestion.point.values()) for trial in first] == [0, 1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("k", range(0, 30, 4))
def test_a_restart_goes_on_the_same(k: int) -> None:
    problem, bad = pruning({"error": "<= 0.5"}), {0: TrialState.FAILED, 3: TrialState.FAILED, 10: TrialState.REJECTED}
    whole = run(BinarySearchSearcher(problem, StepsOptions(), seed=5), problem, evaluate, 30, bad=bad)
    rebuilt = told(BinarySearchSearcher(problem, StepsOptions(), seed=5), whole[:k])
    assert points(run(rebuilt, problem, evaluate, 30 - k, first=k, bad=bad)) == points(whole[k:])
