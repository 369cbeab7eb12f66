"""What a network takes on S3's device, as a share of the uncompressed one's: modelled from what its paper says.

S3 timed a Cortex-A72 under TVM, with bit-serial kernels for few bits. Runtimes here run few bits on int8's kernels, so
that a time measured here would not fall with them, and bit operations would: int8 alone leaves a sixteenth of those,
and a target of a fifth would ask nothing of anybody. So a layer's time is its multiply-accumulates times

    1                    in float32,
    0.6                  in int8: S3's agent that quantises first, aimed at 0.6, put every layer into int8;
    0.6 w a / 36         in w bits of weights and a of activations: bit-serial kernels take every pair of bit planes
                         in turn, and beyond 6 bits they are slower than int8.

Of what is printed it was not fitted to, the joint network (0.594 of the MACs, 23.9 bit operations a MAC) comes to 0.24
where 0.194 was measured. Left out is what does not scale with multiplications: memory, calls, additions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from moco.compression.costs import AnalyticCost
from moco.compression.policy_settings import NEUTRAL
from moco.compression.space.codec import cost_of
from moco.policy import Policy

FLOAT_PRODUCT, INT8_PRODUCT, MOST_PRODUCT = 32 * 32, 8 * 8, 6 * 6
"""Bits of a weight times those of an activation: in float32, in int8, and the most that are no slower than int8."""
INT8_SHARE = 0.6


def time_of(product: float) -> float:
    """Time of a multiplication of so many bit operations, over that of float32."""
    if product >= FLOAT_PRODUCT:
        return 1.0
    return INT8_SHARE if product >= INT8_PRODUCT else INT8_SHARE * product / MOST_PRODUCT


@dataclass(frozen=True)
class ModelledLatency:
    """The model of one network."""

    costs: AnalyticCost

    def ratio(self, policy: Policy) -> float:
        """Of the policy's network, over that of the uncompressed one."""
        return self._time(policy) / self._time(NEUTRAL)

    def _time(self, policy: Policy) -> float:
        layers = [cost_of(replace(self.costs, layers=(layer,)), policy) for layer in self.costs.layers]
        return sum(_time(layer) for layer in layers if layer["macs"])


def _time(layer: Mapping[str, float]) -> float:
    return layer["macs"] * time_of(layer["bops"] / layer["macs"])
