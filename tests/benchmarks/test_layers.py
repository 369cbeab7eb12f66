"""The synthetic layer problem: its optimum against another method, and that its costs and roundings are exact."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.problems.layers import BUDGET, LOWEST_KEEP, Layers, instance
from moco.encoding import decode
from moco.trial import MetricValue

SEEDS = range(8)


def by_multiplier(layers: Layers) -> np.ndarray:
    """The optimum without interaction, by its conditions: 2 s_i (1 - a_i) = price m_i, clipped; the price bisected."""
    shares = layers.macs / layers.macs.sum()
    low, high = 0.0, 1e6
    for _ in range(200):
        price = (low + high) / 2
        keep = np.clip(1 - price * shares / (2 * layers.sensitivities), LOWEST_KEEP, 1.0)
        low, high = (price, high) if shares @ keep > BUDGET else (low, price)
    return keep


@pytest.mark.parametrize("seed", SEEDS)
def test_the_optimum_is_that_of_the_multiplier(seed: int) -> None:
    layers = instance(seed)
    assert layers.loss(layers.optimum) == pytest.approx(layers.loss(by_multiplier(layers)), rel=1e-5)
    assert layers.optimum == pytest.approx(by_multiplier(layers), abs=0.02)


@pytest.mark.parametrize("interaction", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_within_the_bound_is_better_than_the_optimum(seed: int, interaction: bool) -> None:
    layers = instance(seed, interaction)
    shares, rng = layers.macs / layers.macs.sum(), np.random.default_rng(seed)
    assert shares @ layers.optimum <= BUDGET + 1e-9
    near = np.clip(layers.optimum + rng.normal(0, 0.05, (500, 15)), LOWEST_KEEP, 1.0)
    far = rng.uniform(LOWEST_KEEP, 1.0, (500, 15))
    legal = [keep for keep in (*near, *far) if shares @ keep <= BUDGET]
    assert len(legal) > 100
    assert min(layers.gap(layers.loss(keep)) for keep in legal) >= -1e-6


@pytest.mark.parametrize("seed", SEEDS)
def test_the_loss_with_interaction_is_convex(seed: int) -> None:
    layers = instance(seed, interaction=True)
    pairs = np.diag(layers.interactions, 1)
    hessian = 2 * np.diag(layers.sensitivities) + pairs + pairs.T
    assert np.linalg.eigvalsh(hessian).min() > 0
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, 15))
    assert 2 * layers.loss((a + b) / 2) - layers.loss(a) - layers.loss(b) == pytest.approx(
        -(a - b) @ hessian @ (a - b) / 4
    )


def test_costs_are_those_of_what_is_evaluated() -> None:
    layers = instance(3)
    space = layers.problem().space
    rng = np.random.default_rng(0)
    for _ in range(20):
        policy = space.canonical(decode(space, rng.random(15)))
        executed = space.executed(policy, {})
        assert space.canonical(executed) == policy
        assert space.cost(policy)["macs"] == pytest.approx(layers.evaluate(executed)["macs"])


def test_half_of_the_macs_may_be_spent() -> None:
    layers = instance(0)
    (bound,) = layers.problem().bounds
    assert bound.violation(MetricValue(BUDGET * layers.macs.sum())) == 0
    assert bound.violation(MetricValue(0.51 * layers.macs.sum())) == pytest.approx(0.02)


def test_features_explain_most_of_the_sensitivities() -> None:
    """Over many instances the law explains 0.6 to 0.9 of their variance; the rest is noise."""
    explained = []
    for seed in range(60):
        layers = instance(seed)
        columns = [layers.features["index"], np.log(layers.macs), np.log(layers.features["weights"])]
        design = np.stack([*columns, layers.features["kernel"], np.ones(15)], axis=1)
        target = np.log(layers.sensitivities)
        residual = target - design @ np.linalg.lstsq(design, target, rcond=None)[0]
        explained.append(1 - residual.var() * 15 / 10 / target.var())  # five numbers were fitted
    assert 0.6 < np.mean(explained) < 0.9


def test_instances_differ_and_come_again() -> None:
    assert instance(5).sensitivities.tolist() == instance(5).sensitivities.tolist()
    assert instance(5).sensitivities.tolist() != instance(6).sensitivities.tolist()
    assert np.array_equal(instance(5).sensitivities, instance(5, interaction=True).sensitivities)
