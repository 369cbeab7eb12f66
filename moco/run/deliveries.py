"""What searches on several runtimes have delivered, each file timed on its own runtime, in turn with the others."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from moco.errors import MeasurementError
from moco.execution.device_lock import DeviceLock
from moco.execution.retrying_target import RetryingTarget
from moco.interfaces import Artifact, Session, Target
from moco.measurement import TIME
from moco.readings import READINGS
from moco.report.profile_page import profile_page
from moco.run.plan import JobPlan
from moco.run.profile import apart, check_comparable
from moco.run_folder.network_file import network_file
from moco.run_folder.profile import Profile, RuntimeComparison
from moco.run_folder.result import Result
from moco.run_folder.writing import write_json, write_text
from moco.trial import Evaluation, MetricValue

FOLDER = "best"
DATA, PAGE = "runtimes.json", "runtimes.html"


@dataclass(frozen=True)
class Delivery:
    """A search that is over, and its run folder."""

    plan: JobPlan
    folder: Path
    result: Result

    @property
    def file(self) -> Artifact | None:
        """The delivered file; None where the search delivered none."""
        if self.result.best is None or self.result.best.sha256 is None:
            return None
        path = network_file(self.folder / FOLDER)
        return None if path is None else Artifact(path, self.result.best.sha256, path.stat().st_size)

    @property
    def outcome(self) -> str:
        """What became of it, in a line."""
        if self.result.best is None:
            return f"{self.plan.target.name}: no network was delivered; see {self.folder}"
        holds = "it holds what was asked" if self.result.best.holds else "it does not hold what was asked"
        return f"{self.plan.target.name}: delivered in {self.folder / FOLDER}; on fresh evidence {holds}"


def check_targets(plans: Sequence[JobPlan]) -> None:
    """Pass targets that are there and can be timed in turn, before any search; else a ConfigError."""
    targets = [RetryingTarget(plan.target.made()) for plan in plans]
    for target in targets:
        target.connect()
    check_comparable([target.describe() for target in targets])


def delivered_side_by_side(deliveries: Sequence[Delivery]) -> RuntimeComparison:
    """The delivered files in turn, as long as the longer timing of a delivery, on the clock that all targets share.

    Where one of the targets is elsewhere, each keeps the times of its own delivery, and the notes say so.
    A runtime that delivered nothing is told in the notes. A MeasurementError where nothing at all was delivered.
    """
    notes = tuple(delivery.outcome for delivery in deliveries)
    with ExitStack() as stack:
        opened: list[tuple[Target, Session, Profile]] = []
        for delivery in deliveries:
            if (file := delivery.file) is not None:
                target = RetryingTarget(delivery.plan.target.made())
                target.connect()
                session = stack.enter_context(closing(target.load(file)))
                opened.append((target, session, _profile(delivery, target)))
        if not opened:
            raise MeasurementError(f"nothing to compare: {'; '.join(notes)}")
        if note := apart([target.describe() for target, _, _ in opened]):
            return RuntimeComparison(tuple(profile for _, _, profile in opened), {}, (*notes, note))
        first = deliveries[0].plan
        names = [name for name, reading in READINGS.items() if reading.series == TIME]
        timing, sessions = opened[0][0], [session for _, session, _ in opened]
        with DeviceLock(timing.describe()).held(nullcontext):
            measurements = {
                name: timing.measure(sessions, replace(plan, seconds=first.delivery.seconds))
                for name, plan in first.candidates.timing.plans(names, first.seed).items()
            }
        return RuntimeComparison(tuple(profile for _, _, profile in opened), measurements, notes)


def write_comparison(compared: RuntimeComparison, out: Path) -> None:
    """Write runtimes.json and runtimes.html; a RunFolderError where the folder cannot be written."""
    write_json(out / DATA, compared.to_json())
    write_text(out / PAGE, profile_page(compared))


def _profile(delivery: Delivery, target: Target) -> Profile:
    """What the search says of the delivered network: its own measurements, on that runtime alone."""
    result = delivery.result
    assert result.best is not None
    metrics, reference = (
        {name: MetricValue(value) for name, value in of.items()} for of in (result.best.metrics, result.reference)
    )
    name = f"{result.best.network or result.network or delivery.plan.name}, delivered"
    return Profile(name, target.describe(), metrics, reference, Evaluation(metrics), Evaluation(reference))
