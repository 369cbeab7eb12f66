"""The compression problems that greybox is tuned on and judged by, and the table of what has been found on them."""

from __future__ import annotations

import pytest
from optuna.distributions import CategoricalDistribution

from benchmarks.problems.compression import fronts
from benchmarks.problems.compression_spaces import HELD_OUT, MADE, TUNING, compression
from benchmarks.unseen import KEPT, as_they_see_it, line, run, seeds_of
from moco.metrics import COST, TOP1_ERROR


def test_no_problem_is_in_both_halves_and_all_have_a_front() -> None:
    halves = [{compression(name).base for name in half} for half in (TUNING, HELD_OUT)]
    assert not halves[0] & halves[1]
    assert halves[0] | halves[1] == set(MADE) == set(fronts())


@pytest.mark.parametrize("name", MADE)
def test_compressing_costs_less_and_errs_more(name: str) -> None:
    """Along every knob alone, by expected values."""
    problem = compression(name)
    for knob in problem.knobs:
        values = knob.grid()[:: 1 if knob.falls > 0 else -1]
        found = problem.expected([{**problem.neutral, knob.name: value} for value in values])
        if not isinstance(knob.distribution, CategoricalDistribution) or len(values) > 2:
            assert (found[COST][1:] <= found[COST][:-1] + 1e-12).all()
        assert found[TOP1_ERROR][-1] > found[TOP1_ERROR][0]


@pytest.mark.parametrize("name", ["deep", "sparse", "conv19-region"])
def test_a_policy_evaluates_alike_each_time_and_near_what_is_expected(name: str) -> None:
    problem = compression(name)
    policy = problem.space.canonical(problem.ladder()[5])
    first, again = (problem.evaluate(policy) for _ in range(2))
    assert first == again
    error = first.metrics[TOP1_ERROR]
    assert error.sem is not None
    assert abs(error.value - problem.expected([policy.settings])[TOP1_ERROR][0]) < 5 * error.sem


def test_a_run_by_hand_has_the_ladders_share() -> None:
    found = run(compression("names"), "ladder", 0, 20)["shares"]
    assert len(found) == 20
    assert found == sorted(found)
    assert 0.3 < found[-1] < 0.6
    row = line("names", "ladder", [{"shares": found, "ms": 0.1}])
    assert row == "| names | ladder | 1 | {0:.3f} | {0:.3f} | {0:.3f} | 0.1 |".format(found[-1])


def test_libraries_are_told_of_no_layers_and_only_asked_where_they_fit() -> None:
    assert as_they_see_it("conv25-groups", "ladder + tpe") == "conv25-plain"
    assert as_they_see_it("conv25-groups", "greybox") == "conv25-groups"
    assert seeds_of("mobile", "ladder + cmaes", 3) == 0
    assert seeds_of("sparse", "ladder + cmaes", 3) == 3
    assert not KEPT.exists() or all(path.suffix == ".json" for path in KEPT.iterdir())
