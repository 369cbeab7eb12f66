"""The candidates of a delivery timed again, longer, and what that makes of each metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from moco.evaluation.builder import Stopwatch
from moco.interfaces import Session
from moco.measurement import RatioEstimate, Samples
from moco.metrics import METRICS
from moco.randomness import derived_seed
from moco.readings import READINGS, Reading
from moco.run.job import Prepared
from moco.run_folder.result import Interval
from moco.trial import MetricValue, Trial


class LongerTiming:
    """Times each trial's file once; paired with the reference's, as in the search."""

    def __init__(self, prepared: Prepared, session_of: Callable[[Trial], Session]) -> None:
        """Take a search that is over; `session_of` opens a trial's file, or gives it as it is open."""
        self.prepared, self._session_of = prepared, session_of
        self.warnings: list[str] = []
        self._retimed: dict[int, dict[str, Interval]] = {}
        self._pessimistic: dict[tuple[int, str], Interval] = {}

    def intervals(self, trial: Trial) -> dict[str, Interval]:
        """Every metric on the longer measurement; what is derived has the extremes of what it is derived from."""
        retimed = self.timed(trial)
        best_ends, worst_ends = {}, {}
        for name, interval in retimed.items():
            ends = interval.low, interval.high
            best_ends[name], worst_ends[name] = ends[::-1] if METRICS[name].direction == "maximize" else ends
        values = self.metrics(trial, {name: interval.value for name, interval in retimed.items()})
        extremes = self.metrics(trial, best_ends), self.metrics(trial, worst_ends)
        found = {}
        for name, metric in values.items():
            low, high = sorted(extreme[name].value for extreme in extremes)
            found[name] = Interval(metric.value, low, high)
        return found

    def metrics(self, trial: Trial, measured: Mapping[str, float]) -> dict[str, MetricValue]:
        """The trial's metrics with those that were measured again, and what is derived from them."""
        assert trial.evaluation is not None
        again = {name: MetricValue(value) for name, value in measured.items()}
        return self.prepared.problem.metrics(replace(trial.evaluation, metrics={**trial.evaluation.metrics, **again}))

    def timed(self, trial: Trial) -> dict[str, Interval]:
        """The timed metrics of the trial's file, with their raw samples."""
        if trial.number not in self._retimed:
            evaluator, options = self.prepared.evaluator, self.prepared.job.plan.delivery
            found = {}
            for name, plan in evaluator.plan.timing.items():
                seed = derived_seed(self.prepared.job.plan.seed, "retiming", name)
                longer = replace(plan, seconds=options.seconds, seed=seed)
                measured = evaluator.beside_reference(name, self._session_of(trial), longer, Stopwatch())
                self.warnings += [f"timing trial {trial.number} again, {name}: {text}" for text in measured.warnings]
                constant = evaluator.reference.evaluation.metrics[name].value
                reading = READINGS[name]
                ratio = measured.ratio(series=reading.series)
                value = reading.value(constant, ratio.value)
                found[name] = _interval(reading, ratio, constant, value, measured.series(reading.series) or ())
                # A bound is judged one-sided, at the confidence that all candidates together keep.
                sure = replace(longer, confidence=1 - 2 * (1 - options.confidence) / options.attempts)
                pessimistic = replace(measured, plan=sure).ratio(series=reading.series)
                self._pessimistic[trial.number, name] = _interval(reading, pessimistic, constant, value)
            self._retimed[trial.number] = found
        return self._retimed[trial.number]

    def pessimistic(self, trial: Trial, metric: str) -> Interval | None:
        """The interval whose ends a bound is judged by, where the metric itself was timed."""
        return self._pessimistic.get((trial.number, metric))


def _interval(reading: Reading, ratio: RatioEstimate, constant: float, value: float, samples: Samples = ()) -> Interval:
    return Interval(value, *reading.ends(constant, ratio), samples, reading.unit)
