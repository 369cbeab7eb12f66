"""Does a move pay on this target? Verdicts over timings of one pair of layers at many widths and precisions.

Latency is a staircase in the number of channels, and its steps lie elsewhere in int8 than in float32. A width that is
not faster than a wider one only loses accuracy, so a search need not be offered it. All ratios are times relative to
the pair at full width in the target's first precision, measured interleaved (docs/payoff.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any

from moco.errors import SpaceError, nearest
from moco.metrics import decimal

MIN_GAIN = 0.01
"""Part of the pair's time that a move must save to be worth offering."""
CERTAINTY = 1.96
"""Standard errors of a difference that it must exceed: 95 %, two-sided."""

PRUNING, QUANTIZATION, FACTORISATION = "filter_pruning", "precision", "factorisation"


@dataclass(frozen=True)
class Timed:
    """A ratio of times with its interval and standard error."""

    ratio: float
    low: float
    high: float
    sem: float

    def beats(self, other: Timed, min_gain: float = MIN_GAIN) -> bool:
        """Whether it is faster than the other by more than the least gain and than what the two may be wrong by."""
        relative = self.ratio / other.ratio
        uncertainty = relative * math.hypot(self.sem / self.ratio, other.sem / other.ratio)
        return 1 - relative > max(min_gain, CERTAINTY * uncertainty)


@dataclass(frozen=True)
class PayOff:
    """What a geometry costs in one precision."""

    geometry: str
    precision: str
    reference: bool  # whether that is the precision that the ratios are relative to
    reference_ms: float  # time of a call of the reference graph, for people
    widths: tuple[int, ...]  # descending, the first is the full one
    times: tuple[Timed, ...]
    factorised: Mapping[float, Timed]  # by share of the ranks, the pair at full width with both layers factorised
    min_gain: float = MIN_GAIN
    warnings: tuple[str, ...] = ()

    @property
    def full(self) -> Timed:
        """The time at full width: 1 in the reference's precision."""
        return self.times[0]

    @cached_property
    def paying_widths(self) -> tuple[int, ...]:
        """Ascending, the full width included: those that are faster than every wider one."""
        return steps(self.widths, self.times, self.min_gain)

    @property
    def pruning_pays(self) -> bool:
        """Whether any narrower width is faster."""
        return len(self.paying_widths) > 1

    @property
    def precision_pays(self) -> bool:
        """Whether this precision is faster than the reference's, at full width."""
        exact = Timed(1.0, 1.0, 1.0, 0.0)
        return not self.reference and self.full.beats(exact, self.min_gain)

    @property
    def paying_keeps(self) -> tuple[float, ...]:
        """Shares of the ranks at which the factorised pair is faster than the whole one in the same precision."""
        return tuple(keep for keep, time in self.factorised.items() if time.beats(self.full, self.min_gain))

    def to_json(self) -> dict[str, Any]:
        """JSON, with the verdicts."""
        return {
            **{field.name: getattr(self, field.name) for field in fields(self)},
            "widths": list(self.widths),
            "times": [asdict(time) for time in self.times],
            "factorised": [{"keep": keep, **asdict(time)} for keep, time in self.factorised.items()],
            "warnings": list(self.warnings),
            "paying_widths": list(self.paying_widths),
            "pruning_pays": self.pruning_pays,
            "precision_pays": self.precision_pays,
            "paying_keeps": list(self.paying_keeps),
        }

    @staticmethod
    def from_json(data: Mapping[str, Any], min_gain: float | None = None) -> PayOff:
        """From JSON; the verdicts are made anew, with another least gain where one is given."""
        found = PayOff(
            **{name: data[name] for name in ("geometry", "precision", "reference", "reference_ms", "min_gain")},
            widths=tuple(data["widths"]),
            times=tuple(Timed(**time) for time in data["times"]),
            factorised={
                one["keep"]: Timed(**{name: one[name] for name in ("ratio", "low", "high", "sem")})
                for one in data["factorised"]
            },
            warnings=tuple(data["warnings"]),
        )
        return found if min_gain is None else replace(found, min_gain=min_gain)


@dataclass(frozen=True)
class LosingMove:
    """Something that may be done to a channel group and gains no time here."""

    group: str
    precision: str  # in which it is lost; for `precision`, the one that does not pay
    move: str  # `filter_pruning`, `precision` or `factorisation`
    why: str


@dataclass(frozen=True)
class PayOffReport:
    """The pay-off of every channel group of a network on one target."""

    target: Mapping[str, Any]
    batch: int  # images in a call
    groups: Mapping[str, str]  # by channel group, the key of its geometry
    payoffs: tuple[PayOff, ...]
    left_out: Mapping[str, str]  # groups that were not probed: name and reason
    seconds: float
    stored: int = 0  # how many of the geometries the store answered
    warnings: tuple[str, ...] = ()  # of this probing, unwritten

    def of(self, group: str, precision: str) -> PayOff:
        """The pay-off of a group; a SpaceError where it was not probed, or not in that precision."""
        if group not in self.groups:
            why = f": {self.left_out[group]}" if group in self.left_out else nearest(group, self.groups)
            raise SpaceError(f"pay-off: '{group}' was not probed{why}")
        of_geometry = {p.precision: p for p in self.payoffs if p.geometry == self.groups[group]}
        if precision not in of_geometry:
            raise SpaceError(f"pay-off: '{group}' was not probed in '{precision}'{nearest(precision, of_geometry)}")
        return of_geometry[precision]

    def to_json(self) -> dict[str, Any]:
        """JSON, with the verdicts: the content of payoff.json."""
        return {
            "format": 1,
            "target": dict(self.target),
            "batch": self.batch,
            "groups": dict(self.groups),
            "payoffs": [payoff.to_json() for payoff in self.payoffs],
            "left_out": dict(self.left_out),
            "losing_moves": [asdict(move) for move in losing_moves(self)],
            "seconds": self.seconds,
            "stored": self.stored,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> PayOffReport:
        """From JSON; the verdicts are made anew."""
        return PayOffReport(
            payoffs=tuple(PayOff.from_json(payoff) for payoff in data["payoffs"]),
            **{name: data[name] for name in ("target", "batch", "groups", "left_out", "seconds", "stored")},
        )


def steps(widths: Sequence[int], times: Sequence[Timed], min_gain: float = MIN_GAIN) -> tuple[int, ...]:
    """The widths that pay, ascending: the widest, and each one that is faster than all wider ones by `min_gain`.

    A width is compared with the last one that pays, so that gains too small to see one by one pay as they add up.
    """
    paying: list[tuple[int, Timed]] = []
    for width, time in sorted(zip(widths, times, strict=True), key=lambda pair: -pair[0]):
        if not paying or time.beats(paying[-1][1], min_gain):
            paying.append((width, time))
    return tuple(width for width, _ in reversed(paying))


def losing_moves(report: PayOffReport) -> tuple[LosingMove, ...]:
    """What gains no time on this target, by group and precision."""
    by_geometry: dict[str, list[PayOff]] = {}
    for payoff in report.payoffs:
        by_geometry.setdefault(payoff.geometry, []).append(payoff)
    return tuple(
        LosingMove(group, payoff.precision, move, why)
        for group, geometry in report.groups.items()
        for payoff in by_geometry.get(geometry, [])
        for move, why in _lost(payoff)
    )


def _lost(payoff: PayOff) -> Iterable[tuple[str, str]]:
    if not payoff.pruning_pays and len(payoff.widths) > 1:
        best = min(time.ratio for time in payoff.times[1:]) / payoff.full.ratio
        yield PRUNING, f"the fastest narrower width takes {decimal(best, 2)} of the full one's time"
    if not payoff.reference and not payoff.precision_pays:
        yield QUANTIZATION, f"{payoff.precision} takes {decimal(payoff.full.ratio, 2)} of the reference's time"
    if payoff.factorised and not payoff.paying_keeps:
        best = min(time.ratio for time in payoff.factorised.values()) / payoff.full.ratio
        yield FACTORISATION, f"the fastest takes {decimal(best, 2)} of the whole pair's time"
