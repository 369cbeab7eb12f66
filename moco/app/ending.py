"""The honest end: the winner is scored once on unseen images and timed again, longer, before anything is promised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from moco import pareto
from moco.app.job import Prepared, floor_of
from moco.evaluation.accuracy import correct, logits_of
from moco.evaluation.certificate import Certificate, certify
from moco.evaluation.evaluator import timed_metric
from moco.interfaces import Artifact, Session
from moco.measurement import RatioEstimate
from moco.metrics import METRICS
from moco.policy import Policy
from moco.randomness import derived_seed
from moco.study import best
from moco.trial import MetricValue, Trial

RETIMING_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A metric measured again, longer: the estimate and its two-sided 95 % interval, in the metric's unit."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Delivery:
    """The network that is delivered.

    Attributes:
        trial: the trial whose network it is.
        metrics: of its evaluation, with the timed ones measured again.
        certificate: what can be promised of its accuracy.
        retimed: the timed metrics measured again.
        budgets: JSON, every budget with its retimed bound and whether it holds.
    """

    trial: Trial
    artifact: Artifact
    network: nn.Module
    metrics: Mapping[str, MetricValue]
    certificate: Certificate
    retimed: Mapping[str, Interval]
    budgets: Sequence[Mapping[str, Any]]

    @property
    def holds(self) -> bool:
        """Whether the floor, where there is one, and every budget hold on fresh evidence."""
        return self.certificate.holds is not False and all(budget["holds"] for budget in self.budgets)


class Finisher:
    """Certifies and times again; builds each file that it needs once."""

    def __init__(self, prepared: Prepared) -> None:
        """Take a search that is over."""
        self.prepared = prepared
        self.floor = floor_of(prepared.job)
        self._built: dict[Policy, tuple[Artifact, nn.Module, Session]] = {}
        self._retimed: dict[int, dict[str, Interval]] = {}

    def deliver(self, trials: Sequence[Trial]) -> Delivery | None:
        """The first candidate, in a fixed order, whose budgets and floor hold; the best one where none does.

        The order is fixed before an image of the certification split is read: the best feasible trial, then the rest
        of the feasible front by score. None where no trial is complete.
        """
        candidates = self._candidates(trials)
        if not candidates:
            return None
        within = self._within_budgets(candidates)
        by_number = {trial.number: trial for trial in within}
        test, rows = self.prepared.job.data.test, self.prepared.splits.certification
        images, labels = test.images(rows), np.asarray(test.labels)[rows]

        def right(session: Session) -> np.ndarray:
            return correct(logits_of(session, images), labels).top1

        ending = self.prepared.job.ending
        certificate = certify(
            list(by_number),
            lambda number: right(self._session(by_number[number])),
            right(self.prepared.evaluator.reference.session),
            self.floor,
            ending.confidence,
            ending.attempts,
        )
        told = certificate.attempts[-1] if certificate.attempts[-1].holds else certificate.attempts[0]
        return self._delivery(by_number[int(told.candidate)], certificate)

    def built(self, policy: Policy) -> tuple[Artifact, nn.Module, Session]:
        """The policy's file, its network and the file open on the target."""
        if policy not in self._built:
            artifact, network = self.prepared.builder.build(policy)
            self._built[policy] = artifact, network, self.prepared.job.target.load(artifact)
        return self._built[policy]

    def _candidates(self, trials: Sequence[Trial]) -> list[Trial]:
        first = best(trials)
        if first is None:
            return []
        if not first.feasible:
            return [first]
        rest = [trial for trial in pareto.front(trials) if trial.policy != first.policy]
        ordered = [first, *sorted(rest, key=lambda t: (-(t.score or 0.0), t.number))]
        return ordered[: self.prepared.job.ending.attempts]

    def _within_budgets(self, candidates: list[Trial]) -> list[Trial]:
        """Candidates whose budgets still hold when timed longer; the first alone where none's do."""
        if not self._has_budgets():
            return candidates
        within = []
        for trial in candidates:
            if all(budget["holds"] for budget in self._budgets(trial)):
                within.append(trial)
                if self.floor is None:
                    break
        return within or candidates[:1]

    def _has_budgets(self) -> bool:
        return any(bound.metric != "top1_error" for bound in self.prepared.problem.bounds)

    def _delivery(self, trial: Trial, certificate: Certificate) -> Delivery:
        assert trial.policy is not None
        assert trial.evaluation is not None
        artifact, network, _ = self.built(trial.policy)
        retimed = self._timed_again(trial)
        measured = {name: interval.value for name, interval in retimed.items()}
        metrics = self._metrics(trial, measured)
        return Delivery(trial, artifact, network, metrics, certificate, retimed, self._budgets(trial))

    def _budgets(self, trial: Trial) -> list[dict[str, Any]]:
        """Every bound but the floor, against the pessimistic end of the longer measurement."""
        intervals, found = self._intervals(trial), []
        for bound in self.prepared.problem.bounds:
            if bound.metric == "top1_error":
                continue
            interval = intervals[bound.metric]
            upper = interval.high if bound.op == "<=" else interval.low
            holds = bound.violation(MetricValue(upper)) <= 0
            found.append(
                {
                    "metric": bound.metric,
                    "bound": f"{bound.op} {bound.value:.6g}",
                    "estimate": interval.value,
                    "upper": upper,
                    "confidence": RETIMING_CONFIDENCE,
                    "holds": holds,
                }
            )
        return found

    def _intervals(self, trial: Trial) -> dict[str, Interval]:
        """Every metric on the longer measurement; what is derived has the extremes of what it is derived from."""
        retimed = self._timed_again(trial)
        best_ends, worst_ends = {}, {}
        for name, interval in retimed.items():
            ends = interval.low, interval.high
            best_ends[name], worst_ends[name] = ends[::-1] if METRICS[name].direction == "maximize" else ends
        values = self._metrics(trial, {name: interval.value for name, interval in retimed.items()})
        extremes = self._metrics(trial, best_ends), self._metrics(trial, worst_ends)
        return {
            name: Interval(metric.value, *sorted(extreme[name].value for extreme in extremes))
            for name, metric in values.items()
        }

    def _metrics(self, trial: Trial, measured: Mapping[str, float]) -> dict[str, MetricValue]:
        """The trial's metrics with some measured again, and what is derived from them."""
        assert trial.evaluation is not None
        again = {name: MetricValue(value) for name, value in measured.items()}
        return self.prepared.problem.metrics(replace(trial.evaluation, metrics={**trial.evaluation.metrics, **again}))

    def _timed_again(self, trial: Trial) -> dict[str, Interval]:
        if trial.number not in self._retimed:
            reference = self.prepared.evaluator.reference
            found = {}
            for name, plan in self.prepared.evaluator.plan.timing.items():
                seed = derived_seed(self.prepared.job.seed, "retiming", name)
                longer = replace(plan, seconds=self.prepared.job.ending.seconds, seed=seed)
                measured = self.prepared.job.target.measure([reference.session, self._session(trial)], longer)
                constant = reference.evaluation.metrics[name].value
                found[name] = _interval(name, measured.ratio(), constant, timed_metric(name, measured, constant).value)
            self._retimed[trial.number] = found
        return self._retimed[trial.number]

    def _session(self, trial: Trial) -> Session:
        assert trial.policy is not None
        return self.built(trial.policy)[2]


def _interval(name: str, ratio: RatioEstimate, constant: float, value: float) -> Interval:
    if METRICS[name].direction == "maximize":
        return Interval(value, constant / ratio.high, constant / ratio.low)
    return Interval(value, constant * ratio.low, constant * ratio.high)
