"""The precisions of layers by name, and the bits that stand behind the names."""

from __future__ import annotations

from dataclasses import dataclass

from moco.errors import CompressionError

FLOAT32, INT8, MIXED = "float32", "int8", "mixed"


@dataclass(frozen=True)
class Bits:
    """Bits of a layer's weights and of what it reads: 1 to 8 each, or 32 and 32 for float; else a CompressionError."""

    weights: int
    activations: int

    def __post_init__(self) -> None:
        if (self.weights, self.activations) == (32, 32):
            return
        for what, bits in (("weights", self.weights), ("activations", self.activations)):
            if isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= 8:
                raise CompressionError(f"quantization: expected 1 to 8 bits for {what}, got {bits!r}")


FLOAT_BITS, INT8_BITS = Bits(32, 32), Bits(8, 8)
BITS = {FLOAT32: FLOAT_BITS, INT8: INT8_BITS}


def precision_of(bits: Bits) -> str:
    """The name of the precision of a layer that is not in float: `int8`, or `mixed` for other bits."""
    return INT8 if bits == INT8_BITS else MIXED


def timed_as(precision: str) -> str:
    """The precision that a target is timed in for this one: codes of fewer bits run on the kernels of int8."""
    return INT8 if precision == MIXED else precision
