from __future__ import annotations

from typing import Any

import pytest

from moco.errors import ConfigError
from moco.problem import Problem
from moco.searchers.greedy import GreedyOptions, GreedySearcher
from moco.testing.loop import finished, points, run, told, without_result
from moco.trial import Trial, TrialState
from tests.searchers.baselines import MACS, SENSITIVITY, evaluate, pruning


def searched(problem: Problem, n: int, **options: Any) -> list[Trial]:
    return run(GreedySearcher(problem, GreedyOptions(**options), seed=0), problem, evaluate, n)


def widths(trials: list[Trial]) -> list[tuple[int, ...]]:
    return [tuple(width for width, _ in trial.policy.settings.values()) for trial in trials if trial.policy]


def by_hand(steps: int) -> list[tuple[int, ...]]:
    """The policies that greedy descent takes on the layers a, b, c, all steps tried at every round.

    A second implementation on widths in eighths: the next step is to the next lower of round(8 (1 - 7/8 k / steps)).
    """
    grid = list(dict.fromkeys(max(1, round(8 * (1 - 0.875 * k / steps))) for k in range(steps + 1)))
    state, path = dict.fromkeys(MACS, 8), []

    def error(kept: dict[str, int]) -> float:
        return sum(SENSITIVITY[name] * (1 - kept[name] / 8) ** 2 for name in MACS)

    while True:
        path.append(tuple(state.values()))
        rated = []
        for name in MACS:
            lower = [width for width in grid if width < state[name]]
            if lower:
                after = {**state, name: lower[0]}
                saved = sum(MACS[n] * (state[n] - after[n]) / 8 for n in MACS)
                rated.append(((error(after) - error(state)) / saved, after))
        if not rated:
            return path
        state = min(rated, key=lambda pair: pair[0])[1]


def test_the_path_is_that_of_a_second_implementation() -> None:
    """With a shortlist of all layers; what it evaluates holds the whole path, in its order."""
    trials = searched(pruning(), 40, steps=4, shortlist=3)
    path = by_hand(4)
    assert len(path) > 10
    places = [widths(trials).index(policy) for policy in path]
    assert places == sorted(places)


def test_a_shortlist_takes_fewer_trials_to_the_far_end() -> None:
    needed = {n: widths(searched(pruning(), 40, steps=4, shortlist=n)).index((1, 1, 1)) for n in (1, 3)}
    assert needed[1] < needed[3]
    assert needed[1] >= 12, "12 single steps lead there"


def test_the_first_round_tries_every_layer_from_neutral() -> None:
    assert widths(searched(pruning(), 4)) == [(8, 8, 8), (6, 8, 8), (8, 6, 8), (8, 8, 6)]


def test_later_descents_take_shorter_steps() -> None:
    trials = searched(pruning(), 60)
    far = widths(trials).index((1, 1, 1))
    assert any(7 in policy for policy in widths(trials)[far:])
    assert not any(7 in policy for policy in widths(trials)[:far])


def test_a_floor_is_not_crossed() -> None:
    """Of what is proposed, what is feasible costs less and less; the cheapest lies near the best of all policies."""
    problem = pruning({"error": "<= 0.5"})
    trials = searched(problem, 60)
    cheapest = min(trial.outcome.losses[1] for trial in trials if trial.feasible and trial.outcome)
    keep = [k / 8 for k in range(1, 9)]
    every = [evaluate({"a.keep": a, "b.keep": b, "c.keep": c}) for a in keep for b in keep for c in keep]
    best = min(values["macs"] for values in every if values["error"] <= 0.5)
    assert cheapest <= 1.1 * best


def test_a_budget_is_met_with_little_loss() -> None:
    problem = pruning({"macs": "<= 0.5x"}, losses=("error",))
    trials = searched(problem, 60)
    least = min(trial.outcome.losses[0] for trial in trials if trial.feasible and trial.outcome)
    keep = [k / 8 for k in range(1, 9)]
    every = [evaluate({"a.keep": a, "b.keep": b, "c.keep": c}) for a in keep for b in keep for c in keep]
    assert least <= 1.2 * min(values["error"] for values in every if values["macs"] <= 500)


def test_what_must_be_measured_is_learned_from_trials() -> None:
    """The latency orders policies as the macs do, so the first descent is the same."""
    problem = pruning(losses=("error", "latency_ms"))
    assert widths(searched(problem, 25)) == widths(searched(pruning(), 25))


def test_a_layer_whose_step_is_rejected_is_passed_over() -> None:
    """Layer a cannot be pruned here; the others go to their far ends all the same."""
    problem, trials = pruning(), []
    searcher = GreedySearcher(problem, GreedyOptions(), seed=0)
    for number in range(30):
        suggestion = searcher.ask()
        if suggestion.point["a.keep"] < 1.0:
            trials.append(without_result(problem, suggestion, number, TrialState.REJECTED))
        else:
            trials.append(finished(problem, evaluate, suggestion, number))
        searcher.tell(trials[-1])
    assert (8, 1, 1) in widths(trials)


@pytest.mark.parametrize("k", range(0, 50, 7))
@pytest.mark.parametrize("bound", [{}, {"error": "<= 0.5"}, {"macs": "<= 0.5x"}])
def test_a_restart_at_any_place_of_a_round_goes_on_the_same(k: int, bound: dict[str, str]) -> None:
    problem, bad = pruning(bound), {3: TrialState.FAILED, 10: TrialState.REJECTED, 20: TrialState.FAILED}
    whole = run(GreedySearcher(problem, GreedyOptions(), seed=5), problem, evaluate, 50, bad=bad)
    rebuilt = told(GreedySearcher(problem, GreedyOptions(), seed=5), whole[:k])
    assert points(run(rebuilt, problem, evaluate, 50 - k, first=k, bad=bad)) == points(whole[k:])


def test_pending_asks_are_other_steps() -> None:
    searcher = GreedySearcher(pruning(), GreedyOptions(), seed=0)
    pending = [searcher.ask() for _ in range(4)]
    assert len({tuple(suggestion.point.values()) for suggestion in pending}) == 4


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"shortlist": 0}, {"steps": 1.5}])
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"searcher\.{next(iter(wrong))}: expected"):
        GreedyOptions(**wrong)
