"""Factors of weights against TensorLy, the plain definitions, and the published cost rule."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import tensorly
import torch
from tensorly.decomposition import partial_tucker
from torch import nn

from moco.compression.methods.low_rank import (
    FactorCache,
    SvdFactors,
    SvdRank,
    TuckerFactors,
    TuckerRanks,
    factorised_parameters,
    is_neutral,
    pays,
    svd_rank,
    tucker_ranks,
    weight_shapes,
)
from moco.errors import CompressionError
from tests.policies import why_not

SHAPES = [(12, 8, 3, 3), (6, 10, 1, 3), (16, 16, 1, 1), (4, 40, 3, 3), (40, 4, 1, 1), (1, 1, 3, 3)]
MATRICES = [(7, 12), (12, 7), (9, 9), (5, 8, 1, 1), (8, 5, 1, 1), (1, 1)]


def weight_of(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tucker_error(weight: torch.Tensor, rank_in: int, rank_out: int) -> float:
    first, core, last = TuckerFactors.of(weight).truncated(rank_in, rank_out)
    rebuilt = torch.einsum("op,pqhw,qi->oihw", last[:, :, 0, 0], core, first[:, :, 0, 0])
    return float((weight - rebuilt).norm())


def slow_hosvd_error(weight: torch.Tensor, rank_in: int, rank_out: int) -> float:
    """The definition of S1.43: leading left singular vectors of the unfoldings, then the projection."""
    array = weight.numpy()
    u = np.linalg.svd(tensorly.base.unfold(array, 1), full_matrices=False)[0][:, :rank_in]
    v = np.linalg.svd(tensorly.base.unfold(array, 0), full_matrices=False)[0][:, :rank_out]
    rebuilt = tensorly.tenalg.multi_mode_dot(array, [v @ v.T, u @ u.T], modes=[0, 1])
    return float(np.linalg.norm(array - rebuilt))


@pytest.mark.parametrize("shape", SHAPES)
def test_full_ranks_rebuild_the_weight(shape: tuple[int, ...]) -> None:
    weight = weight_of(shape)

    assert tucker_error(weight, shape[1], shape[0]) < 1e-12 * float(weight.norm())


@pytest.mark.parametrize("shape", SHAPES[:4])
@pytest.mark.parametrize("ranks", [(1, 1), (2, 4), (8, 3)])
def test_tucker_error_is_that_of_the_singular_vectors_of_the_unfoldings(
    shape: tuple[int, ...], ranks: tuple[int, int]
) -> None:
    weight = weight_of(shape)

    assert tucker_error(weight, *ranks) == pytest.approx(slow_hosvd_error(weight, *ranks), rel=1e-10)


@pytest.mark.parametrize("ranks", [(2, 3), (5, 4), (8, 12)])
def test_tucker_error_is_within_root_two_of_tensorlys_iterated_optimum(ranks: tuple[int, int]) -> None:
    # Truncating d unfoldings is within sqrt(d) of the best of these ranks (De Lathauwer et al. 2000, property 10).
    weight = weight_of((12, 8, 3, 3))
    (core, factors), _ = partial_tucker(weight.numpy(), rank=[ranks[1], ranks[0]], modes=[0, 1])
    best = float(np.linalg.norm(weight.numpy() - tensorly.tenalg.multi_mode_dot(core, factors, modes=[0, 1])))
    ours = tucker_error(weight, *ranks)

    assert best - 1e-9 <= ours <= math.sqrt(2) * best + 1e-9
    if ranks == (8, 12):
        assert ours == pytest.approx(best, abs=1e-9)


def test_the_core_is_the_weight_projected_on_transposed_bases() -> None:
    weight = weight_of((6, 5, 3, 3))
    first, core, last = TuckerFactors.of(weight).truncated(3, 2)
    projected = tensorly.tenalg.multi_mode_dot(
        weight.numpy(), [last[:, :, 0, 0].numpy().T, first[:, :, 0, 0].numpy()], modes=[0, 1]
    )

    assert [tuple(factor.shape) for factor in (first, core, last)] == [(3, 5, 1, 1), (2, 3, 3, 3), (6, 2, 1, 1)]
    np.testing.assert_allclose(core.numpy(), projected, atol=1e-12)


def test_tucker_error_falls_with_either_rank() -> None:
    weight = weight_of((12, 8, 3, 3))
    by_in = [tucker_error(weight, rank, 6) for rank in range(1, 9)]
    by_out = [tucker_error(weight, 4, rank) for rank in range(1, 13)]

    assert by_in == sorted(by_in, reverse=True)
    assert by_out == sorted(by_out, reverse=True)


def test_a_weight_of_low_rank_is_rebuilt_by_these_ranks() -> None:
    u, v, core = weight_of((10, 2), 1), weight_of((12, 3), 2), weight_of((3, 2, 3, 3), 3)
    weight = torch.einsum("op,pqhw,iq->oihw", v, core, u)

    assert tucker_error(weight, 2, 3) < 1e-10 * float(weight.norm())
    assert tucker_error(weight, 1, 3) > 1e-2 * float(weight.norm())


@pytest.mark.parametrize("shape", MATRICES)
def test_svd_error_is_the_root_of_the_dropped_singular_values_squares(shape: tuple[int, ...]) -> None:
    weight = weight_of(shape)
    factors = SvdFactors.of(weight)
    singular = np.linalg.svd(weight.reshape(shape[:2]).numpy(), compute_uv=False)
    for rank in range(1, len(singular) + 1):
        first, last = factors.truncated(rank)
        error = float((weight.reshape(shape[:2]) - last.reshape(shape[0], rank) @ first.reshape(rank, -1)).norm())

        assert tuple(first.shape) == (rank, shape[1], *shape[2:])
        assert tuple(last.shape) == (shape[0], rank, *shape[2:])
        assert error == pytest.approx(float(np.sqrt(np.sum(singular[rank:] ** 2))), abs=1e-10)


def test_both_svd_layers_have_the_same_norm_in_each_channel() -> None:
    first, last = SvdFactors.of(weight_of((7, 12))).truncated(4)

    torch.testing.assert_close(first.norm(dim=1), last.norm(dim=0))


@pytest.mark.parametrize("shape", [(6, 9), (9, 6)])
def test_a_singular_matrix_has_finite_factors(shape: tuple[int, int]) -> None:
    weight = torch.zeros(shape)
    weight[2, 3] = 5.0
    first, last = SvdFactors.of(weight).truncated(6)

    assert bool(torch.isfinite(first).all())
    assert bool(torch.isfinite(last).all())
    torch.testing.assert_close(last @ first, weight)


def test_factors_have_the_type_of_the_weight_and_single_precision_is_enough_to_rebuild_it() -> None:
    weight = weight_of((32, 16, 3, 3)).float()
    first, core, last = TuckerFactors.of(weight).truncated(16, 32)
    rebuilt = torch.einsum("op,pqhw,qi->oihw", last[:, :, 0, 0], core, first[:, :, 0, 0])

    assert {factor.dtype for factor in (first, core, last)} == {torch.float32}
    assert float((weight - rebuilt).norm() / weight.norm()) < 2e-6


@pytest.mark.parametrize("make", [TuckerFactors.of, SvdFactors.of])
def test_a_weight_that_is_not_finite_is_refused(make: type[TuckerFactors]) -> None:
    weight = weight_of((4, 4, 1, 1))
    weight[1, 2] = math.nan
    with pytest.raises(CompressionError, match="not finite"):
        make(weight)  # type: ignore[call-arg]


# ---- costs


@pytest.mark.parametrize(
    ("setting", "shapes", "parameters"),
    [
        (TuckerRanks(3, 2), ((3, 8, 1, 1), (2, 3, 3, 3), (16, 2, 1, 1)), 24 + 54 + 32),
        (SvdRank(5), ((5, 8, 1, 1), (16, 5, 1, 1)), 40 + 80),
        (TuckerRanks(8, 16), ((16, 8, 3, 3),), 1152),
    ],
)
def test_parameters_are_those_of_the_factors(
    setting: TuckerRanks | SvdRank, shapes: tuple[tuple[int, ...], ...], parameters: int
) -> None:
    shape = (16, 8, 1, 1) if isinstance(setting, SvdRank) else (16, 8, 3, 3)

    assert weight_shapes(shape, setting) == shapes
    assert factorised_parameters(shape, setting) == parameters


def test_ranks_are_rounded_up_but_not_by_rounding_errors() -> None:
    assert tucker_ranks(0.5, 7, 10) == TuckerRanks(4, 5)
    assert tucker_ranks(0.001, 7, 10) == TuckerRanks(1, 1)
    assert tucker_ranks(1.0, 7, 10) == TuckerRanks(7, 10)
    assert 0.55 * 100 > 55  # so that a plain ceiling would give 56
    assert svd_rank(0.55, 100, 300) == SvdRank(55)


@pytest.mark.parametrize("keep", [0.0, -0.5, 1.5, math.nan])
def test_a_keep_ratio_outside_zero_to_one_is_refused(keep: float) -> None:
    with pytest.raises(CompressionError, match=r"expected a keep ratio in \(0, 1\]"):
        tucker_ranks(keep, 8, 8)


def test_a_setting_pays_below_break_even_and_not_above() -> None:
    shape = (64, 64, 3, 3)

    assert pays(shape, tucker_ranks(0.87, 64, 64))
    assert not pays(shape, tucker_ranks(0.90, 64, 64))
    assert not pays((144, 24, 1, 1), tucker_ranks(0.17, 24, 144))  # Q03: MobileNet's expansion grows
    assert pays((144, 24, 1, 1), tucker_ranks(0.10, 24, 144))
    assert pays((10, 64), SvdRank(8))
    assert not pays((10, 64), SvdRank(9))
    assert not pays((10, 64), SvdRank(10))  # neutral


def test_full_ranks_are_neutral() -> None:
    assert is_neutral((16, 8, 3, 3), tucker_ranks(1.0, 8, 16))
    assert not is_neutral((16, 8, 3, 3), TuckerRanks(8, 15))
    assert not is_neutral((16, 8, 3, 3), TuckerRanks(16, 8))
    assert is_neutral((10, 64), svd_rank(1.0, 64, 10))


@pytest.mark.parametrize(
    ("layer", "tucker", "svd"),
    [
        (nn.Conv2d(8, 8, 3), None, "its kernel is 3x3"),
        (nn.Conv2d(8, 8, 1), None, None),
        (nn.Linear(8, 8), "linear layer", None),
        (nn.Conv2d(3, 8, 3), "reads 3 channels", "its kernel is 3x3"),
        (nn.Conv2d(1, 8, 1), "reads 1 channels", "reads 1 channels"),
        (nn.Conv2d(8, 8, 3, groups=8), r"grouped convolution \(8 groups\)", r"grouped convolution"),
        (nn.Conv2d(8, 8, 1, groups=2), r"grouped convolution \(2 groups\)", r"grouped convolution"),
        (nn.BatchNorm2d(8), "it is a BatchNorm2d", "it is a BatchNorm2d"),
        (nn.MultiheadAttention(8, 2).out_proj, "NonDynamically", "NonDynamically"),  # its weight is read directly
    ],
)
def test_layers_that_cannot_be_factorised_say_why(layer: nn.Module, tucker: str | None, svd: str | None) -> None:
    for reason, expected in ((why_not(layer, "tucker"), tucker), (why_not(layer, "svd"), svd)):
        assert reason is None if expected is None else reason is not None and re.search(expected, reason)


# ---- the cache


class Counter:
    """Counts decompositions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        plain = np.linalg.eigh

        def eigh(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            self.calls += 1
            return plain(gram)

        monkeypatch.setattr("moco.compression.methods.low_rank.np.linalg.eigh", eigh)


def test_factors_of_the_networks_own_weight_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    network = nn.Sequential(nn.Conv2d(8, 6, 3), nn.Conv2d(6, 6, 1))
    cache, counter = FactorCache(network), Counter(monkeypatch)
    copied = network[0].weight.detach().clone()
    one, other = cache.factors(TuckerFactors, "0", copied), cache.factors(TuckerFactors, "0", network[0].weight)

    assert one is other
    assert counter.calls == 2  # one a mode
    first, again = (cache.factors(SvdFactors, "1", w) for w in (network[1].weight, network[1].weight.clone()))
    assert first is again
    assert counter.calls == 3


def test_a_pruned_or_changed_weight_is_factorised_anew_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    network = nn.Sequential(nn.Conv2d(8, 6, 3))
    weight = network[0].weight.detach()
    cache, counter = FactorCache(network), Counter(monkeypatch)
    own = cache.factors(TuckerFactors, "0", weight)
    pruned, refitted = weight[:4, 1:7].clone(), weight.clone()
    refitted[5, 7, 2, 2] += 1e-6

    for changed in (pruned, refitted):
        before = counter.calls
        found = cache.factors(TuckerFactors, "0", changed)
        torch.testing.assert_close(found.core, TuckerFactors.of(changed).core, rtol=0, atol=0)
        assert counter.calls == before + 4
    assert cache.factors(TuckerFactors, "0", weight) is own


def test_truncated_factors_do_not_share_memory_with_the_cached_ones() -> None:
    network = nn.Sequential(nn.Conv2d(8, 6, 3))
    cache = FactorCache(network)
    before = [factor.clone() for factor in cache.factors(TuckerFactors, "0", network[0].weight).truncated(4, 4)]
    for factor in cache.factors(TuckerFactors, "0", network[0].weight).truncated(4, 4):
        factor.zero_()

    after = cache.factors(TuckerFactors, "0", network[0].weight).truncated(4, 4)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
