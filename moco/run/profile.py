"""A network measured without a search: each metric that a target can take, its slow calls, and several runtimes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from moco.errors import CompressionError, ConfigError, PolicyRejectedError
from moco.evaluation.builder import Stopwatch
from moco.interfaces import LayerTime, Session
from moco.measurement import LATE, TAILS, TIME, TimingPlan
from moco.metrics import METRICS
from moco.policy import Policy
from moco.products import with_products
from moco.readings import READINGS
from moco.run.job import Prepared
from moco.run_folder.profile import Profile, RuntimeComparison, Tails
from moco.trial import Evaluation, MetricValue

SLOTS = 20
"""In which the calls of a study of slow ones are made, networks in turn."""
LEAST_CALLS, MOST_CALLS = 10 * SLOTS, 10_000_000
LAYER_CALLS = 50
SERVED = "served"
"""Key by which a target that is elsewhere describes what is served there."""


@dataclass(frozen=True)
class ProfilePlan:
    """What is measured besides the metrics that every profile has."""

    calls: int = 0  # of each network, whose slowest are looked at; 0 looks at none
    deadline_ms: float | None = None  # what a call may take
    layers: bool = False  # whether the runtime is asked for the time of each operator

    def __post_init__(self) -> None:
        if self.calls and not LEAST_CALLS <= self.calls <= MOST_CALLS:
            raise ConfigError(f"runs: expected {LEAST_CALLS} to {MOST_CALLS:,} calls, got {self.calls}")
        if self.deadline_ms is not None and not self.deadline_ms > 0:
            raise ConfigError(f"deadline: expected milliseconds above 0, got {self.deadline_ms:g}")
        if self.deadline_ms is not None and not self.calls:
            raise ConfigError("deadline: missed deadlines are counted over many calls; give --runs too, such as 10000")


@dataclass(frozen=True)
class Profiled:
    """A profile whose network is still open on its target."""

    profile: Profile
    session: Session
    prepared: Prepared


@contextmanager
def profiled(prepared: Prepared, policy: Policy | None, plan: ProfilePlan, of: str = "") -> Iterator[Profiled]:
    """The metrics of the policy's network, or of the reference, on the search split and on this target.

    `of` names the policy. A CompressionError where its network cannot be built or run.
    """
    evaluator, job = prepared.evaluator, prepared.job
    with ExitStack() as stack:
        name, whole, session = job.network_name, evaluator.reference.evaluation, evaluator.reference.session
        evaluation = whole
        if policy is not None:
            name = f"{name}, {of}"
            try:
                built = evaluator.build(policy)
                session = stack.enter_context(closing(job.target.load(built.artifact)))
                evaluation = evaluator.measured(session, built.counted, Stopwatch(built.seconds))
            except PolicyRejectedError as error:
                raise CompressionError(f"{of}: {error}") from error
        found = Profile(
            name,
            job.target.describe(),
            _metrics(prepared, evaluation),
            _metrics(prepared, whole),
            evaluation,
            whole,
            evaluator.unmeasured,
            layers=_layers(job.target, session) if plan.layers else None,
        )
        yield Profiled(_with_tails(found, prepared, session, plan) if plan.calls else found, session, prepared)


def side_by_side(runtimes: Sequence[Profiled]) -> RuntimeComparison:
    """The open networks of several runtimes timed in turn, by each plan of the times, on the first one's clock.

    `check_comparable` has passed their targets. Where one of them is elsewhere, each keeps its own times.
    """
    first, profiles = runtimes[0].prepared, tuple(one.profile for one in runtimes)
    if note := apart([profile.target for profile in profiles]):
        return RuntimeComparison(profiles, {}, (note,))
    plans = {name: plan for name, plan in first.evaluator.plan.timing.items() if READINGS[name].series == TIME}
    sessions = [one.session for one in runtimes]
    measurements = {
        name: first.evaluator.timings.measure(f"{name}, side by side", sessions, plan, Stopwatch())
        for name, plan in plans.items()
    }
    return RuntimeComparison(profiles, measurements)


def check_comparable(targets: Sequence[Mapping[str, Any]]) -> None:
    """Pass targets, as they describe themselves, that are not timed in turn, or by one clock; else a ConfigError."""
    clocks = [target.get("clock") for target in targets]
    if len(set(clocks)) > 1 and not apart(targets):
        told = ", ".join(f"{_name(target)}: {clock}" for target, clock in zip(targets, clocks, strict=True))
        raise ConfigError(f"targets: expected one clock for all, got {told}; set target.clock=wall")


def apart(targets: Sequence[Mapping[str, Any]]) -> str:
    """Why targets, as they describe themselves, cannot be timed in turn; empty where they can."""
    away = [target for target in targets if SERVED in target]
    if not away or len(targets) == 1:
        return ""
    here = f"'{_name(away[0])}' ({away[0][SERVED]} elsewhere)"
    return f"{here} is not timed in turn with the others: its times were taken there, and have no ratio to theirs"


def _name(target: Mapping[str, Any]) -> str:
    return str(target.get("runtime", "target"))


def _metrics(prepared: Prepared, evaluation: Evaluation) -> dict[str, MetricValue]:
    return with_products(prepared.problem.metrics(evaluation), METRICS)


def _layers(target: Any, session: Session) -> tuple[LayerTime, ...] | None:
    ask = getattr(target, "layer_times", None)
    found = None if ask is None else ask(session.artifact, 1, LAYER_CALLS)
    return None if found is None else tuple(found)


def _with_tails(profile: Profile, prepared: Prepared, session: Session, plan: ProfilePlan) -> Profile:
    """The profile with the slow calls of its network, beside the reference's."""
    evaluator = prepared.evaluator
    tails = TimingPlan(
        min_slots=SLOTS,
        series=tuple(TAILS),
        tail_calls=-(-plan.calls // SLOTS),
        deadline_ms=plan.deadline_ms,
        seed=prepared.job.plan.seed,
        seconds=0.0,
    )
    measured = evaluator.timings.measure("slow calls", [evaluator.reference.session, session], tails, Stopwatch())
    metrics, reference = dict(profile.metrics), dict(profile.reference)
    for name, reading in READINGS.items():
        if reading.series in TAILS and (constant := reading.constant(measured)) is not None:
            reference[name] = MetricValue(constant)
            metrics[name] = reading.metric(constant, measured.ratio(series=reading.series))
    samples = {name: measured.counted[name] for name in TAILS if name in measured.counted}
    late = measured.counted.get(LATE)
    missed = None if late is None else (sum(late[0]) / len(late[0]), sum(late[1]) / len(late[1]))
    told = Tails(tails.tail_calls * SLOTS, plan.deadline_ms, missed, samples)
    return replace(profile, metrics=metrics, reference=reference, tails=told)
