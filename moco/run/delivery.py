"""Certifies the winner on unseen images and times it again, longer, before anything is promised."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from moco import pareto
from moco.certification.certificate import Certificate, certify
from moco.certification.confidence_bounds import absolute_lower_bound
from moco.compression.policy_settings import NEUTRAL
from moco.errors import CompressionError
from moco.evaluation.accuracy import Correct, correct, logits_of
from moco.interfaces import Artifact, Session
from moco.metrics import ERRORS, TOP1_ERROR, TOP5_ERROR
from moco.policy import Policy
from moco.run.candidates import Planned, by_score, deliverable, shares_of, to_certify, worth
from moco.run.certification_log import CertificationLog, Question
from moco.run.finalist_forecasts import Forecasts
from moco.run.job import Prepared
from moco.run.longer_timing import LongerTiming
from moco.run.recount import Recount, from_store
from moco.run.sibling_trials import NO_SIBLINGS, SiblingTrials
from moco.run.smoothed_timings import SmoothedTimings
from moco.run.starts import baselines
from moco.run_folder.result import BoundRecord, ClassRecord, Interval
from moco.trial import MetricValue, Trial
from moco.trial_rank import best

REPLACEMENTS = 2
"""How often candidates that a longer timing finds beyond a bound are replaced: each one costs seconds."""


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

    def __init__(
        self, prepared: Prepared, folder: Path, trials: Sequence[Trial], siblings: SiblingTrials = NO_SIBLINGS
    ) -> None:
        """Take a search that is over, with its trials; `folder` holds the log of what was certified before.

        The `siblings` are candidates like the trials, whose numbers theirs follow.
        """
        trials = [*trials, *siblings.trials]
        self.prepared, self.trials = prepared, trials
        self.corrected = False
        self.log = CertificationLog(folder)
        self._told: list[str] = []
        self.floor = prepared.job.floor
        self._built: dict[Policy, tuple[Artifact, nn.Module]] = dict(siblings.built)
        self._sessions: dict[Policy, Session] = {}
        self.timing = LongerTiming(prepared, self._session)
        self._hashes = {t.policy: t.evaluation.artifact_sha256 for t in trials if t.policy and t.evaluation}
        self._scored: dict[int | None, Correct] = {}
        self._late: set[Policy] = set()  # beyond a bound, by the longer timing
        self._timed_bounds = [bound.metric for bound in prepared.problem.bounds if bound.metric not in ERRORS]

    @property
    def warnings(self) -> list[str]:
        """What is to be said of the delivery."""
        return [*self._told, *self.timing.warnings]

    def deliver(self) -> Delivery | None:
        """The first candidate, in a fixed order, whose bounds and floor hold; where none does, what came closest.

        What the evaluation store said of the candidates, the front and the baselines is counted and scored again
        before: `trials` are then what was found. The candidates and their order are fixed before an image of the
        certification split is read (moco/run/candidates.py). None where no trial is complete.
        """
        self._recount()
        if best(self.trials) is None:
            return None
        if self.floor is None:
            within = self._first_within([planned.trial for planned in self._candidates()])
            return self._delivery(within, self._certificate([Planned(within, 1.0)]))
        found, earlier = self._said_before() or self._tried_now(), self._certified_before()
        if earlier is not None and (found is None or not found[1].holds):
            found = earlier
        assert found is not None
        if found[0].policy == NEUTRAL and found[1].holds:
            self._told.append("no compressed network was certified: the one that is delivered is the uncompressed one")
        return self._delivery(*found)

    def _recount(self) -> None:
        """Replace the store's word on what result.json names by their files' own, until none of it is left there."""
        recount, asked = Recount(self.prepared), set[Policy]()
        while True:
            candidates = [planned.trial for planned in self._candidates()]
            shown = (*candidates, *pareto.front(self.trials), *baselines(self.trials))
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
                    self._told.append(found.told(before))

    def _certified_before(self) -> tuple[Trial, Certificate] | None:
        """The best trial whose network an earlier delivery has certified, which is not tested again."""
        complete = [
            (trial, trial.policy) for trial in self.trials if trial.score is not None and trial.policy is not None
        ]
        of_trials = [(trial, self.log.held(policy)) for trial, policy in complete]
        found = [(trial, certificate) for trial, certificate in of_trials if certificate is not None]
        problem = self.prepared.problem
        return max(found, key=lambda pair: (worth(pair[0], problem), -pair[0].number), default=None)

    def _said_before(self) -> tuple[Trial, Certificate] | None:
        """What an earlier delivery of the same trials has said; they are not tested again."""
        answer = self.log.answer(self._question())
        if answer is None:
            return None
        tried = [self._named(key) for key in answer.tried]
        again = zip(answer.certificate.attempts, tried, strict=True)
        attempts = tuple(replace(attempt, candidate=trial.number) for attempt, trial in again)
        certificate = replace(answer.certificate, attempts=attempts)
        return _of(tried, certificate.reported.candidate), certificate

    def _tried_now(self) -> tuple[Trial, Certificate] | None:
        """What the certification images say; None where only what is certified already could be tried."""
        options = self.prepared.job.plan.delivery
        if self._certified_before() is not None and not self.log.has_confidence_left(options.confidence):
            return None
        question, candidates = self._question(), self._fixed()
        if not candidates:
            return None
        certificate = self._certificate(candidates, question)
        return _of([planned.trial for planned in candidates], certificate.reported.candidate), certificate

    def _question(self) -> Question:
        options = self.prepared.job.plan.delivery
        policies = [trial.policy for trial in self._pool() if trial.policy is not None]
        return Question(tuple(policies), options.confidence, options.attempts)

    def _named(self, key: str) -> Trial:
        """The trial of the policy of this key."""
        return next(trial for trial in self._pool() if trial.policy is not None and trial.policy.key == key)

    def _certificate(self, candidates: Sequence[Planned], question: Question | None = None) -> Certificate:
        """The certificate of the candidates in their order, with the confidence that earlier endings have left.

        What misses a bound on top-5 on the certification images is left out as what misses the floor is: its share is
        lost, and what was passed on to it.
        """
        options = self.prepared.job.plan.delivery
        trials = [one.trial for one in candidates]
        within = {trial.number for trial in trials if self._hold(trial, TOP5_ERROR)} or {trials[0].number}
        certificate = certify(
            [trial.number for trial in trials],
            lambda number: self.right(_of(trials, number)).top1 if number in within else None,
            self.right(None).top1,
            self.floor,
            self.log.confidence_left(options.confidence),
            shares_of(candidates),
        )
        if question is not None:
            tried = [_of(trials, attempt.candidate).policy for attempt in certificate.attempts]
            all_hold = all(attempt.holds for attempt in certificate.attempts) and len(tried) == len(trials)
            self.log.add(question, certificate, [policy for policy in tried if policy is not None], all_hold=all_hold)
        return certificate

    def right(self, trial: Trial | None) -> Correct:
        """Which certification images the trial's file, or the reference's, gets right."""
        number = None if trial is None else trial.number
        if number not in self._scored:
            session = self.prepared.evaluator.reference.session if trial is None else self._session(trial)
            images, labels = self.prepared.job.data.images("certification")
            self._scored[number] = correct(logits_of(session, images), labels)
        return self._scored[number]

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

    def _pool(self) -> list[Trial]:
        """The trials that may be delivered: a best effort alone where none keeps the other bounds."""
        if self.floor is None:
            return by_score(self.trials, self.prepared.job.plan.delivery.attempts)
        return deliverable(self.trials, self.prepared.problem) or by_score(self.trials, 1)

    def _candidates(self) -> list[Planned]:
        """What is to be tried, in its order, as far as is known by now."""
        pool = self._pool()
        if self.floor is None or not pool:
            return [Planned(trial, 1.0) for trial in pool]
        earlier = self._certified_before()
        left = [trial for trial in pool if trial.policy not in self._late and not self.log.missed(trial.policy)]
        confidence = self.log.confidence_left(self.prepared.job.plan.delivery.confidence)
        timings = SmoothedTimings(self.prepared.problem, self.trials)
        certified = None if earlier is None else earlier[0]
        forecasts = Forecasts(self.prepared).before_training(self.trials)
        return to_certify(left or pool, self.prepared, confidence, certified, timings, forecasts)

    def _fixed(self) -> list[Planned]:
        """The candidates in their order; others take the place of those that a longer timing finds beyond a bound."""
        planned = first = self._candidates()
        for _ in range(REPLACEMENTS):
            late = [one.trial for one in planned if not self._hold(one.trial, *self._timed_bounds)]
            if not late:
                return planned
            self._late |= {trial.policy for trial in late if trial.policy is not None}
            self._recount()
            planned = self._candidates()
        within = [one for one in planned if self._hold(one.trial, *self._timed_bounds)]
        return within or ([] if self._certified_before() else first[:1])

    def _first_within(self, candidates: list[Trial]) -> Trial:
        """The first candidate whose bounds hold when timed longer; the first of all where none's do."""
        names = [bound.metric for bound in self.prepared.problem.bounds]
        return next((trial for trial in candidates if self._hold(trial, *names)), candidates[0])

    def _hold(self, trial: Trial, *metrics: str) -> bool:
        """Whether the trial's file keeps all bounds on these metrics but the floor."""
        return all(bound.holds for bound in self._bounds(trial, metrics))

    def _delivery(self, trial: Trial, certificate: Certificate) -> Delivery:
        assert trial.policy is not None
        assert trial.evaluation is not None
        artifact, network = self.built(trial.policy)
        retimed = self.timing.timed(trial)
        measured = {name: interval.value for name, interval in retimed.items()}
        metrics = self.timing.metrics(trial, measured)
        bounds, per_class = self._bounds(trial), self._per_class(trial)
        return Delivery(trial, artifact, network, metrics, certificate, retimed, bounds, per_class)

    def _per_class(self, trial: Trial) -> tuple[ClassRecord, ...]:
        """By class, what the trial's file and the reference get right of the certification images.

        Of a network that an earlier delivery has certified it says no more than was read off them then.
        """
        _, labels = self.prepared.job.data.images("certification")
        reference, network = self.right(None).top1, self.right(trial).top1
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

    def _bounds(self, trial: Trial, metrics: Collection[str] | None = None) -> list[BoundRecord]:
        """Every bound but the floor, on these metrics, against the pessimistic end of the longer measurement."""
        found = []
        for bound in self.prepared.problem.bounds:
            if bound.metric == TOP1_ERROR or (metrics is not None and bound.metric not in metrics):
                continue
            interval = self._top5(trial) if bound.metric == TOP5_ERROR else self.timing.intervals(trial)[bound.metric]
            interval = self.timing.pessimistic(trial, bound.metric) or interval
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
        options, right = self.prepared.job.plan.delivery, self.right(trial).top5
        error = 1 - float(right.mean())
        return Interval(error, 0.0, 1 - absolute_lower_bound(right, 1 - (1 - options.confidence) / options.attempts))

    def _session(self, trial: Trial) -> Session:
        assert trial.policy is not None
        if trial.policy not in self._sessions:
            self._sessions[trial.policy] = self.prepared.job.target.load(self.built(trial.policy)[0])
        return self._sessions[trial.policy]


def _of(candidates: Sequence[Trial], number: int | str) -> Trial:
    return next(trial for trial in candidates if trial.number == int(number))
