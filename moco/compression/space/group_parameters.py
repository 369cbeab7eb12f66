"""What can be chosen for one layer group: its parameters by name, with their bounds, and the layers that they touch."""

from __future__ import annotations

from dataclasses import dataclass

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from moco.compression.channels.groups import ChannelGroup
from moco.compression.policy_settings import Bits
from moco.compression.space.layer_groups import Grouped
from moco.trial import Point

NONE, FILTER_PRUNING, CHANNEL_PRUNING = "none", "filter_pruning", "channel_pruning"
FACTORISATION, SPARSITY = "factorisation", "sparsity"
METHODS = (FILTER_PRUNING, CHANNEL_PRUNING, FACTORISATION, SPARSITY)


@dataclass(frozen=True)
class Ratio:
    """A parameter that is a ratio to keep, in [low, high]; its highest value changes least."""

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class Options:
    """A categorical parameter, its neutral choice first; a single choice is set without being a parameter."""

    name: str
    choices: tuple[str, ...]

    @property
    def is_open(self) -> bool:
        """Whether there is more than one choice, and so a parameter."""
        return len(self.choices) > 1

    def of(self, point: Point) -> str:
        """The choice that the point makes."""
        return str(point[self.name]) if self.is_open else self.choices[0]


@dataclass(frozen=True)
class BitRange:
    """An integer parameter: bits in [low, high]."""

    name: str
    low: int
    high: int


@dataclass(frozen=True)
class Choice:
    """A layer group with what can be chosen for it; what is None is no parameter of it.

    Attributes:
        prunable: channel groups that `keep` sets.
        quantizable, factorisable, sparse: layers that precision, `rank` and `density` set.
        method: the methods of `METHODS` that may be applied, one at a time; a single one is applied always, and with
            None all whose ratio is given are applied together.
        pruning: filter or channel pruning, where the method does not choose.
    """

    group: Grouped
    prunable: tuple[ChannelGroup, ...] = ()
    quantizable: tuple[str, ...] = ()
    factorisable: tuple[str, ...] = ()
    sparse: tuple[str, ...] = ()
    method: Options | None = None
    pruning: str = FILTER_PRUNING
    keep: Ratio | None = None
    rank: Ratio | None = None
    density: Ratio | None = None
    precision: Options | None = None
    weight_bits: BitRange | None = None
    activation_bits: BitRange | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is set, by choice or always."""
        return not any((self.keep, self.rank, self.density, self.precision))

    @property
    def is_plain(self) -> bool:
        """Whether pruning and a precision by name are all that may be chosen: such policies are counted exactly."""
        return not any((self.method, self.rank, self.density, self.weight_bits, self.activation_bits))

    def pruning_of(self, point: Point) -> str | None:
        """How the point prunes channels; None where it does not."""
        if self.keep is None:
            return None
        if self.method is None:
            return self.pruning
        chosen = self.method.of(point)
        return chosen if chosen in {FILTER_PRUNING, CHANNEL_PRUNING} else None

    def applies(self, method: str, point: Point) -> bool:
        """Whether factorisation or sparsity is applied at the point."""
        return self.method is None or self.method.of(point) == method

    def distributions(self) -> dict[str, BaseDistribution]:
        """Optuna's distributions by parameter, in their order."""
        found: dict[str, BaseDistribution] = {}
        if self.method is not None and self.method.is_open:
            found[self.method.name] = CategoricalDistribution(self.method.choices)
        for ratio in (self.keep, self.rank, self.density):
            if ratio is not None:
                found[ratio.name] = FloatDistribution(ratio.low, ratio.high)
        if self.precision is not None and self.precision.is_open:
            found[self.precision.name] = CategoricalDistribution(self.precision.choices)
        for bits in (self.weight_bits, self.activation_bits):
            if bits is not None:
                found[bits.name] = IntDistribution(bits.low, bits.high)
        return found

    def point_of(self, bits: Bits) -> dict[str, int]:
        """The bits as values of their parameters, within their bounds."""
        numbers = (self.weight_bits, bits.weights), (self.activation_bits, bits.activations)
        return {
            parameter.name: min(max(number, parameter.low), parameter.high)
            for parameter, number in numbers
            if parameter is not None
        }

    def neutral(self) -> dict[str, str | float | int]:
        """The values that change least, by parameter."""
        found: dict[str, str | float | int] = {}
        for options in (self.method, self.precision):
            if options is not None and options.is_open:
                found[options.name] = options.choices[0]
        for ratio in (self.keep, self.rank, self.density):
            if ratio is not None:
                found[ratio.name] = ratio.high
        for bits in (self.weight_bits, self.activation_bits):
            if bits is not None:
                found[bits.name] = bits.high
        return found
