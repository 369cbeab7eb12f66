"""Which parameters decided a search's score: the share, the sign, and the reasons where there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from moco.comparison.importance import CHOICE, CONSTANT, TIED, Importance, ParameterImportance, importance_of
from moco.randomness import generator
from moco.run_folder.trial_record import TrialRecord


def made(count: int, origin: str = "search") -> list[TrialRecord]:
    """Trials whose score is mostly `strong`, a little `weak`, and 1 for the choice `int8`; `still` never varies."""
    rng, records = generator(3, "importance"), []
    for number in range(count):
        strong, weak = (float(value) for value in rng.uniform(0.1, 1.0, 2))
        precision = ("float32", "int8")[int(rng.integers(2))]
        score = -3.0 * strong + 0.1 * weak + (precision == "int8")
        point: dict[str, Any] = {"weak": weak, "still": 0.5, "strong": strong, "precision": precision}
        records.append(TrialRecord(number=number, origin=origin, state="complete", score=score, point=point))
    return records


def by_name(found: Importance) -> dict[str, ParameterImportance]:
    return {one.name: one for one in found.parameters}


def test_what_decides_the_score_comes_first_and_shares_sum_to_one() -> None:
    found = importance_of(made(60))
    names = [one.name for one in found.parameters]
    assert names[0] == "strong"
    assert names[-1] == "still"
    assert sum(one.share or 0.0 for one in found.parameters) == pytest.approx(1.0)


def test_a_correlation_has_the_sign_of_the_score() -> None:
    strong = by_name(importance_of(made(60)))["strong"].correlation
    assert strong.value is not None
    assert strong.high is not None
    assert strong.value < strong.high < 0


def test_a_choice_has_an_importance_and_no_correlation() -> None:
    choice = by_name(importance_of(made(60)))["precision"]
    assert choice.share is not None
    assert choice.share > 0
    assert (choice.correlation.value, choice.correlation.reason) == (None, CHOICE)


def test_a_constant_parameter_has_neither() -> None:
    still = by_name(importance_of(made(60)))["still"]
    assert (still.share, still.reason) == (None, CONSTANT)
    assert (still.correlation.value, still.correlation.reason) == (None, CONSTANT)


def test_values_that_are_all_constant_have_no_share() -> None:
    trials = [replace(trial, point={"still": 1}) for trial in made(6)]
    assert [(one.share, one.reason) for one in importance_of(trials).parameters] == [(None, CONSTANT)]


@pytest.mark.parametrize("count", [0, 3])
def test_too_few_networks_are_refused_with_their_number(count: int) -> None:
    found = importance_of(made(count))
    assert (found.trials, found.parameters) == (count, ())
    assert found.reason == f"4 distinct networks are needed, found {count}"


def test_four_networks_are_enough() -> None:
    assert by_name(importance_of(made(4)))["strong"].share is not None


def test_trained_repeated_failed_and_foreign_networks_do_not_count() -> None:
    usual = made(8)
    others = [
        *made(3, "finalist"),
        replace(usual[0], distinct=False),
        replace(usual[0], state="failed", score=None),
        replace(usual[0], origin="sibling", point={}),
        replace(usual[0], point={"other": 1.0}),
    ]
    assert importance_of([*others, *usual]) == importance_of(usual)


def test_a_score_that_tells_no_half_from_the_other_gives_a_reason() -> None:
    flat = [replace(trial, score=-50.0) for trial in made(8)]
    mostly = [replace(flat[0], score=3.0), *flat[1:]]
    assert by_name(importance_of(flat))["strong"].reason == "the score is constant"
    assert by_name(importance_of(mostly))["strong"].reason == TIED
    assert by_name(importance_of(mostly))["strong"].correlation.value is not None


def test_networks_that_miss_a_bound_stand_below_all_others_by_how_far_they_miss_it() -> None:
    """A flat penalty hides what comes near a bound: here `strong` decides by how much it is missed."""
    met = [replace(t, feasible=True, violations=(-0.1,)) for t in made(4)]
    missed = [replace(trial, score=-50.0, violations=(float(trial.point["strong"]),)) for trial in made(30)[4:]]
    strong = by_name(importance_of([*met, *missed]))["strong"]
    assert strong.share is not None
    assert strong.correlation.value is not None
    assert strong.correlation.value < -0.5


def test_optuna_says_nothing_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    importance_of(made(8))
    assert capfd.readouterr().err == ""
