"""Rank tests against scipy, by brute force, by hand, and how often they err when nothing differs."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats

from moco.comparison.rank_tests import (
    ALPHA,
    Verdict,
    a12,
    differences,
    friedman,
    holm,
    pairs,
    seeds_needed,
    signed_rank,
)
from moco.randomness import generator


@pytest.mark.parametrize("n", [1, 3, 5, 8, 12, 20])
def test_the_signed_rank_test_is_scipys_exact_one(n: int) -> None:
    given = generator(n, "differences").normal(0.3, 1.0, n)
    found, expected = signed_rank(given.tolist()), stats.wilcoxon(given, method="exact")
    assert found.p == pytest.approx(expected.pvalue, abs=1e-12)
    assert min(found.w_plus, found.w_minus) == expected.statistic


@pytest.mark.parametrize("given", [[1, 1, -1, 2, 2, 3], [2, -2, 2, 2], [5, 1, 1, 1, -1], [-1, -1, -1, -3, 3, 7, 7]])
def test_with_ties_it_is_exact_over_all_signs(given: list[float]) -> None:
    ranks = stats.rankdata(np.abs(given))
    sums = np.array([np.dot(ranks, signs) for signs in product((0, 1), repeat=len(given))])
    found = signed_rank(given)
    tail = np.mean(sums <= min(found.w_plus, found.w_minus) + 1e-9)
    assert found.p == pytest.approx(min(2 * tail, 1.0))


def test_the_signed_rank_test_by_hand() -> None:
    """Wilcoxon's own kind of example: ranks 1, 2, 3, 4 and one sign against; of 16 signs, two sums are <= 1."""
    found = signed_rank([-0.1, 0.2, 0.3, 0.4])
    assert (found.n, found.w_plus, found.w_minus) == (4, 9.0, 1.0)
    assert found.p == pytest.approx(2 * 2 / 16)
    assert found.rank_biserial == pytest.approx(0.8)


def test_zeros_are_left_out_and_all_zeros_say_nothing() -> None:
    assert signed_rank([0.0, 0.0, 1.0, 2.0]) == signed_rank([1.0, 2.0])
    nothing = signed_rank([0.0, 0.0])
    assert (nothing.n, nothing.p, nothing.rank_biserial) == (0, 1.0, 0.0)


def test_a_run_that_found_nothing_is_the_worst_and_two_of_them_are_equal() -> None:
    assert differences([1.0, -math.inf, -math.inf], [-math.inf, -math.inf, 3.0]) == [math.inf, 0.0, -math.inf]
    found = signed_rank([math.inf, math.inf, 1.0, -2.0])
    assert (found.w_plus, found.w_minus) == (3.5 + 3.5 + 1.0, 2.0)


def test_holm_by_hand() -> None:
    """0.01 x 4, 0.02 x 3, 0.03 x 2, then never less than before; none beyond 1."""
    assert holm([0.03, 0.01, 0.9, 0.02]) == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def by_strategy(values: np.ndarray) -> dict[str, list[float]]:
    """A table (seeds, strategies), the strategies called by their place."""
    return {str(place): column.tolist() for place, column in enumerate(values.T)}


@pytest.mark.parametrize("seed", range(4))
def test_friedmans_test_is_scipys(seed: int) -> None:
    values = generator(seed, "table").integers(0, 4, size=(6, 4)).astype(float)
    found, expected = friedman(by_strategy(values)), stats.friedmanchisquare(*values.T)
    assert found is not None
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.agreement == pytest.approx(expected.statistic / (6 * 3))


def test_friedmans_test_by_hand() -> None:
    """Four seeds that agree on 3 > 2 > 1: chi-square n (k - 1) = 8, W = 1."""
    found = friedman(by_strategy(np.tile([1.0, 3.0, 2.0], (4, 1))))
    assert found is not None
    assert (found.statistic, found.agreement) == (pytest.approx(8), pytest.approx(1))
    assert found.mean_ranks == {"0": 3.0, "1": 1.0, "2": 2.0}
    assert found.p == pytest.approx(math.exp(-4))  # of chi-square with two degrees of freedom


def test_friedmans_test_of_equals_and_of_too_few() -> None:
    found = friedman(by_strategy(np.zeros((3, 4))))
    assert found is not None
    assert (found.statistic, found.p) == (0.0, 1.0)
    assert friedman(by_strategy(np.zeros((5, 2)))) is None
    assert friedman(by_strategy(np.zeros((1, 3)))) is None
    assert friedman({}) is None


def test_a12_by_hand() -> None:
    assert a12([3, 4], [1, 2]) == 1.0
    assert a12([1, 2], [1, 2]) == 0.5
    assert a12([1, 3], [2, 2, 3]) == pytest.approx((0 + 0 + 0 + 1 + 1 + 0.5) / 6)
    assert a12([-math.inf, 1], [-math.inf, 0]) == pytest.approx((0.5 + 0 + 1 + 1) / 4)


def runs(values: list[float]) -> dict[int, float]:
    return dict(enumerate(values))


def test_pairs_are_told_of_the_first_on_shared_seeds() -> None:
    found = pairs({"a": runs([3, 4, 5]), "b": runs([1, 4, 6, 9]), "c": {}, "d": runs([2])})
    first = found[0]
    assert [(p.first, p.second, p.seeds) for p in found] == [
        ("a", "b", 3),
        ("a", "d", 1),
        ("b", "d", 1),
    ]
    assert (first.wins, first.ties, first.losses, first.median_difference) == (1, 1, 1, 0.0)
    assert first.p_holm == 1.0


def test_between_found_nothing_and_found_something_there_is_no_median() -> None:
    (pair,) = pairs({"a": runs([1.0, -math.inf]), "b": runs([-math.inf, 1.0])})
    assert pair.median_difference is None
    assert pair.verdict is Verdict.CANNOT_TELL


def test_a_clear_difference_is_called_better_and_worse() -> None:
    better, worse = runs([float(n) for n in range(6)]), runs([n - 1.0 for n in range(6)])
    (pair,) = pairs({"a": better, "b": worse})
    (back,) = pairs({"b": worse, "a": better})
    assert (pair.verdict, back.verdict) == (Verdict.BETTER, Verdict.WORSE)
    assert pair.p == pytest.approx(2 / 64)
    assert (pair.rank_biserial, back.rank_biserial) == (1.0, -1.0)


@pytest.mark.parametrize(("strategies", "seeds"), [(2, 6), (3, 7), (4, 8), (6, 10)])
def test_how_many_seeds_are_needed_for_any_verdict(strategies: int, seeds: int) -> None:
    """One less, and no data at all could tell the best from the second, though it wins on every seed."""
    assert seeds_needed(strategies) == seeds
    for count, expected in ((seeds - 1, Verdict.CANNOT_TELL), (seeds, Verdict.BETTER)):
        # all pairs but the first are equal: the first has the smallest probability there can be
        values = {"first": runs([1.0 + n for n in range(count)])}
        values |= {f"other{k}": runs([0.0] * count) for k in range(strategies - 1)}
        found = pairs(values)
        alike = [pair for pair in found if "first" not in (pair.first, pair.second)]
        assert all(pair.verdict is Verdict.CANNOT_TELL for pair in alike)
        assert found[0].verdict is expected


def test_three_seeds_can_never_tell() -> None:
    (pair,) = pairs({"a": runs([10.0, 20.0, 30.0]), "b": runs([0.0, 0.0, 0.0])})
    assert pair.p == pytest.approx(0.25)
    assert pair.verdict is Verdict.CANNOT_TELL


@pytest.mark.parametrize(("strategies", "seeds"), [(2, 10), (4, 10), (6, 12)])
@pytest.mark.slow
def test_where_all_are_equal_a_wrong_verdict_is_rare(strategies: int, seeds: int) -> None:
    """A fair coin: over 1,000 comparisons of equals, those with any verdict are at most 5 %.

    The test is exact and Holm's correction errs on the careful side, so the true rate is at most 0.05; the bound is
    three standard errors above.
    """
    rng, wrong, rounds = generator(0, "fair coin", strategies), 0, 1000
    for _ in range(rounds):
        values = {str(k): runs(rng.normal(size=seeds).tolist()) for k in range(strategies)}
        wrong += any(pair.verdict is not Verdict.CANNOT_TELL for pair in pairs(values))
    assert wrong / rounds <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / rounds)
    assert wrong > 0  # it does speak sometimes


def test_a_true_difference_is_found() -> None:
    """Two standard deviations over 10 seeds: with the seed's own share in both, nearly always."""
    rng, found = generator(1, "power"), 0
    for _ in range(100):
        shared = rng.normal(size=10)
        a, b = shared + 1.5 + rng.normal(size=10), shared + rng.normal(size=10)
        (pair,) = pairs({"a": runs(a.tolist()), "b": runs(b.tolist())})
        found += pair.verdict is Verdict.BETTER
    assert found >= 70
