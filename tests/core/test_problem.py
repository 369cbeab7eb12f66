from __future__ import annotations

import ast
import math
from dataclasses import MISSING, fields
from inspect import getsource
from typing import Any

import numpy as np
import pytest
from optuna.distributions import FloatDistribution

from moco.constraints import Bound
from moco.errors import ConfigError
from moco.problem import Problem
from moco.space import LayerGroup, SearchSpace
from moco.trial import Evaluation, MetricValue

SPACE = {"x": FloatDistribution(0.0, 1.0)}
REFERENCE = {"top1_error": MetricValue(0.08), "latency_ms": MetricValue(10.0)}


def evaluation(**metrics: float) -> Evaluation:
    return Evaluation({name: MetricValue(value) for name, value in metrics.items()})


def test_a_plain_dict_becomes_a_space() -> None:
    assert Problem(space=SPACE, objectives={"loss": "minimize"}).space == SearchSpace(SPACE)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": [FloatDistribution(0, 1)]}, "space: expected a SearchSpace or a dict of distributions, got list"),
        ({"objectives": {}}, "objectives: expected at least one"),
        ({"objectives": {"loss": "min"}}, r"objectives\.loss: expected 'minimize' or 'maximize', got 'min'"),
        ({"constraints": {"loss": "0.1"}}, r"constraints\.loss: expected 'OP NUMBER"),
        (
            {"constraints": {"latency_ms": "<= 0.8x"}},
            r"constraints\.latency_ms: the bound is relative to the reference",
        ),
    ],
)
def test_wrong_problems_are_refused_at_their_birth(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Problem(**{"space": SPACE, "objectives": {"loss": "minimize"}, **changes})


def test_losses_are_minimised_in_the_order_of_the_objectives() -> None:
    problem = Problem(SPACE, {"throughput_ips": "maximize", "size_mb": "minimize"})
    measured = {"size_mb": MetricValue(2.0), "throughput_ips": MetricValue(50.0, sem=3.0)}
    outcome = problem.judge(Evaluation(measured))
    assert outcome.losses == (-50.0, 2.0)
    assert outcome.loss_sems == (3.0, None)
    assert outcome.violations == ()
    assert outcome.feasible


def test_violations_stand_in_the_order_of_the_bounds() -> None:
    problem = Problem(
        SPACE,
        {"latency_ms": "minimize"},
        constraints={"top1_error": "<= +2 pp", "latency_ms": "<= 0.8x"},
        bounds=(Bound("size_mb", "<=", 1.0),),
        reference=REFERENCE,
    )
    outcome = problem.judge(evaluation(top1_error=0.08, latency_ms=10.0, size_mb=0.5))
    assert outcome.violations == pytest.approx((-0.5, -0.2, 0.25))
    assert not outcome.feasible


def test_derived_metrics_are_judged_like_measured_ones() -> None:
    def total(metrics: Any) -> MetricValue:
        return MetricValue(metrics["a"].value + metrics["b"].value)

    problem = Problem(SPACE, {"total": "minimize"}, constraints={"total": "<= 2"}, derived={"total": total})
    outcome = problem.judge(evaluation(a=1.0, b=2.0))
    assert (outcome.losses, outcome.violations) == ((3.0,), (0.5,))


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"los": MetricValue(1.0)}, r"gives no 'loss'; did you mean 'los'\?"),
        ({"loss": MetricValue(math.nan)}, "gives loss = nan"),
        ({"loss": MetricValue(math.inf)}, "gives loss = inf"),
        ({"loss": MetricValue(1.0, sem=math.nan)}, r"gives loss = 1.0 \+- nan"),
    ],
)
def test_what_is_no_finite_number_is_never_judged(metrics: dict[str, MetricValue], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Problem(SPACE, {"loss": "minimize"}).judge(Evaluation(metrics))


def test_bounds_must_be_measured_too() -> None:
    with pytest.raises(ValueError, match="gives size_mb = nan"):
        Problem(SPACE, {"loss": "minimize"}, {"size_mb": "<= 1"}).judge(evaluation(loss=1.0, size_mb=math.nan))


@pytest.mark.parametrize(
    ("constraints", "score"),
    [({}, -2.0), ({"a": "<= 9"}, -3.0), ({"a": "<= 9", "b": "<= 9"}, -2.0)],
    ids=["none bounded", "the free one counts", "all bounded"],
)
def test_the_default_score_is_minus_the_mean_of_the_free_losses(constraints: dict[str, str], score: float) -> None:
    problem = Problem(SPACE, {"a": "minimize", "b": "minimize"}, constraints)
    assert problem.score(evaluation(a=1.0, b=3.0)) == score


def test_a_scorer_takes_its_place() -> None:
    problem = Problem(SPACE, {"a": "minimize"}, scorer=lambda e: e.metrics["a"].value * 10)
    assert problem.score(evaluation(a=1.5)) == 15.0


def cliff(found: Evaluation) -> float:
    """Minus the latency up to an error of 10 %, and -50 beyond, as published scores are."""
    return -found.metrics["latency_ms"].value if found.metrics["error"].value <= 0.1 else -50.0


def test_the_scores_standard_error_is_that_of_what_it_weighs() -> None:
    problem = Problem(
        SPACE,
        {"latency_ms": "minimize"},
        {"error": "<= 0.1"},
        scorer=cliff,
        unbounded_scorer=lambda found: -found.metrics["latency_ms"].value,
    )
    for error in (0.05, 0.1, 0.3):
        measured = Evaluation({"latency_ms": MetricValue(7.0, 0.3), "error": MetricValue(error, 0.01)})
        assert problem.unbounded_score(measured) == -7.0
        assert problem.score_sem(measured) == pytest.approx(0.3), "not the fall to -50 across the bound"
    both = Problem(SPACE, {"a": "minimize", "b": "minimize"})
    noisy = Evaluation({"a": MetricValue(1.0, 0.3), "b": MetricValue(2.0, 0.4)})
    assert both.score_sem(noisy) == pytest.approx(0.25), "of the mean of two: hypot(0.3, 0.4) / 2"
    assert both.score_sem(Evaluation({"a": MetricValue(1.0, 0.0), "b": MetricValue(2.0)})) == 0.0, "known to be exact"
    assert both.score_sem(evaluation(a=1.0, b=2.0)) is None, "unknown"


def test_violations_carry_the_standard_errors_of_their_metrics() -> None:
    problem = Problem(SPACE, {"a": "minimize"}, {"a": "<= 4", "b": ">= 2"})
    outcome = problem.judge(Evaluation({"a": MetricValue(5.0, 0.2), "b": MetricValue(3.0)}))
    assert outcome.violations == (0.25, -0.5)
    assert outcome.violation_sems == (0.05, None)


def test_a_reference_point_is_turned_into_losses() -> None:
    problem = Problem(SPACE, {"throughput_ips": "maximize", "size_mb": "minimize"})
    assert problem.loss_point({"size_mb": 2.0, "throughput_ips": 50.0, "other": 1.0}) == (-50.0, 2.0)


def test_a_reference_point_is_whole() -> None:
    with pytest.raises(ConfigError, match="reference point: a value for 'size_mb' is missing"):
        Problem(SPACE, {"size_mb": "minimize"}).loss_point({})


def test_what_a_type_checker_sees_are_the_fields() -> None:
    """Of its own __init__ alone: the space may be a dict of distributions too."""
    [declared] = [node for node in ast.walk(ast.parse(getsource(Problem))) if getattr(node, "name", "") == "__init__"]
    assert isinstance(declared, ast.FunctionDef)
    needed = [field.name for field in fields(Problem) if field.default is field.default_factory is MISSING]
    assert [argument.arg for argument in declared.args.args] == ["self", *(field.name for field in fields(Problem))]
    assert len(declared.args.args) - len(declared.args.defaults) == 1 + len(needed)
    written = {argument.arg: ast.unparse(argument.annotation) for argument in declared.args.args if argument.annotation}
    assert written == {
        **{field.name: field.type for field in fields(Problem)},
        "space": "SearchSpace | Mapping[str, BaseDistribution]",
    }


@pytest.mark.parametrize("given", ["0.5", None, math.nan, -math.inf, True, 10**400, [0.5]])
def test_a_score_that_is_no_finite_number_is_a_value_error(given: Any) -> None:
    def scorer(_: Evaluation) -> Any:
        return given

    problem = Problem(SPACE, {"loss": "minimize"}, scorer=scorer, unbounded_scorer=scorer)
    for score in (problem.score, problem.unbounded_score):
        with pytest.raises(ValueError, match=rf"^expected a finite number as score, got .* from {__name__}\..*scorer$"):
            score(evaluation(loss=1.0))


def test_a_score_of_another_library_is_a_float_and_one_that_exits_is_named() -> None:
    def exits(_: Evaluation) -> float:
        raise SystemExit(0)

    score = Problem(SPACE, {"loss": "minimize"}, scorer=lambda _: np.float32(0.5)).score(evaluation(loss=1.0))  # type: ignore[arg-type,return-value]
    assert (type(score), score) == (float, 0.5)
    with pytest.raises(ValueError, match=r"^the score failed: SystemExit: 0$"):
        Problem(SPACE, {"loss": "minimize"}, scorer=exits).score(evaluation(loss=1.0))


def test_nothing_of_a_problem_can_be_changed_through_its_copy() -> None:
    def fresh() -> Problem:
        groups = (LayerGroup("g", ("x",), features={"macs": 1.0}),)
        space = SearchSpace({"x": FloatDistribution(0.0, 1.0)}, groups, {"x": 1.0})
        return Problem(
            space, {"loss": "minimize"}, {"loss": "<= 1"}, (), {}, REFERENCE.copy(), None, None, {"loss": 1.0}
        )

    problem = fresh()
    copied = problem.copied()
    assert copied == problem
    copied.space.distributions["x"].low = -1.0  # type: ignore[attr-defined]
    space = copied.space
    for mapping in (space.distributions, space.neutral, space.groups[0].features, copied.objectives, copied.reference):
        mapping.clear()  # type: ignore[attr-defined]
    copied.reference_point.clear()  # type: ignore[union-attr]
    assert problem == fresh()
