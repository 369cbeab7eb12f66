"""The one sentence: every outcome has its words and its status."""

from __future__ import annotations

from typing import Any

import pytest

from moco.report.verdict import TONES, Status, chosen_metrics, verdict
from moco.run_folder.result import Result

CERTIFICATE = {
    "floor": -0.02, "images": 4000, "confidence": 0.95, "holds": True, "bounds": [],
    "estimate": -0.009, "lower_bound": -0.017,
}  # fmt: skip
METRICS = {"top1_error": 0.088, "latency_ms": 0.47, "size_mb": 0.26, "cost": 0.38}
BEST = {"trial": 7, "metrics": METRICS}


def a_result(**changes: Any) -> Result:
    result: dict[str, Any] = {
        "experiment": "mine",
        "searcher": "nsga2",
        "seed": 0,
        "trials": 30,
        "feasible": 12,
        "exit": "done",
        "reference": {"top1_error": 0.081, "latency_ms": 1.0, "size_mb": 1.0},
        "best": BEST,
        "certificate": CERTIFICATE,
    }
    return Result.from_json(result | changes)


def test_a_certified_network_is_stated_with_its_evidence() -> None:
    assert verdict(a_result(), "ResNet-20").text == (
        "ResNet-20 at 0.38x the cost: latency 0.47x, size 0.26x, top-1 91.2 % on the search images (reference 91.9 %); "
        "the floor of -2 pp holds on 4,000 unseen images at 95 % confidence (measured -0.9 pp, lower bound -1.7 pp)."
    )
    assert verdict(a_result()).status is Status.CERTIFIED


def test_a_start_that_is_delivered_is_named() -> None:
    found = verdict(a_result(best=BEST | {"origin": "int8"}), "ResNet-20")
    assert found.text.startswith("ResNet-20 (the start 'int8') at 0.38x the cost: ")
    searched = verdict(a_result(best=BEST | {"origin": "search"}), "ResNet-20")
    assert searched == verdict(a_result(), "ResNet-20")


@pytest.mark.parametrize(
    ("holds", "told"),
    [
        ([False, True], "; 1 other candidate did not reach it."),
        ([True, False, False], "; 2 other candidates did not reach it."),
        ([True, True], "."),
    ],
)
def test_candidates_that_did_not_reach_the_floor_are_counted(holds: list[bool], told: str) -> None:
    found = verdict(a_result(certificate=CERTIFICATE | {"attempts": [{"holds": one} for one in holds]}))
    assert found.text.endswith(f" pp){told}")


@pytest.mark.parametrize(("exit_", "status"), [("uncertified", Status.NOT_CERTIFIED), ("done", Status.CERTIFIED)])
def test_a_certificate_says_more_than_the_search_split(exit_: str, status: Status) -> None:
    """No trial was feasible there, but the network was tried, and its floor holds or does not."""
    certificate = CERTIFICATE if exit_ == "done" else CERTIFICATE | {"holds": False, "lower_bound": -0.03}
    found = verdict(a_result(exit=exit_, feasible=0, best=BEST | {"feasible": True}, certificate=certificate))
    assert found.status is status


def test_a_floor_that_is_missed_gives_its_evidence() -> None:
    found = verdict(a_result(certificate=CERTIFICATE | {"holds": False, "lower_bound": -0.0262, "attempts": [{}, {}]}))
    assert found.status is Status.NOT_CERTIFIED
    assert "the floor of -2 pp does not hold" in found.text
    assert found.text.endswith("(measured -0.9 pp, lower bound -2.62 pp).")
    unmeasured = verdict(a_result(certificate=CERTIFICATE | {"holds": False, "estimate": None}))
    assert unmeasured.text.endswith("confidence (lower bound -1.7 pp).")


NO_BOUND = CERTIFICATE | {"lower_bound": None, "holds": None}


@pytest.mark.parametrize("certificate", [None, NO_BOUND])
def test_without_a_certificate_nothing_is_called_certified(certificate: Any) -> None:
    found = verdict(a_result(certificate=certificate))
    assert found.status is Status.NOT_CERTIFIED
    assert found.text.endswith("not certified on unseen images.")


def test_bounds_are_named_where_there_is_no_floor() -> None:
    bounds = [{"metric": "latency_ms", "holds": True}, {"metric": "size_mb", "holds": True}]
    found = verdict(a_result(certificate=CERTIFICATE | {"floor": None, "bounds": bounds}))
    assert (
        "; the bounds on latency and size hold on the delivered file; top-1 at most 1.7 pp below the reference on 4,000"
        in found.text
    )
    assert found.status is Status.WITHIN


@pytest.mark.parametrize("lost", [0.017, 0.48])
def test_without_a_floor_nothing_is_called_certified_whatever_was_lost(lost: float) -> None:
    certificate = CERTIFICATE | {"floor": None, "holds": None, "lower_bound": -lost}
    found = verdict(a_result(certificate=certificate))
    assert (found.status, TONES[found.status]) == (Status.DELIVERED, "plain")
    assert f"top-1 at most {100 * lost:g} pp below the reference on 4,000" in found.text
    kept = verdict(a_result(certificate=certificate | {"bounds": [{"metric": "latency_ms", "holds": True}]}))
    assert kept.status.value == "within every bound"
    missed = verdict(a_result(certificate=certificate | {"bounds": [{"metric": "latency_ms", "holds": False}]}))
    assert missed.status.value == "not within every bound"


def test_a_bound_that_fails_spoils_the_certificate_but_not_the_floor() -> None:
    bounds = [{"metric": "latency_ms", "holds": False}, {"metric": "size_mb", "holds": True}]
    found = verdict(a_result(certificate=CERTIFICATE | {"holds": False, "bounds": bounds}))
    assert found.status is Status.NOT_CERTIFIED
    assert "the floor of -2 pp holds" in found.text
    assert "the bound on latency does not hold on the delivered file" in found.text


@pytest.mark.parametrize("change", [{}, {"exit": "infeasible"}, {"best": None}, {"certificate": None}])
def test_a_search_that_was_stopped_says_so_after_each_outcome(change: dict[str, Any]) -> None:
    told = " The search was stopped after 28 of 400 trials; --resume goes on with it."
    finished = verdict(a_result(**change))
    found = verdict(a_result(stopped=True, given=2, budget={"trials": 400}, **change))
    assert (found.status, found.text) == (finished.status, finished.text + told)


def test_an_absolute_floor_is_an_accuracy() -> None:
    found = verdict(
        a_result(certificate=CERTIFICATE | {"floor": 0.91, "estimate": 0.92, "lower_bound": 0.9052, "holds": False})
    )
    assert "the floor of 91.00 % does not hold on 4,000 unseen images" in found.text
    assert "(measured 92.00 %, lower bound 90.52 %)" in found.text


@pytest.mark.parametrize("change", [{"exit": "infeasible"}, {"feasible": 0}])
def test_a_best_effort_is_never_called_feasible(change: dict[str, Any]) -> None:
    found = verdict(a_result(**change))
    assert found.status is Status.INFEASIBLE
    assert found.text.startswith("No feasible network in 30 trials; best effort: ")


def test_a_best_that_is_marked_infeasible_is_a_best_effort() -> None:
    best = BEST | {"feasible": False}
    assert verdict(a_result(best=best)).status is Status.INFEASIBLE


RIVAL = {
    "name": "resnet20 int8", "metrics": {"cost": 0.13}, "better": True, "processor_s": 11.8, "note": "trained apart",
    "unseen": {"estimate": -0.0125, "lower_bound": -0.019},
}  # fmt: skip


def test_a_baseline_that_does_better_is_named_with_both_costs() -> None:
    others = [{"name": "by hand", "metrics": {"cost": 0.25}, "better": True}, {"name": "worse", "metrics": {}}]
    found = verdict(a_result(rivals=[others[0], RIVAL, others[1]], processor_s=622.0))
    assert found.status is Status.CERTIFIED
    assert found.text.endswith(
        " Without a search, the baseline 'resnet20 int8' does better: 0.13x the cost, not 0.38x, top-1 measured "
        "-1.25 pp, lower bound -1.9 pp, on the same unseen images but not certified, 11.8 s of processor time against "
        "the search's 10 min 22 s (trained apart); so does 'by hand'."
    )
    assert "Without a search" not in verdict(a_result(rivals=[others[1]])).text


def test_a_baseline_is_named_where_the_search_found_nothing() -> None:
    text = verdict(a_result(best=None, feasible=0, certificate=None, rivals=[RIVAL])).text
    words = " Without a search, the baseline 'resnet20 int8' does better: 0.13x the cost, 11.8 s of processor time "
    assert text.endswith(f"{words}(trained apart).")


def test_a_search_without_any_network_says_so() -> None:
    found = verdict(a_result(best=None, feasible=0, certificate=None))
    assert (found.status, found.text) == (
        Status.NOTHING,
        "No network could be built, measured and scored in 30 trials.",
    )


def test_the_longer_timing_replaces_that_of_the_search() -> None:
    result = a_result(retimed={"latency_ms": {"value": 0.5, "low": 0.49, "high": 0.51}, "energy_j": None})
    assert chosen_metrics(result)["latency_ms"] == 0.5
    assert "latency 0.50x" in verdict(result).text


def test_metrics_that_the_reference_lacks_have_no_ratio() -> None:
    assert "latency n/a" in verdict(a_result(reference={"top1_error": 0.081, "size_mb": 1.0})).text
