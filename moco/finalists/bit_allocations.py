"""Bits for the weights of a network that is trained: no training is needed to write it in fewer.

A group's error by rounding falls by four with each bit, and its bytes grow with each by the weights it has. Where all
groups are alike sensitive, bytes buy least error where a group with four times the weights has a bit less: the
Lagrangian of bit allocation (A. Gersho and R. M. Gray, "Vector Quantization and Signal Compression", 1992, section
8.3). ResNet-56 had the same accuracy with 8, 6 and 4 bits in its three stages as with 8 in all; with 4 in all it lost
0.8 points more (docs/compression.md).
"""

from __future__ import annotations

import math

from optuna.distributions import IntDistribution

from moco.policy import Policy
from moco.space import SearchSpace
from moco.trial import Point

WEIGHT_BITS = "weight_bits"
"""What the parameters of a group's bits are called after its name (moco.compression.methods.quantization)."""
SIZE = "packed_size_mb"
LEAST_BITS = 4
"""With fewer a network is trained in codes, else it loses too much."""


def in_fewer_bits(space: SearchSpace, policy: Policy, point: Point) -> list[Policy]:
    """The policy with its weights in other bits, each smaller than the one before, all smaller than the policy itself.

    None where nothing at the point has bits to choose.
    """
    ranges = {name: d for name, d in space.distributions.items() if name in point and _is_bits(name)}
    bits = {name: d for name, d in ranges.items() if isinstance(d, IntDistribution) and d.low < d.high}
    a_bit_mb = {name: _a_bit_mb(space, point, name, d) for name, d in bits.items()}
    counted = {name: mb for name, mb in a_bit_mb.items() if mb > 0}
    if not counted:
        return []
    most_mb, found = max(counted.values()), [policy]
    least = max(min(bits[name].low for name in counted), LEAST_BITS)
    for of_largest in range(max(bits[name].high for name in counted), least - 1, -1):
        wanted = {name: of_largest + math.log(most_mb / mb, 4) for name, mb in counted.items()}
        at = {name: min(max(round(wanted[name]), bits[name].low), bits[name].high) for name in counted}
        made = Policy(space.canonical({**point, **at}).text, policy.weights)
        if space.cost(made)[SIZE] < space.cost(found[-1])[SIZE]:
            found.append(made)
    return found[1:]


def fewest_bits(point: Point) -> int:
    """Of the weights of any group; a ValueError where none has bits."""
    return min(int(value) for name, value in point.items() if _is_bits(name))


def _is_bits(name: str) -> bool:
    return name.rpartition(".")[2] == WEIGHT_BITS


def _a_bit_mb(space: SearchSpace, point: Point, name: str, bits: IntDistribution) -> float:
    """What a bit of the group's weights takes, in MB."""
    ends = (space.cost(space.canonical({**point, name: end}))[SIZE] for end in (bits.low, bits.high))
    low, high = ends
    return (high - low) / (bits.high - bits.low)
