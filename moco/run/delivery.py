"""Certifies the winner on unseen images and times it again, longer, before anything is promised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from moco import pareto
from moco.certification.certificate import Certificate, certify
from moco.certification.confidence_bounds import absolute_lower_bound
from moco.errors import CompressionError
from moco.evaluation.accuracy import Correct, correct, logits_of
from moco.evaluation.builder import Stopwatch
from moco.interfaces import Artifact, Session
from moco.measurement import RatioEstimate, Samples
from moco.metrics import METRICS, TOP1_ERROR, TOP5_ERROR
from moco.policy import Policy
from moco.randomness import derived_seed
from moco.readings import READINGS, Reading
from moco.run.certification_log import CertificationLog
from moco.run.job import Prepared
from moco.run.recount import Recount, from_store
from moco.run.starts import baselines
from moco.run_folder.result import BoundRecord, ClassRecord, Interval
from moco.study import best, rank
from moco.trial import MetricValue, Trial


@dataclass(frozen=True)
class Delivery:
    """The network that is delivered."""

    trial: Trial
    artifact: Artifact
    network: nn.Module
    metrics: Mapping[str, MetricValue]  # of the trial's evaluation, with the timed ones measured again
    certificate: Certificate
    retimed: Mapping[str, Interval]  # the timed metrics measured again
    bounds: Sequence[BoundRecord]  # all but the floor, each against the longer timing
    per_class: tuple[ClassRecord, ...] = ()  # on the certification images

    @property
    def holds(self) -> bool:
        """Whether the floor, where there is one, and every bound hold on fresh evidence."""
        return self.certificate.holds is not False and all(bound.holds for bound in self.bounds)


class Finisher:
    """Certifies and times again; builds each file that it needs once."""

    def __init__(self, prepared: Prepared, folder: Path, trials: Sequence[Trial]) -> None:
        """Take a search that is over, with its trials; `folder` holds the log of what was certified before."""
        self.prepared, self.trials = prepared, list(trials)
        self.corrected = False
        self.log = CertificationLog(folder)
        self.warnings: list[str] = []
        self.floor = prepared.job.floor
        self._built: dict[Policy, tuple[Artifact, nn.Module]] = {}
        self._sessions: dict[Policy, Session] = {}
        self._retimed: dict[int, dict[str, Interval]] = {}
        self._pessimistic: dict[tuple[int, str], Interval] = {}
        self._hashes = {t.policy: t.evaluation.artifact_sha256 for t in trials if t.policy and t.evaluation}
        self._scored: dict[int | None, Correct] = {}

    def deliver(self) -> Delivery | None:
        """The first candidate, in a fixed order, whose bounds and floor hold; the best one where none does.

        What the evaluation store said of the best, the front and the baselines is counted and scored again before:
        `trials` are then what was found.

        The order is fixed before an image of the certification split is read: the best feasible trial, then the rest
        of the feasible front by score. None where no trial is complete.
        """
        self._recount()
        candidates = self._candidates()
        if not candidates:
            return None
        within = self._within_bounds(candidates)
        certified = best(trial for trial in self.trials if self._earlier(trial) is not None)
        earlier = None if certified is None else self._earlier(certified)
        if certified is not None and earlier is not None:
            within = within[: within.index(certified)] if certified in within else within
            if not within or not self.log.has_confidence_left(self.prepared.job.plan.delivery.confidence):
                return self._delivery(certified, earlier)
        certificate = self._certified(within)
        if certified is not None and earlier is not None and not certificate.holds:
            return self._delivery(certified, earlier)
        return self._delivery(_of(within, certificate.reported.candidate), certificate)

    def _recount(self) -> None:
        """Replace the store's word on what result.json names by their files' own, until none of it is left there."""
        recount, asked = Recount(self.prepared), set[Policy]()
        while True:
            shown = (*self._candidates(), *pareto.front(self.trials), *baselines(self.trials))
            promised = dict.fromkeys(trial.policy for trial in shown if from_store(trial))
            policies = [policy for policy in promised if policy is not None and policy not in asked]
            if not policies:
                return
            for policy in policies:
                asked.add(policy)
                found = recount(policy)
                if found.built is not None:
                    self._built[policy] = found.built
                    self._hashes[policy] = found.built[0].sha256
                before, self.trials = self.trials, found.applied(self.trials, self.prepared.problem)
                if before != self.trials:
                    self.corrected = True
                    if self.prepared.evaluator.store is not None:
                        self.prepared.evaluator.store.forget(policy)
                    self.warnings.append(found.told(before))

    def _earlier(self, trial: Trial) -> Certificate | None:
        """What an earlier delivery has certified of the trial's network; it is not tested again."""
        return None if trial.policy is None else self.log.held(trial.policy)

    def _certified(self, candidates: Sequence[Trial]) -> Certificate:
        """The certificate of the candidates in their order, with the confidence that earlier endings have left."""
        options = self.prepared.job.plan.delivery
        policies = [trial.policy for trial in candidates if trial.policy is not None]
        failed = None if self.floor is None else self.log.failed(policies, options.confidence, options.attempts)
        if failed is not None:
            again = zip(failed.attempts, candidates, strict=False)
            return replace(failed, attempts=tuple(replace(attempt, candidate=t.number) for attempt, t in again))
        confidence = self.log.confidence_left(options.confidence)
        certificate = certify(
            [trial.number for trial in candidates],
            lambda number: self._right(_of(candidates, number)).top1,
            self._right(None).top1,
            self.floor,
            confidence,
            options.attempts,
        )
        if self.floor is not None:
            delivered = _of(candidates, certificate.reported.candidate)
            assert delivered.policy is not None
            self.log.add(certificate, policies, delivered.policy, options.confidence, options.attempts)
        return certificate

    def _right(self, trial: Trial | None) -> Correct:
        """Which certification images the trial's file, or the reference's, gets right."""
        number = None if trial is None else trial.number
        if number not in self._scored:
            session = self.prepared.evaluator.reference.session if trial is None else self._session(trial)
            images, labels = self.prepared.job.data.images("certification")
            self._scored[number] = correct(logits_of(session, images), labels)
        return self._scored[number]

    def right(self, trial: Trial | None) -> Correct:
        """Which certification images the trial's file, or the reference's, gets right, once all is certified."""
        return self._right(trial)

    def close(self) -> None:
        """Close the sessions of all candidates."""
        while self._sessions:
            self._sessions.popitem()[1].close()

    def built(self, policy: Policy) -> tuple[Artifact, nn.Module]:
        """The policy's file and its network."""
        if policy not in self._built:
            artifact, network = self.prepared.evaluator.builder.build(policy)
            self._check_same(policy, artifact)
            self._built[policy] = artifact, network
        return self._built[policy]

    def _check_same(self, policy: Policy, artifact: Artifact) -> None:
        """What ships must be what was scored and timed (W08)."""
        evaluated = self._hashes.get(policy)
        if evaluated is not None and evaluated != artifact.sha256:
            raise CompressionError(
                "the file built for delivery is not the one that was scored and timed (other bytes): were libraries "
                "changed since the search began? Start a new search in another folder, with `store: false`"
            )

    def _candidates(self) -> list[Trial]:
        first = best(self.trials)
        if first is None:
            return []
        if not first.feasible:
            return [first]
        rest = [trial for trial in pareto.front(self.trials) if trial.policy != first.policy]
        ordered = [first, *sorted(rest, key=lambda t: (rank(t), -t.number), reverse=True)]
        return ordered[: self.prepared.job.plan.delivery.attempts]

    def _within_bounds(self, candidates: list[Trial]) -> list[Trial]:
        """Candidates whose bounds still hold when timed longer; the first alone where none's do."""
        if all(bound.metric == TOP1_ERROR for bound in self.prepared.problem.bounds):
            return candidates
        within = []
        for trial in candidates:
            if all(bound.holds for bound in self._bounds(trial)):
                within.append(trial)
                if self.floor is None:
                    break
        return within or candidates[:1]

    def _delivery(self, trial: Trial, certificate: Certificate) -> Delivery:
        assert trial.policy is not None
        assert trial.evaluation is not None
        artifact, network = self.built(trial.policy)
        retimed = self._timed_again(trial)
        measured = {name: interval.value for name, interval in retimed.items()}
        metrics = self._metrics(trial, measured)
        bounds, per_class = self._bounds(trial), self._per_class(trial)
        return Delivery(trial, artifact, network, metrics, certificate, retimed, bounds, per_class)

    def _per_class(self, trial: Trial) -> tuple[ClassRecord, ...]:
        """By class, what the trial's file and the reference get right of the certification images.

        Of a network that an earlier delivery has certified it says no more than was read off them then.
        """
        _, labels = self.prepared.job.data.images("certification")
        reference, network = self._right(None).top1, self._right(trial).top1
        of_class = {int(label): labels == label for label in np.unique(labels)}
        return tuple(
            ClassRecord(
                label=label,
                images=int(chosen.sum()),
                reference=float(reference[chosen].mean()),
                network=float(network[chosen].mean()),
            )
            for label, chosen in of_class.items()
        )

    def _bounds(self, trial: Trial) -> list[BoundRecord]:
        """Every bound but the floor, against the pessimistic end of the longer measurement."""
        intervals, found = self.intervals(trial), []
        for bound in self.prepared.problem.bounds:
            if bound.metric == TOP1_ERROR:
                continue
            interval = self._top5(trial) if bound.metric == TOP5_ERROR else intervals[bound.metric]
            interval = self._pessimistic.get((trial.number, bound.metric), interval)
            upper = interval.high if bound.op == "<=" else interval.low  # the pessimistic end, by its old name
            found.append(
                BoundRecord(
                    metric=bound.metric,
                    bound=f"{bound.op} {bound.value:.6g}",
                    estimate=interval.value,
                    upper=upper,
                    confidence=self.prepared.job.plan.delivery.confidence,
                    holds=bound.violation(MetricValue(upper)) <= 0,
                )
            )
        return found

    def _top5(self, trial: Trial) -> Interval:
        """Top-5 error on the certification images, with its exact bound, corrected for all candidates."""
        options, right = self.prepared.job.plan.delivery, self._right(trial).top5
        error = 1 - float(right.mean())
        return Interval(error, 0.0, 1 - absolute_lower_bound(right, 1 - (1 - options.confidence) / options.attempts))

    def intervals(self, trial: Trial) -> dict[str, Interval]:
        """Every metric on the longer measurement; what is derived has the extremes of what it is derived from."""
        retimed = self._timed_again(trial)
        best_ends, worst_ends = {}, {}
        for name, interval in retimed.items():
            ends = interval.low, interval.high
            best_ends[name], worst_ends[name] = ends[::-1] if METRICS[name].direction == "maximize" else ends
        values = self._metrics(trial, {name: interval.value for name, interval in retimed.items()})
        extremes = self._metrics(trial, best_ends), self._metrics(trial, worst_ends)
        found = {}
        for name, metric in values.items():
            low, high = sorted(extreme[name].value for extreme in extremes)
            found[name] = Interval(metric.value, low, high)
        return found

    def _metrics(self, trial: Trial, measured: Mapping[str, float]) -> dict[str, MetricValue]:
        assert trial.evaluation is not None
        again = {name: MetricValue(value) for name, value in measured.items()}
        return self.prepared.problem.metrics(replace(trial.evaluation, metrics={**trial.evaluation.metrics, **again}))

    def _timed_again(self, trial: Trial) -> dict[str, Interval]:
        if trial.number not in self._retimed:
            evaluator, options = self.prepared.evaluator, self.prepared.job.plan.delivery
            found = {}
            for name, plan in evaluator.plan.timing.items():
                seed = derived_seed(self.prepared.job.plan.seed, "retiming", name)
                longer = replace(plan, seconds=options.seconds, seed=seed)
                sessions = [evaluator.reference.session, self._session(trial)]
                with evaluator.undisturbed(Stopwatch()):
                    measured = self.prepared.job.target.measure(sessions, longer)
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

    def _session(self, trial: Trial) -> Session:
        assert trial.policy is not None
        if trial.policy not in self._sessions:
            self._sessions[trial.policy] = self.prepared.job.target.load(self.built(trial.policy)[0])
        return self._sessions[trial.policy]


def _of(candidates: Sequence[Trial], number: int | str) -> Trial:
    return next(trial for trial in candidates if trial.number == int(number))


def _interval(reading: Reading, ratio: RatioEstimate, constant: float, value: float, samples: Samples = ()) -> Interval:
    return Interval(value, *reading.ends(constant, ratio), samples, reading.unit)
