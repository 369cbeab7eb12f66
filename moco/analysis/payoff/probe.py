"""The pay-off probe: times each geometry of a network at many widths and precisions, and what it measured before."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from moco.analysis.payoff.verdicts import MIN_GAIN, PayOff, PayOffReport, Timed
from moco.errors import ConfigError, MeasurementError
from moco.export.probe_geometry import Geometries, PairGeometry
from moco.export.probe_graphs import Variant, pair_graph, repeats
from moco.export.rewrites import written
from moco.interfaces import Capabilities, Session, Target
from moco.measurement import Measurement, TimingPlan
from moco.store_table import StoreTable


class PayOffStore(StoreTable):
    """Pay-offs by geometry and precision, for one context: hardware fingerprint and plan."""

    kind = "pay-off"
    create = (
        """CREATE TABLE IF NOT EXISTS payoffs (context TEXT, geometry TEXT, precision TEXT, payoff TEXT,
        PRIMARY KEY (context, geometry, precision)) WITHOUT ROWID""",
    )

    def get(self, geometry: str, precisions: Sequence[str], min_gain: float) -> tuple[PayOff, ...] | None:
        """The stored pay-offs of a geometry, in these precisions; None where one is missing."""
        query = "SELECT precision, payoff FROM payoffs WHERE context = ? AND geometry = ?"
        rows = self.rows(query, self.context, geometry)
        parsed = {precision: self.parsed(row, partial(_payoff, min_gain)) for precision, row in rows}
        found = {precision: payoff for precision, payoff in parsed.items() if payoff is not None}
        if not set(precisions) <= set(found):
            return None
        return tuple(found[precision] for precision in precisions)

    def put(self, payoffs: Sequence[PayOff]) -> None:
        """Store pay-offs, in place of earlier ones of the same geometry and precision."""
        rows = [(self.context, p.geometry, p.precision, json.dumps(p.to_json())) for p in payoffs]
        self.write("INSERT OR REPLACE INTO payoffs VALUES (?, ?, ?, ?)", rows)


def _payoff(min_gain: float, data: Any) -> PayOff:
    """The pay-off of a row; a ValueError or the like where a number of it is none."""
    found = PayOff.from_json(data, min_gain)
    json.dumps(found.to_json(), allow_nan=False)  # its verdicts can be made
    return found


FORMAT = 1
"""Raised when the graphs or the widths change, so that what was stored before is measured again."""
BUILT = ("float32", "int8")
KEEPS = (0.25, 0.5, 0.75)
MOST_WIDTHS, FEWEST_WIDTHS = 16, 4
MOST_WEIGHTS = 200_000_000
"""In all graphs that are open at once."""
OVERHEAD_S = 0.02
"""To build and open a graph and to make its interval: 12 and 3 ms for a pair of ResNet-56's."""

RESERVE = 0.05
"""Of the seconds: for the last geometry to end late, and for what is written afterwards."""
TRIAL_S = 0.05
"""Of timing the reference alone, to learn how long a call takes and how busy the machine is."""

Clock = Callable[[], float]
"""Seconds on the wall."""


@dataclass(frozen=True)
class ProbePlan:
    """How a network is probed; a ConfigError where there is no time, no image, or a gain that is not a share."""

    seconds: float = 60.0  # for the whole network, on the wall; shared evenly by all graphs
    spent: float = 0.0  # how many are gone before the probe begins, for loading and tracing
    batch: int = 1  # images in a call
    slot_ms: float = 4.0  # as in TimingPlan, like the next two; calls are short here, and graphs many
    min_slots: int = 8
    seed: int = 0
    min_gain: float = MIN_GAIN  # part of the pair's time that a move must save

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise ConfigError(f"pay-off: expected seconds > 0, got {self.seconds:g}")
        if self.batch < 1:
            raise ConfigError(f"pay-off: expected a batch of at least 1, got {self.batch}")
        if not 0 <= self.min_gain < 1:
            raise ConfigError(f"pay-off: expected 0 <= least gain < 1, got {self.min_gain:g}")


def context(target: Target, plan: ProbePlan) -> dict[str, Any]:
    """All but geometry and precision that a stored pay-off depends on: the hardware's fingerprint and the plan."""
    timing = {name: getattr(plan, name) for name in ("seconds", "batch", "slot_ms", "min_slots", "seed")}
    return {"format": FORMAT, "target": dict(target.describe()), "plan": timing}


def candidate_widths(width: int, most: int = MOST_WIDTHS) -> tuple[int, ...]:
    """Widths to time, descending: the full one, all multiples of 4 or of a larger step, and two odd ones.

    Up to 16 channels all widths are taken, beyond 64 every 8th, 16th and so on.
    """
    step = 1 if width <= MOST_WIDTHS else 4
    while width // step > most:
        step *= 2
    found = {width, *range(step, width, step)}
    if most == MOST_WIDTHS and width > 4:
        found |= {width - 1, width // 2 + 1}
    return tuple(sorted(found, reverse=True))


def probe(
    target: Target,
    found: Geometries,
    plan: ProbePlan,
    folder: Path,
    store: PayOffStore | None = None,
    clock: Clock = time.perf_counter,
) -> PayOffReport:
    """The pay-off of every group, by graphs written to `folder`; a MeasurementError where the target fails on one."""
    start = clock()
    budget = _Budget(start + (1 - RESERVE) * plan.seconds - plan.spent, clock)
    known: dict[str, tuple[PayOff, ...]] = {}
    if store is not None:
        for geometry in found.distinct():
            precisions = _precisions(geometry, target.capabilities)
            stored = store.get(geometry.key, precisions, plan.min_gain)
            if stored is not None:
                known[geometry.key] = stored
    n_stored = len(known)
    missing = [geometry for geometry in found.distinct() if geometry.key not in known]
    for index, geometry in enumerate(missing):
        if budget.left() <= 0 and index:
            break
        share = budget.left() * _graphs(geometry, target) / sum(_graphs(g, target) for g in missing[index:])
        known[geometry.key] = _Probed(target, geometry, plan, folder).within(share, budget)
        if store is not None:
            store.put(known[geometry.key])
    late = {g: f"the {plan.seconds:g} s were spent" for g, pair in found.of_group.items() if pair.key not in known}
    return PayOffReport(
        target=dict(target.describe()),
        batch=plan.batch,
        groups={group: pair.key for group, pair in found.of_group.items() if pair.key in known},
        payoffs=tuple(p for geometry in found.distinct() for p in known.get(geometry.key, ())),
        left_out={**found.left_out, **late},
        seconds=clock() - start,
        stored=n_stored,
        warnings=() if store is None else store.warnings,
    )


class _Budget:
    """Seconds on the wall until the end, and how much longer timing takes than the time that it counts.

    A target may count its own time by the processor's clock; on a shared core the wall's goes on faster.
    """

    def __init__(self, end: float, clock: Clock) -> None:
        self._end, self._clock = end, clock
        self.stretch = 1.0

    def left(self) -> float:
        return self._end - self._clock()

    def now(self) -> float:
        return self._clock()

    def note(self, counted: float, took: float) -> None:
        self.stretch = max(1.0, took / counted)


class _Probed:
    def __init__(self, target: Target, geometry: PairGeometry, plan: ProbePlan, folder: Path) -> None:
        self.target, self.geometry, self.plan, self.folder = target, geometry, plan, folder
        self.precisions = _precisions(geometry, target.capabilities)
        self.reference = Variant(geometry.width, self.precisions[0])

    def within(self, seconds: float, budget: _Budget) -> tuple[PayOff, ...]:
        start = budget.now()
        with ExitStack() as stack:
            first = self._open(self.reference, stack)
            call_s = self._time([first], TRIAL_S, budget).median_ms() / 1000
            variants = self._variants(self._widths(seconds, call_s, budget.stretch))
            sessions = [first, *(self._open(variant, stack) for variant in variants)]
            left = seconds - (budget.now() - start) - OVERHEAD_S / 2 * budget.stretch * len(sessions)
            measurement = self._time(sessions, max(0.0, left / len(sessions) / budget.stretch), budget)
        times = {variant: _timed(measurement, index) for index, variant in enumerate(variants, start=1)}
        return tuple(self._payoff(precision, times, measurement) for precision in self.precisions)

    def _open(self, variant: Variant, stack: ExitStack) -> Session:
        """The graph, open on the target until the stack ends; then its file goes too."""
        can = self.target.capabilities
        graph = pair_graph(self.geometry, variant, can.layer_kinds.get(variant.precision), can.placement)
        artifact = written(graph, self.folder)
        stack.callback(artifact.path.unlink, missing_ok=True)
        return stack.enter_context(
            closing(self.target.load(getattr(self.target, "prepare", lambda file: file)(artifact)))
        )

    def _time(self, sessions: Sequence[Session], seconds_each: float, budget: _Budget) -> Measurement:
        """The measurement; how long it took teaches the budget how busy the machine is."""
        plan = self.plan
        timing = TimingPlan(plan.batch, seconds_each, plan.slot_ms, min_slots=plan.min_slots, seed=plan.seed)
        before = budget.now()
        measurement = self.target.measure(sessions, timing)
        took = budget.now() - before
        counted = sum(max(plan.slot_ms, ms) for samples in measurement.samples_ms for ms in samples) / 1000
        budget.note(counted, took)
        return measurement

    def _widths(self, seconds: float, call_s: float, stretch: float) -> tuple[int, ...]:
        """As many widths as can be timed in that time and held in memory, a few at least."""
        most = MOST_WIDTHS
        each = self.plan.min_slots * max(self.plan.slot_ms / 1000, call_s) + 3 * call_s + OVERHEAD_S
        while True:
            widths = candidate_widths(self.geometry.width, most)
            weights = sum(map(self.geometry.weights_at, widths)) * repeats(self.geometry) * len(self.precisions)
            fits = _count(widths, self.precisions) * each * stretch <= seconds and weights <= MOST_WEIGHTS
            if fits or most <= FEWEST_WIDTHS:
                return widths
            most //= 2

    def _variants(self, widths: Sequence[int]) -> list[Variant]:
        whole = self.geometry.width
        graphs: list[tuple[int, float | None]] = [*((width, None) for width in widths), *((whole, k) for k in KEEPS)]
        return [Variant(width, precision, keep) for precision in self.precisions for width, keep in graphs]

    def _payoff(self, precision: str, times: Mapping[Variant, Timed], measurement: Measurement) -> PayOff:
        mine = {variant: time for variant, time in times.items() if variant.precision == precision}
        whole = [variant for variant in mine if variant.keep is None]
        return PayOff(
            geometry=self.geometry.key,
            precision=precision,
            reference=precision == self.precisions[0],
            reference_ms=measurement.median_ms(0),
            widths=tuple(variant.width for variant in whole),
            times=tuple(mine[variant] for variant in whole),
            factorised={variant.keep: time for variant, time in mine.items() if variant.keep is not None},
            min_gain=self.plan.min_gain,
            warnings=measurement.warnings,
        )


def _timed(measurement: Measurement, session: int) -> Timed:
    ratio = measurement.ratio(session)
    return Timed(ratio.value, ratio.low, ratio.high, ratio.sem)


def _precisions(geometry: PairGeometry, capabilities: Capabilities) -> tuple[str, ...]:
    """The target's precisions that a graph can be built in and that are legal on one of the two layers."""
    kinds = {geometry.producer.kind, geometry.consumer.kind}
    legal = [p for p in capabilities.precisions if p in BUILT]
    if not legal:
        has = ", ".join(capabilities.precisions)
        raise MeasurementError(f"pay-off: layers can be probed in {' or '.join(BUILT)}, the target has {has}")
    return tuple(p for p in legal if p == legal[0] or kinds & capabilities.layer_kinds[p])


def _graphs(geometry: PairGeometry, target: Target) -> int:
    return _count(candidate_widths(geometry.width), _precisions(geometry, target.capabilities))


def _count(widths: Sequence[int], precisions: Sequence[str]) -> int:
    """Graphs of a geometry: every width and every share of the ranks in each precision, and the reference."""
    return 1 + len(precisions) * (len(widths) + len(KEEPS))
