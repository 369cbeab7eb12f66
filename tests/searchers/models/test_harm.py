"""Harms that add up, and the process around them: slopes against differences, and the process against its formulas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from scipy.optimize import approx_fprime

from moco.searchers.models.gaussian_process import GaussianProcess, SharedInputs, fitted
from moco.searchers.models.harm import Harm
from moco.searchers.models.harm_process import HarmProcess, fitted_remainder, most_likely
from moco.searchers.models.kernels import constant, kernels_of, matern
from moco.searchers.models.policy_features import PolicyFeatures
from moco.searchers.models.policy_models import harm_of
from moco.space import LayerGroup, SearchSpace

HARM = Harm(
    np.array([0, 1, 2, 4]),
    np.array([0, 0, 0, 1]),
    np.array([3, 1]),
    np.array([False, False, False, True]),
    neutral_logit=-2.0,
)
WIDTH = 5  # column 3 is no harm's
KERNELS = (constant(), matern((tuple(range(WIDTH)),), 0.5), matern(tuple((c,) for c in range(WIDTH)), 1.0))
REMAINDER = np.array([0.02, 0.1, 0.05])


@pytest.fixture
def inputs() -> np.ndarray:
    found = np.random.default_rng(0).random((30, WIDTH))
    found[:, 4] = np.round(found[:, 4])
    found[0] = 0.0
    return found


def logits_of(harm: Harm, inputs: np.ndarray, seed: int = 1) -> np.ndarray:
    """Of one draw from the prior."""
    return harm.logits(np.random.default_rng(seed).standard_normal(harm.size), inputs)[0]


def test_nothing_is_lost_at_neutral_and_every_harm_adds_to_the_error(inputs: np.ndarray) -> None:
    z = np.random.default_rng(1).standard_normal(HARM.size)
    whole = HARM.logits(z, np.zeros((1, WIDTH)))[0]
    assert whole == pytest.approx(-2.0 + 2.0 * z[-2], abs=0.01)  # the logit of e_0
    for column in HARM.columns:
        deeper = np.zeros((3, WIDTH))
        deeper[:, column] = [0.1, 0.5, 1.0]
        assert np.all(np.diff(np.append(whole, HARM.logits(z, deeper)[0])) >= 0)
    other = inputs.copy()
    other[:, 3] = 0.5
    np.testing.assert_array_equal(HARM.logits(z, inputs)[0], HARM.logits(z, other)[0])


def test_slopes_are_those_of_differences(inputs: np.ndarray) -> None:
    for seed in range(3):
        z = np.random.default_rng(seed).standard_normal(HARM.size)
        expected = [approx_fprime(z, lambda z, row=row: HARM.logits(z, row[None])[0][0], 1e-6) for row in inputs]
        np.testing.assert_allclose(HARM.logits(z, inputs)[1], expected, atol=1e-4)


def test_a_layer_that_is_out_at_its_far_end_has_its_sensitivity_as_its_harm() -> None:
    """One kind of three, by the formula: the level shared by three, at depth 1 whatever a and b are."""
    z = np.zeros(HARM.size)
    at = np.zeros((1, WIDTH))
    at[0, 1] = 1.0
    total = 1.5 / 3 + 1e-4
    lost = total**1.3 / (1 + total**1.3)
    e_0, e_1 = 1 / (1 + np.exp(2.0)), 1 / (1 + np.exp(-2.5))
    error = e_0 + (e_1 - e_0) * lost
    assert HARM.logits(z, at)[0] == pytest.approx(np.log(error / (1 - error)))


def test_the_most_likely_coordinates_have_no_slope_left(inputs: np.ndarray) -> None:
    logits, left = logits_of(HARM, inputs), 0.01 * np.eye(len(inputs))
    z = most_likely(HARM, inputs, logits, left)

    def loss(z: np.ndarray) -> float:
        return float(0.5 * np.sum((HARM.logits(z, inputs)[0] - logits) ** 2) / 0.01 + 0.5 * z @ z)

    drawn = np.random.default_rng(3).standard_normal((20, HARM.size))
    assert loss(z) < loss(np.zeros(HARM.size))
    assert all(loss(z + 0.05 * step) > loss(z) - 1e-3 for step in drawn)


def test_the_process_is_the_gaussian_one_whose_kernel_the_slopes_make(inputs: np.ndarray) -> None:
    """Against the formulas of conditioning, written with inverses."""
    rng = np.random.default_rng(5)
    logits, noise = logits_of(HARM, inputs) + 0.1 * rng.standard_normal(30), np.full(30, 0.01)
    others = rng.random((7, WIDTH))
    shared = SharedInputs(KERNELS, inputs)
    process = HarmProcess.of(HARM, inputs, shared.stack, REMAINDER, 0.02, (logits, noise))
    mean, sd = process.predict(shared.candidates(others))

    harm = replace(HARM, neutral_logit=float(logits.min()))
    (at, j), (there, j_there) = harm.logits(process.z, inputs), harm.logits(process.z, others)
    k, k_there = (
        sum(v * kernel.matrix(a, inputs) for v, kernel in zip(REMAINDER, KERNELS, strict=True))
        for a in (inputs, others)
    )
    inverse = np.linalg.inv(j @ j.T + k + (0.01 + 0.02 + 1e-4) * np.eye(30))
    cross = j_there @ j.T + k_there
    alone = np.sum(j_there**2, axis=1) + REMAINDER.sum()
    np.testing.assert_allclose(
        mean, there - j_there @ process.z + cross @ inverse @ (logits - at + j @ process.z), rtol=1e-5
    )
    np.testing.assert_allclose(sd, np.sqrt(alone - np.sum((cross @ inverse) * cross, axis=1)), rtol=1e-5)


def test_errors_are_predicted_better_than_by_a_process_that_knows_no_harms_and_within_their_doubt() -> None:
    twelve = tuple(range(12))
    harm = Harm(np.arange(12), np.zeros(12, dtype=int), np.array([12]), np.zeros(12, dtype=bool))
    kernels = kernels_of([twelve], [(column,) for column in twelve])
    priors, beside = (np.array([k.prior for k in kernels]), np.array([k.remainder_prior for k in kernels]))
    alone, near = np.flatnonzero(priors), np.flatnonzero(beside)
    covered, off = [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        told, others = 0.7 * rng.random((40, 12)), 0.7 * rng.random((200, 12))
        z = rng.standard_normal(harm.size)
        logits, true = (harm.logits(z, at)[0] for at in (told, others))
        data = logits + 0.05 * rng.standard_normal(40), np.full(40, 0.05**2)
        shared = SharedInputs(kernels, told)
        stack, candidates = shared.stack, shared.candidates(others)
        found = fitted_remainder(harm, told, stack[near], beside[near], data)
        mean, sd = HarmProcess.of(harm, told, stack[near], *found, data).predict(candidates.under(near))
        general = GaussianProcess.of(stack[alone], *fitted(stack[alone], priors[alone], data), data)
        without, _ = general.predict(candidates.under(alone))
        covered.append(np.mean(np.abs(mean - true) < 2 * sd))
        off.append((np.std(mean - true), np.std(without - true)))
    known, not_known = np.median(off, axis=0)
    assert known < 0.7 * not_known
    assert 0.85 < np.mean(covered) <= 1


def test_a_network_that_knows_next_to_nothing_is_not_expected_to_err_less_when_compressed() -> None:
    weak = replace(HARM, neutral_logit=3.0)
    deeper = np.linspace(0, 1, 5)[:, None] * np.ones(WIDTH)
    assert np.all(np.diff(weak.logits(np.zeros(HARM.size), deeper)[0]) > 0)


def test_what_harms_do_not_explain_is_left_to_the_kernels() -> None:
    """An error that falls with depth: no harm does that."""
    rng = np.random.default_rng(2)
    told, others = rng.random((40, WIDTH)), rng.random((50, WIDTH))
    shared, data = SharedInputs(KERNELS, told), (-told.mean(axis=1), np.full(40, 1e-3))
    found = fitted_remainder(HARM, told, shared.stack, np.full(len(KERNELS), 0.1), data)
    process = HarmProcess.of(HARM, told, shared.stack, *found, data)
    mean, _ = process.predict(shared.candidates(others))
    assert np.corrcoef(mean, -others.mean(axis=1))[0, 1] > 0.95


def test_what_compresses_is_read_from_the_space() -> None:
    """Numbers that have a direction, ordered choices, and of other choices all but neutral's; each with its kind."""
    distributions = {
        "a.keep": FloatDistribution(0.1, 1.0),
        "a.drop": CategoricalDistribution((False, True)),
        "b.keep": FloatDistribution(0.1, 1.0),
        "b.mode": CategoricalDistribution(("whole", "low rank", "sparse")),
        "b.bits": IntDistribution(2, 8),
    }
    groups = (LayerGroup("a", ("a.keep", "a.drop")), LayerGroup("b", ("b.keep", "b.mode", "b.bits")))
    neutral = {"a.keep": 1.0, "a.drop": False, "b.keep": 1.0, "b.mode": "whole", "b.bits": 8}
    space = SearchSpace(distributions, groups, neutral)
    every = PolicyFeatures(space)
    names = [
        "a.keep",
        "a.drop=False",
        "a.drop=True",
        "b.keep",
        "b.mode=whole",
        "b.mode=low rank",
        "b.mode=sparse",
        "b.bits",
    ]
    assert every.width == len(names)
    assert [names[column] for column, _, _, _ in every.compressing()] == [
        "a.keep", "b.keep", "a.drop=True", "b.mode=low rank", "b.mode=sparse", "b.bits",
    ]  # fmt: skip
    harm = harm_of(every)
    assert harm.kinds.tolist() == [0, 0, 1, 2, 2, 3]
    assert harm.parameters.tolist() == [2, 1, 1, 1]
    assert harm.is_choice.tolist() == [False, False, True, True, True, False]
    told = PolicyFeatures(space, directed={"b.bits"})
    assert harm_of(told).kinds.tolist() == [0, 1, 1, 2]


def test_a_space_in_which_nothing_compresses_has_no_harms() -> None:
    space = SearchSpace({"x": FloatDistribution(0.0, 1.0)}, neutral={"x": 0.0})
    harm = harm_of(PolicyFeatures(space, directed={"y"}))
    assert harm.size == 3
    np.testing.assert_allclose(harm.logits(np.zeros(3), np.array([[0.2], [0.9]]))[0], 0.0, atol=0.01)
