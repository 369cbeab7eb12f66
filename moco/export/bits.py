"""Codes of 1 to 8 bits: the pure functions that the file, fake quantization and the counts share.

| symbol | meaning |
|---|---|
| b | bits of a code, 1 to 8 |
| activation | one scale a tensor, unsigned: value = scale × (code − zero_point), codes 0..2^b − 1, zero exact |
| weight | one scale an output channel, symmetric: value = scale × code, codes −(2^(b−1) − 1)..2^(b−1) − 1, zero exact |
| weight, b = 1 | codes −1 and +1, scale = mean |w| of the channel (Rastegari 2016, eq. 6: the least-squares scale) |

Departures from Galen (S3.12, S3.13), whose codes are asymmetric per channel and dynamic: the runtime's kernels take
static scales, one a tensor for activations, and are fast only where weights are symmetric.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scale:
    """Value = scale x (code - zero_point), codes 0..2^bits - 1."""

    scale: float
    zero_point: int
    bits: int = 8

    @staticmethod
    def of(low: float, high: float, bits: int = 8) -> Scale:
        """The scale whose 2^bits codes span [low, high] widened to hold 0, which is represented exactly."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = float(np.float32((high - low) / (2**bits - 1)))
        if scale < np.finfo(np.float32).tiny:  # nothing but zero was seen
            return Scale(1.0, 0, bits)
        return Scale(scale, round(-low / scale), bits)

    @property
    def top(self) -> int:
        """The highest code."""
        return int(2**self.bits) - 1

    def codes(self, values: np.ndarray) -> np.ndarray:
        """Codes (uint8, any shape) of the values, as QuantizeLinear and a Clip of its codes give them."""
        scaled = np.rint(np.asarray(values, np.float32) / np.float32(self.scale)) + self.zero_point
        return np.asarray(np.clip(scaled, 0, self.top), np.uint8)

    def values(self, codes: np.ndarray) -> np.ndarray:
        """What the codes stand for (float32, any shape)."""
        return np.asarray((codes.astype(np.float32) - np.float32(self.zero_point)) * np.float32(self.scale))


def highest_weight_code(bits: int) -> int:
    """The highest of the symmetric codes of a weight: 127 at 8 bits, 1 at 2 bits and at 1 bit."""
    return max((1 << bits - 1) - 1, 1)


def weight_scales(
    weights: np.ndarray, bits: int, bias: np.ndarray | None, input_scale: float, shares: np.ndarray | float = 1.0
) -> np.ndarray:
    """Per-channel scales (channels,), float32: symmetric, and wide enough for the 32-bit bias.

    The highest code stands for the largest magnitude of a channel of `weights` (channels, ...), at 1 bit for its mean;
    for a share of that where `shares`, one for all or one a channel, are below 1. The bias (channels,) is stored in 32
    bits at `input_scale`, that of the activations that the layer reads, x scale.
    """
    flat = np.abs(weights.reshape(len(weights), -1))
    largest = flat.mean(axis=1) if bits == 1 else flat.max(axis=1)
    scales = largest / highest_weight_code(bits) * np.asarray(shares, np.float32)
    if bias is not None:
        scales = np.maximum(scales, np.abs(bias) / (input_scale * 2**30))
    return np.where(scales > 0, scales, 1.0).astype(np.float32)


def weight_codes(weights: np.ndarray, bits: int, scales: np.ndarray) -> np.ndarray:
    """Codes (int8, shape of `weights`), at most 2^bits different ones in a channel.

    At 1 bit every weight is -1 or +1, zeros too (+1), but for a channel of nothing but zeros, whose codes are 0.
    """
    wide = channelwise(scales, weights)
    if bits == 1:
        silent = channelwise(~np.any(weights.reshape(len(weights), -1), axis=1), weights)
        return np.where(silent, 0, np.where(weights >= 0, 1, -1)).astype(np.int8)
    limit = highest_weight_code(bits)
    return np.asarray(np.clip(np.rint(weights / wide), -limit, limit), np.int8)


def channelwise(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Values by channel (channels,), shaped to go with the weights (channels, ...)."""
    return np.expand_dims(values, tuple(range(1, weights.ndim)))
