from __future__ import annotations

from collections.abc import Mapping

import pytest
from optuna.distributions import FloatDistribution

from moco.guarded_objective import posed
from moco.objectives.accuracy_guaranteed import AccuracyGuaranteedObjective, AccuracyGuaranteedOptions
from moco.products import measured_for, product, products_among, with_products
from moco.space import SearchSpace
from moco.trial import Evaluation, MetricValue

MEASURED = {"flops": MetricValue(2e6), "throughput_ips": MetricValue(100.0, 3.0), "top1_error": MetricValue(0.1)}
SPACE = SearchSpace({"keep": FloatDistribution(0, 1)})


def objective(**options: Mapping[str, object]) -> AccuracyGuaranteedObjective:
    return AccuracyGuaranteedObjective(AccuracyGuaranteedOptions(floor="-2 pp", **options))  # type: ignore[arg-type]


def test_flops_a_second_are_flops_of_an_image_times_images_a_second() -> None:
    """S1.06 = S1.05 x S1.07: R18's printed 1.82 x 153 = 278 G/s."""
    of_r18 = {"flops": MetricValue(1.82e9), "throughput_ips": MetricValue(153.0)}
    assert product("flop_per_s", of_r18) == MetricValue(pytest.approx(278.46e9), None)


def test_the_relative_error_is_that_of_the_measured_factor() -> None:
    assert product("flop_per_s", MEASURED) == MetricValue(pytest.approx(2e8), pytest.approx(6e6))


def test_without_a_factor_there_is_no_product() -> None:
    known = {"flops": MetricValue(2e6)}
    assert product("flop_per_s", known) is None
    assert with_products(known, ["flop_per_s", "flops"]) == known


def test_a_product_is_measured_by_its_factors() -> None:
    assert measured_for(["flop_per_s", "size_mb", "of_the_user"]) == {
        "flops",
        "throughput_ips",
        "size_mb",
        "of_the_user",
    }
    assert products_among(["size_mb", "flop_per_s", "of_the_user"]) == ("flop_per_s",)


def test_a_weight_on_a_product_is_scored_and_judged() -> None:
    reference = {**MEASURED, "throughput_ips": MetricValue(50.0)}
    problem = posed(objective(weights={"flop_per_s": 1}), SPACE, reference)
    found = problem.metrics(Evaluation(MEASURED))
    assert found["cost"].value == pytest.approx(0.5)
    assert problem.score(Evaluation(MEASURED)) == pytest.approx(-0.5)


def test_a_bound_on_a_product_is_judged() -> None:
    weights = {"throughput_ips": 1}
    problem = posed(objective(weights=weights, constraints={"flop_per_s": ">= 300000000"}), SPACE, MEASURED)
    assert problem.judge(Evaluation(MEASURED)).violations[-1] > 0
    faster = Evaluation({**MEASURED, "throughput_ips": MetricValue(160.0)})
    assert problem.judge(faster).violations[-1] <= 0


def test_without_a_product_the_problem_is_as_the_objective_poses_it() -> None:
    problem = posed(objective(weights={"throughput_ips": 1}), SPACE, MEASURED)
    assert "flop_per_s" not in problem.metrics(Evaluation(MEASURED))
