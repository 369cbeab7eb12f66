"""Codes of 1 to 8 bits: how many values, how far off, and what is exact (W32)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moco.compression.precision import Bits
from moco.errors import CompressionError
from moco.export.bits import (
    Scale,
    channelwise,
    highest_weight_code,
    weight_codes,
    weight_scales,
)

ALL_BITS = range(1, 9)
seeds = st.integers(0, 2**32 - 1)


def weights_of(seed: int, channels: int = 4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(channels, 3, 3, 3)) * 10.0 ** rng.integers(-4, 4)).astype(np.float32)


def decoded(weights: np.ndarray, bits: int, shares: float = 1.0) -> np.ndarray:
    scales = weight_scales(weights, bits, None, 1.0, shares)
    return weight_codes(weights, bits, scales) * channelwise(scales, weights)


@pytest.mark.parametrize("bits", [(0, 8), (9, 8), (8, 0), (8, 9), (True, 8), (4.0, 8)])
def test_other_numbers_of_bits_are_refused(bits: tuple[int, int]) -> None:
    with pytest.raises(CompressionError, match="expected 1 to 8 bits for"):
        Bits(*bits)


@pytest.mark.parametrize("bits", ALL_BITS)
@given(st.floats(-1e4, 1e4), st.floats(0, 1e4), st.lists(st.floats(-0.5, 1.5), min_size=1, max_size=300))
def test_activations_take_at_most_2_to_the_b_values_within_half_a_step_and_zero_is_exact(
    bits: int, low: float, width: float, shares: list[float]
) -> None:
    bottom, top = min(low, 0.0), max(low + width, 0.0)
    values = (bottom + np.array(shares) * (top - bottom)).astype(np.float32)
    scale = Scale.of(low, low + width, bits)
    codes = scale.codes(values)
    error = np.abs(scale.values(codes).astype(float) - values)
    inside = (values >= bottom) & (values <= top)

    assert len(np.unique(codes)) <= 2**bits
    assert codes.max() <= scale.top == 2**bits - 1
    assert 0 <= scale.zero_point <= scale.top
    assert np.all(error[inside] <= scale.scale * (0.5 + 1e-4) + 1e-12)
    assert scale.values(scale.codes(np.zeros(1))) == 0


@given(seeds)
def test_more_bits_of_activations_have_smaller_errors(seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=500).astype(np.float32)
    scales = [Scale.of(values.min(), values.max(), bits) for bits in ALL_BITS]
    errors = [float(np.square(s.values(s.codes(values)) - values).sum()) for s in scales]

    assert errors == sorted(errors, reverse=True)
    assert errors[0] > errors[-1]


def test_the_range_of_four_bits_ends_where_sixteen_codes_end() -> None:
    assert Scale.of(0.0, 15.0, 4) == Scale(1.0, 0, 4)
    assert Scale.of(-3.0, 12.0, 4) == Scale(1.0, 3, 4)
    assert Scale.of(0.0, 0.0, 4) == Scale(1.0, 0, 4)
    np.testing.assert_array_equal(Scale(1.0, 3, 4).codes(np.array([-9.0, -3.0, 0.4, 12.0, 99.0])), [0, 0, 3, 15, 15])


@pytest.mark.parametrize(("bits", "highest"), [(1, 1), (2, 1), (3, 3), (4, 7), (8, 127)])
def test_the_highest_weight_code_leaves_the_codes_symmetric(bits: int, highest: int) -> None:
    assert highest_weight_code(bits) == highest
    weights = np.linspace(-1, 1, 1001, dtype=np.float32)[None]
    codes = weight_codes(weights, bits, weight_scales(weights, bits, None, 1.0))
    assert (codes.min(), codes.max()) == (-highest, highest)


@pytest.mark.parametrize("bits", ALL_BITS)
@given(seeds)
def test_weights_take_at_most_2_to_the_b_codes(bits: int, seed: int) -> None:
    weights = weights_of(seed)
    codes = weight_codes(weights, bits, weight_scales(weights, bits, None, 1.0))

    assert codes.dtype == np.int8
    assert len(np.unique(codes)) <= 2**bits
    assert np.abs(codes.astype(int)).max() <= highest_weight_code(bits)


@pytest.mark.parametrize("bits", range(2, 9))
@given(seeds)
def test_weights_are_within_half_a_step_and_zeros_stay_zeros(bits: int, seed: int) -> None:
    weights = weights_of(seed)
    weights[:, 0] = 0
    scales = weight_scales(weights, bits, None, 1.0)

    assert np.all(np.abs(decoded(weights, bits) - weights) <= channelwise(scales, weights) * (0.5 + 1e-4))
    assert not np.any(decoded(weights, bits)[:, 0])


@given(seeds)
def test_more_bits_of_weights_have_smaller_errors(seed: int) -> None:
    # From 2 bits on: the binary scale is fitted to the weights, so one bit can be nearer than the ternary codes.
    weights = weights_of(seed, 16)
    errors = [float(np.square(decoded(weights, bits) - weights).sum()) for bits in range(2, 9)]

    assert errors == sorted(errors, reverse=True)


@given(seeds)
def test_binary_weights_are_the_nearest_that_signs_times_a_scale_can_be(seed: int) -> None:
    # Rastegari et al. 2016, eq. 6: the least-squares scale of sign(w) is mean |w|.
    weights = weights_of(seed)
    error, *others = (float(np.square(decoded(weights, 1, share) - weights).sum()) for share in (1.0, 0.9, 1.1))

    assert error <= min(others)


def test_binary_zeros_become_plus_one_but_a_channel_of_zeros_stays_zero() -> None:
    weights = np.array([[0.0, -2.0, 4.0], [0.0, 0.0, 0.0]], np.float32)
    scales = weight_scales(weights, 1, None, 1.0)

    np.testing.assert_array_equal(weight_codes(weights, 1, scales), [[1, -1, 1], [0, 0, 0]])
    np.testing.assert_array_equal(scales, [2.0, 1.0])


def test_a_share_of_the_scale_clips_the_largest_weights() -> None:
    weights = np.array([[7.0, -3.0, 1.0], [14.0, 2.0, -4.0]], np.float32)

    np.testing.assert_array_equal(decoded(weights, 4, 0.5), [[3.5, -3.0, 1.0], [7.0, 2.0, -4.0]])
    scales = weight_scales(weights, 4, None, 1.0, np.array([1.0, 0.5]))
    np.testing.assert_array_equal(weight_codes(weights, 4, scales), [[7, -3, 1], [7, 2, -4]])


def test_the_scale_is_wide_enough_for_the_32_bit_bias() -> None:
    scales = weight_scales(np.full((2, 1), 1e-9, np.float32), 8, np.array([0.0, 1.0], np.float32), 0.5)

    assert scales[0] == pytest.approx(1e-9 / 127)
    assert 1.0 / (scales[1] * 0.5) <= 2**30
