"""What the protocols refuse, and in which words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from optuna.distributions import FloatDistribution

from moco.errors import ConfigError
from moco.guarded_objective import posed, terms_of
from moco.interfaces import ObjectiveTerms
from moco.objectives.accuracy_guaranteed import AccuracyGuaranteedObjective, AccuracyGuaranteedOptions
from moco.objectives.resource_constrained import ResourceConstrainedObjective, ResourceConstrainedOptions
from moco.objectives.shared.amounts import floor_constraint
from moco.objectives.shared.measurable import measurable
from moco.problem import Problem
from moco.registry import BUILT_IN, plugin
from moco.space import SearchSpace
from moco.trial import Evaluation, MetricValue

HERE = frozenset({"top1_error", "top5_error", "size_mb", "macs", "latency_ms", "throughput_ips"})


@pytest.mark.parametrize(
    ("floor", "number", "relative"),
    [
        ("-10 pp", 0.10, "pp"),
        ("-2pp", 0.02, "pp"),
        (">= -0.5 pp", 0.005, "pp"),
        ("+1 pp", -0.01, "pp"),
        ("0 pp", 0.0, "pp"),
        ("91 %", 0.09, None),
        (">= 91%", 0.09, None),
        ("0.91", 0.09, None),
    ],
)
def test_floors_are_understood(floor: str, number: float, relative: str | None) -> None:
    constraint = floor_constraint(floor)
    assert (constraint.metric, constraint.op, constraint.relative_to_reference) == ("top1_error", "<=", relative)
    assert constraint.number == pytest.approx(number)


@pytest.mark.parametrize(
    ("floor", "message"),
    [
        ("2 pp", r"objective\.floor: write '-2 pp' for 2 points below the reference"),
        ("<= 2 pp", r"objective\.floor: expected '-10 pp' .* got '<= 2 pp'"),
        ("-120 pp", r"between -100 and \+100 points"),
        ("101 %", r"an accuracy lies in 0\.\.1 or 0\.\.100 %"),
        ("-2 %", r"an accuracy lies in 0\.\.1 or 0\.\.100 %"),
        ("high", r"got 'high'"),
        (-2, r"objective\.floor: expected '-10 pp' .* got -2"),
        ({"confidence": 0.9}, r"got \{'confidence': 0\.9\}"),
        (
            {"value": "-2 pp", "confidance": 0.9},
            r"objective\.floor\.confidance: unknown key; did you mean 'confidence'",
        ),
        (
            {"value": "-2 pp", "confidence": 90},
            r"objective\.floor\.confidence: expected a number in \[0\.5, 1\), got 90",
        ),
        ({"value": -2}, r"objective\.floor\.value: expected .* got -2"),
    ],
)
def test_floors_that_make_no_sense_are_refused(floor: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AccuracyGuaranteedOptions(floor=floor)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": {"latncy_ms": 1}}, r"objective\.weights: unknown metric 'latncy_ms'; did you mean 'latency_ms'"),
        ({"weights": {"latency_ms": -1}}, r"objective\.weights\.latency_ms: expected a weight >= 0, got -1"),
        ({"weights": {"latency_ms": 0}}, r"objective\.weights: expected at least one weight above 0"),
        ({"weights": {}}, r"objective\.weights: expected at least one weight above 0"),
        ({"weights": {"top1_error": 1}}, r"objective\.weights\.top1_error: a weight belongs to what a network spends"),
        ({"constraints": {"sizemb": "<= 1"}}, r"unknown metric 'sizemb'; did you mean 'size_mb'"),
        ({"constraints": {"size_mb": "0.8x"}}, r"objective\.constraints\.size_mb: expected 'OP NUMBER"),
        ({"constraints": {"size_mb": "<= -1 MB"}}, r"objective\.constraints\.size_mb: no network has a value <= -1"),
        ({"constraints": {"size_mb": "<= 0x"}}, r"objective\.constraints\.size_mb: no network has a value <= 0"),
        ({"constraints": {"size_mb": "<= +2 pp"}}, r"objective\.constraints\.size_mb: unit 'pp' does not fit"),
        ({"constraints": {"size_mb": "<= 3 ms"}}, r"unit 'ms' does not fit"),
        ({"constraints": {"top1_accuracy": ">= 90 %"}}, r"top-1 accuracy is bounded by objective\.floor"),
    ],
)
def test_accuracy_guaranteed_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AccuracyGuaranteedOptions(**options)


@pytest.mark.parametrize("constraints", [{}, {"top1_error": "<= 10 %"}])
def test_resource_constrained_needs_a_resource(constraints: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="expected at least one bound on a resource"):
        ResourceConstrainedOptions(constraints=constraints)


def test_a_floor_above_any_accuracy_is_refused_before_the_search() -> None:
    reference = {
        name: MetricValue(value) for name, value in (("top1_error", 0.05), ("size_mb", 1.0), ("latency_ms", 1.0))
    }
    options = AccuracyGuaranteedOptions(floor="+6 pp", weights={"size_mb": 1})
    with pytest.raises(ConfigError, match=r"objective\.floor: no network has top1_error <= -0\.01"):
        AccuracyGuaranteedObjective(options).problem(SearchSpace({"a": FloatDistribution(0, 1)}), reference)


def test_energy_is_refused_where_it_cannot_be_measured() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^objective\.weights\.energy_j: this machine cannot measure energy_j \(no power counter\); "
        r"remove it or set objective\.drop_unmeasurable: true$",
    ):
        measurable(AccuracyGuaranteedObjective(AccuracyGuaranteedOptions(weights={"energy_j": 1, "size_mb": 1})), HERE)


FOUR = {"latency_ms": 1, "energy_j": 1, "throughput_ips": 1, "size_mb": 1}


@pytest.mark.parametrize(
    "options",
    [AccuracyGuaranteedOptions(), AccuracyGuaranteedOptions(weights=FOUR, drop_unmeasurable=True)],
    ids=["no weights given", "the user says so"],
)
def test_energy_is_dropped_and_a_warning_tells(options: AccuracyGuaranteedOptions) -> None:
    objective, warnings = measurable(AccuracyGuaranteedObjective(options), HERE)
    assert isinstance(objective, AccuracyGuaranteedObjective)
    assert objective.weights == pytest.approx({"latency_ms": 1 / 3, "throughput_ips": 1 / 3, "size_mb": 1 / 3})
    assert "energy_j" not in objective.metrics
    assert warnings == (
        (
            "objective.weights.energy_j: this machine cannot measure energy_j (no power counter); "
            "dropped, the other weights are scaled up"
        ),
    )


def test_what_can_be_measured_passes_unchanged() -> None:
    objective = ResourceConstrainedObjective()
    assert measurable(objective, HERE) == (objective, ())


@pytest.mark.parametrize(
    "objective",
    [
        ResourceConstrainedObjective(ResourceConstrainedOptions(constraints={"energy_j": "<= 0.8x"})),
        AccuracyGuaranteedObjective(
            AccuracyGuaranteedOptions(constraints={"energy_j": "<= 0.8x"}, drop_unmeasurable=True)
        ),
    ],
    ids=["resource-constrained", "accuracy-guaranteed"],
)
def test_a_bound_that_cannot_be_measured_is_never_dropped(objective: Any) -> None:
    with pytest.raises(ConfigError, match=r"objective\.constraints\.energy_j: this machine cannot .* remove the bound"):
        measurable(objective, HERE)


def test_an_objective_that_would_have_no_weight_left_is_refused() -> None:
    options = AccuracyGuaranteedOptions(weights={"energy_j": 1}, drop_unmeasurable=True)
    with pytest.raises(ConfigError, match=r"can measure none of energy_j"):
        measurable(AccuracyGuaranteedObjective(options), HERE)


@pytest.mark.parametrize("name", BUILT_IN["objective"])
def test_every_protocol_has_accuracy_and_a_cost_by_default(name: str) -> None:
    cls = plugin("objective", name)
    objective = cls(cls.Options())
    reference = {metric: MetricValue(2.0) for metric in objective.metrics} | {"top1_error": MetricValue(0.1)}
    problem = objective.problem(SearchSpace({"keep": FloatDistribution(0.1, 1.0)}), reference)
    second = "latency_ms" if name == "front" else "cost"
    assert list(problem.objectives) == ["top1_error", second]
    assert problem.reference_point == {"top1_error": 1.0, second: 2.0 if name == "front" else 1.0}
    assert objective.wish


class _Bare:
    """An objective with what the contract asks for, and a floor."""

    metrics = ("top1_error", "energy_j")
    floor = floor_constraint("-2 pp")

    def problem(self, space: SearchSpace, reference: Mapping[str, MetricValue]) -> Problem:
        return Problem(space, {"top1_error": "minimize"}, reference=reference)

    def score(self, evaluation: Evaluation, reference: Mapping[str, MetricValue]) -> float:
        return reference["top1_error"].value - evaluation.metrics["top1_error"].value


def test_an_objective_need_not_say_more_than_the_contract_asks_for() -> None:
    terms = terms_of(_Bare())
    assert terms == ObjectiveTerms(floor=_Bare.floor)
    assert (terms.wish, terms.without, [*terms.constraints]) == (None, None, [])
    with pytest.raises(ConfigError, match=r"^objective\.metric: this machine cannot measure energy_j .*choose another"):
        measurable(_Bare(), HERE)


@pytest.mark.parametrize(
    ("member", "told"),
    [
        ({"metrics": "top1_error"}, "expected tuple or list as metrics, got 'top1_error'"),
        ({"wish": 7}, "expected str or None as wish, got 7"),
        ({"floor": "-1 pp"}, "expected Constraint or None as floor, got '-1 pp'"),
        ({"without": {}}, "expected Callable or None as without, got {}"),
    ],
)
def test_what_an_objective_says_of_itself_is_checked_before_anything_is_measured(
    member: dict[str, Any], told: str
) -> None:
    objective = type("Theirs", (_Bare,), member)()
    with pytest.raises(ConfigError, match=rf"^the objective {__name__}\.Theirs: {told}$"):
        measurable(objective, HERE)


def test_an_objective_sees_a_copy_of_the_space_and_must_give_a_problem() -> None:
    space, reference = SearchSpace({"x": FloatDistribution(0, 1)}), {"top1_error": MetricValue(0.1)}

    class Spoils(_Bare):
        def problem(self, space: Any, reference: Any) -> Problem:
            problem = Problem(space, {"top1_error": "minimize"})
            space.distributions.clear()
            reference.clear()
            return problem

    class Nothing(_Bare):
        def problem(self, *_: object) -> Any:
            return None

    assert posed(Spoils(), space, reference).space.distributions == {"x": FloatDistribution(0, 1)}
    assert reference
    with pytest.raises(ConfigError, match=r"Nothing: expected a method that gives a Problem as problem, got None$"):
        posed(Nothing(), space, reference)
