"""Walks over layers, above all that what is kept within bounds is so after rounding, on the space of a real network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from benchmarks.problems.layers import instance
from moco.errors import ConfigError
from moco.problem import Problem
from moco.searchers.agents.layer_walk import Episode, LayerOptions, LayerWalk
from moco.space import SearchSpace
from moco.trial import MetricValue
from tests.compression.space.test_codec import ALL, space_of

SPACES: dict[str, SearchSpace] = {
    "pruning": space_of(),
    "pruning and int8": space_of(precisions=("float32", "int8")),
    "every method": space_of(**ALL),
}
BOUNDS = {"macs": "<= 0.6x", "bops": "<= 0.3x", "parameters": "<= 0.5x", "packed_size_mb": "<= 0.4x"}
SYNTHETIC = instance(0).problem()


def bounded(space: SearchSpace, **constraints: str) -> Problem:
    whole = {name: MetricValue(value) for name, value in space.cost(space.canonical(space.neutral)).items()}
    return Problem(space, {"top1_error": "minimize"}, constraints, reference=whole)


def walks(walk: LayerWalk, n: int = 12) -> Iterator[Episode]:
    """Walks with uniform actions, and with bold ones."""
    rng = np.random.default_rng(0)
    for i in range(n):
        yield walk.rollout(lambda _layer, _state, i=i: rng.random(walk.n_actions) ** (0.1 if i % 2 else 1.0))


@pytest.mark.parametrize("mode", ["wall", "shrink", "fill"])
@pytest.mark.parametrize("metric", BOUNDS)
@pytest.mark.parametrize("name", SPACES)
def test_every_rounded_policy_meets_its_bound(name: str, metric: str, mode: str) -> None:
    """W12: 100 %, not 99; unbounded, half of these walks overshoot."""
    problem = bounded(SPACES[name], **{metric: BOUNDS[metric]})
    walk = LayerWalk(problem, LayerOptions(bounds=mode))
    if not walk.cost_bounds.binds:
        pytest.skip("even the lightest policy of this space misses the bound")
    limit = problem.bounds[0].value
    for episode in walks(walk):
        spent = problem.space.cost(problem.space.canonical(walk.repaired(episode)))[metric]
        assert spent <= limit * (1 + 1e-12)


def test_without_a_wall_bold_walks_overshoot() -> None:
    problem = bounded(SPACES["pruning and int8"], bops="<= 0.3x")
    walk = LayerWalk(problem, LayerOptions(bounds="none"))
    spent = [problem.space.cost(problem.space.canonical(e.point))["bops"] for e in walks(walk)]
    assert sum(s > problem.bounds[0].value for s in spent) >= 6


def test_several_bounds_are_met_at_once() -> None:
    problem = bounded(SPACES["pruning and int8"], macs="<= 0.6x", parameters="<= 0.7x")
    walk = LayerWalk(problem, LayerOptions(bounds="wall"))
    for episode in walks(walk):
        cost = problem.space.cost(problem.space.canonical(episode.point))
        assert all(bound.violation(MetricValue(cost[bound.metric])) <= 0 for bound in problem.bounds)


def test_the_wall_leaves_actions_that_fit_as_they_are() -> None:
    walk = LayerWalk(SYNTHETIC, LayerOptions(bounds="wall"))
    low = walk.rollout(lambda _layer, _state: np.array([0.3]))
    assert low.actions == pytest.approx(np.full((15, 1), 0.3))


def test_filling_uses_the_budget_up() -> None:
    walk = LayerWalk(SYNTHETIC, LayerOptions(bounds="fill"))
    low = walk.repaired(walk.rollout(lambda _layer, _state: np.array([0.1])))
    spent = SYNTHETIC.space.cost(SYNTHETIC.space.canonical(low))["macs"] / SYNTHETIC.reference["macs"].value
    assert 0.49 < spent <= 0.5


def test_bounds_on_what_must_be_measured_bind_nothing() -> None:
    walk = LayerWalk(bounded(SPACES["pruning"], latency_ms="<= 3", top1_error="<= 0.1"), LayerOptions(bounds="wall"))
    assert not walk.cost_bounds.binds
    assert walk.rollout(lambda _layer, _state: np.ones(1)).point == dict(SPACES["pruning"].neutral)


def test_a_bound_that_nothing_meets_binds_nothing() -> None:
    assert not LayerWalk(bounded(SPACES["pruning"], macs="<= 0.001x"), LayerOptions()).cost_bounds.binds


def test_the_states_of_a_walk_follow_from_its_point() -> None:
    """Channels are many here, so what was executed is close to what was proposed."""
    walk = LayerWalk(SYNTHETIC, LayerOptions(bounds="wall"))
    for episode in walks(walk, 4):
        policy = SYNTHETIC.space.canonical(episode.point)
        again = walk.of(SYNTHETIC.space.executed(policy, episode.point))
        assert again.states == pytest.approx(episode.states, abs=0.05)
        assert again.actions == pytest.approx(episode.actions, abs=0.05)
        assert not np.array_equal(again.actions, episode.actions)  # rounded


def test_a_state_tells_what_was_done_and_what_is_left() -> None:
    """Two layers of equal MACs, half of which may be spent: after the first at full width nothing is left to spend."""
    layers = instance(0, n_layers=4)
    problem = layers.problem()
    walk = LayerWalk(problem, LayerOptions(bounds="none", identity=False, history=False))
    full = walk.rollout(lambda layer, _state: np.array([1.0 if layer == 0 else 0.0]))
    before, remaining, headroom = full.states[1, -3:]
    share = layers.macs[0] / layers.macs.sum()
    rest = 1 - share
    assert before == 1.0
    assert remaining == pytest.approx(1.0)  # of the network as compressed so far: nothing yet
    assert (headroom + 1) / 2 == pytest.approx(np.clip((0.5 - share - 0.1 * rest) / (0.9 * rest), 0, 1), abs=0.02)
    assert full.states[2, -2] == pytest.approx(2 * (1 - 0.9 * layers.macs[1] / layers.macs.sum()) - 1, abs=0.02)


def test_s3_tells_the_remaining_bops_too() -> None:
    space = SPACES["every method"]
    problem = bounded(space)
    features = [LayerWalk(problem, LayerOptions(state=state)).n_features for state in ("s1", "s3")]
    assert features[0] - features[1] == 3 - 1  # three geometric features less, one cost more


def test_parameters_of_no_group_are_decided_last() -> None:
    space = SPACES["pruning"]
    missing = space.groups[0].parameters
    walk = LayerWalk(Problem(SearchSpace(space.distributions, space.groups[1:]), {"x": "minimize"}), LayerOptions())
    assert walk.n_layers == len([group for group in space.groups if group.parameters])
    point = walk.rollout(lambda layer, _state: np.full(walk.n_actions, float(layer < walk.n_layers - 1))).point
    assert all(point[name] == getattr(space.distributions[name], "low") for name in missing)  # noqa: B009
    space.check(point)


def test_a_plain_space_is_refused() -> None:
    plain: Any = SPACES["pruning"].distributions
    with pytest.raises(ConfigError, match="layer groups"):
        LayerWalk(Problem(plain, {"x": "minimize"}), LayerOptions())
