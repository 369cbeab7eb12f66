"""Bounds that nothing meets are refused before the search, and no bound that something meets (W14)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from moco.constraints import Bound
from moco.errors import ConfigError
from moco.hardware.onnxruntime import ONNXRuntimeTarget
from moco.policy import Policy
from moco.problem import Problem
from moco.randomness import generator
from moco.run.reachability import check_reachable, nearest_to
from moco.space import SearchSpace
from moco.trial import Evaluation, MetricValue
from tests.compression.space.test_network_space import space_of
from tests.compression.spaces import options_of

SPACES = {
    "pruning": options_of(),
    "pruning and int8": options_of(precisions=("float32", "int8")),
    "few bits": options_of(keep=None, precisions=("float32", "int8", "mixed")),
    "ranks and zeros": options_of(keep=None, rank=(0.1, 1.0), density=(0.2, 1.0)),
    "int8 alone": options_of(keep=None, precisions=("float32", "int8")),
}
CAN = replace(ONNXRuntimeTarget().capabilities, channel_multiples={"float32": 1, "int8": 1, "mixed": 1})
METRICS = ("macs", "bops", "parameters", "packed_size_mb")


def problem_of(space: SearchSpace, *bounds: Bound) -> Problem:
    whole = space.cost(space.canonical(space.uniform(0.0)))
    reference = {name: MetricValue(value) for name, value in {**whole, "size_mb": 1.0, "latency_ms": 10.0}.items()}
    return Problem(space, {"top1_error": "minimize"}, bounds=bounds, reference=reference)


def unasked(policy: Policy) -> Evaluation:
    raise AssertionError("nothing needs to be measured")


def drawn(distribution: BaseDistribution, rng: np.random.Generator) -> object:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[rng.integers(len(distribution.choices))]
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    value = rng.choice([distribution.low, distribution.high, rng.uniform(distribution.low, distribution.high)])
    return int(value) if isinstance(distribution, IntDistribution) else float(value)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("name", SPACES)
def test_no_drawn_policy_costs_less_than_the_least(name: str, metric: str) -> None:
    space, rng = space_of(options=SPACES[name], capabilities=CAN), generator(0, "drawn")
    least = space.cost(space.canonical(nearest_to(Bound(metric, "<=", 0.0), space)))[metric]
    points = [{n: drawn(d, rng) for n, d in space.distributions.items()} for _ in range(300)]

    assert least <= min(space.cost(space.canonical(point))[metric] for point in points) * (1 + 1e-12)


def test_a_bound_is_refused_where_no_policy_of_all_meets_it() -> None:
    space = space_of(options=SPACES["int8 alone"])
    choices = [distribution.choices for distribution in space.distributions.values()]
    sizes = sorted(
        space.cost(space.canonical(dict(zip(space.distributions, point, strict=True))))["packed_size_mb"]
        for point in itertools.product(*choices)
    )
    for size in sizes[:3] + sizes[-1:]:
        check_reachable(problem_of(space, Bound("packed_size_mb", "<=", size)), unasked)
    with pytest.raises(ConfigError, match=r"no policy .* meets packed_size_mb <= .*: the least it reaches is .*x of"):
        check_reachable(problem_of(space, Bound("packed_size_mb", "<=", sizes[0] * 0.999)), unasked)
    with pytest.raises(ConfigError, match="no policy of this space meets macs >= "):
        check_reachable(problem_of(space, Bound("macs", ">=", 1e12)), unasked)


def spending(of: Callable[[Policy], float], sem: float = 0.0) -> Callable[[Policy], Evaluation]:
    return lambda policy: Evaluation({"top1_error": MetricValue(0.5), "latency_ms": MetricValue(of(policy), sem)})


def test_a_measured_bound_is_asked_of_the_extreme_policies_until_one_meets_it() -> None:
    space = space_of(options=SPACES["pruning and int8"])
    asked: list[Policy] = []

    def latency(policy: Policy) -> float:
        asked.append(policy)
        return 6.0 if len(asked) == 1 else 4.0

    check_reachable(problem_of(space, Bound("latency_ms", "<=", 4.0)), spending(latency))
    assert len(asked) == 2

    with pytest.raises(ConfigError, match=r"meets latency_ms <= 2\.000 ms: .* the best reaches 4\.000 ms \(0\.4x"):
        check_reachable(problem_of(space, Bound("latency_ms", "<=", 2.0)), spending(latency))


@pytest.mark.parametrize(("bound", "sem"), [(3.7, 0.0), (2.0, 1.0)])
def test_what_noise_or_another_policy_may_meet_is_not_refused(bound: float, sem: float) -> None:
    problem = problem_of(space_of(options=SPACES["pruning"]), Bound("latency_ms", "<=", bound))
    check_reachable(problem, spending(lambda _: 4.0, sem))


def test_accuracy_and_what_cannot_be_built_say_nothing() -> None:
    space = space_of(options=SPACES["pruning"])
    check_reachable(problem_of(space, Bound("top1_error", "<=", 0.0)), unasked)
    check_reachable(problem_of(space, Bound("latency_ms", "<=", 1.0)), lambda _: None)


def test_a_plain_space_is_not_asked() -> None:
    space = SearchSpace({"x": FloatDistribution(0.0, 1.0)})
    check_reachable(Problem(space, {"f": "minimize"}, bounds=(Bound("g", "<=", -1.0),)), unasked)
