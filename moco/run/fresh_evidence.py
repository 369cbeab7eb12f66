"""What networks show on evidence that no search has looked at: the certification images, and a longer timing.

It is what the delivered network and the baselines are compared by. Only the delivered one is certified.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from moco.certification.certificate import Attempt, certify
from moco.certification.confidence_bounds import absolute_lower_bound
from moco.constraints import Bound
from moco.evaluation.accuracy import Correct, error_metrics
from moco.measurement import RatioEstimate
from moco.metrics import ERRORS, METRICS, TOP1_ERROR, TOP5_ERROR, interval
from moco.readings import READINGS
from moco.run.delivery import Delivery, Finisher
from moco.run.job import Prepared
from moco.run_folder.record import as_json
from moco.run_folder.result import AttemptRecord, BoundRecord, Rival
from moco.trial import Evaluation, MetricValue

Ends = Mapping[str, tuple[float, float]]
"""The lower and the upper end of a 95 % interval by metric."""


@dataclass(frozen=True)
class Evidence:
    """What one network shows.

    Attributes:
        metrics: with the derived ones; errors are those of the search split.
        ends: of errors on the search split, and of what was timed or derives from it.
        unseen: its test on the certification images, as strict as an attempt at the certificate.
        score: the lowest and the highest score within the ends, errors being those of the certification images; None
            where a metric that the score asks for is not known.
    """

    metrics: Mapping[str, MetricValue]
    ends: Ends
    feasible: bool | None
    unseen: Attempt
    bounds: tuple[BoundRecord, ...]
    score: tuple[float, float] | None

    @property
    def holds(self) -> bool:
        """Whether the floor and every bound hold; a bound on what is not known does not."""
        return self.unseen.holds is not False and all(bound.holds for bound in self.bounds)

    def record(self, name: str) -> Rival:
        """As result.json has it."""
        return Rival(
            name=name,
            metrics={name: metric.value for name, metric in self.metrics.items()},
            intervals=self.ends,
            feasible=self.feasible,
            unseen=AttemptRecord.from_json({**as_json(vars(self.unseen)), "candidate": name}),
            bounds=self.bounds,
            holds=self.holds,
        )


def beats(baseline: Evidence, delivered: Evidence | None, *, holds: bool) -> bool:
    """Whether a baseline does better than the delivered network, of which `holds` says whether it keeps all bounds.

    It must keep the floor and all bounds. Its score must then be better by more than the intervals of both, where the
    delivered network keeps them too.
    """
    if not baseline.holds:
        return False
    if delivered is None or not holds:
        return True
    if baseline.score is None or delivered.score is None:
        return False
    (lowest, _), (_, highest) = baseline.score, delivered.score
    return lowest > highest


def evidence_of(
    prepared: Prepared, evaluation: Evaluation, timed: Ends, right: Correct, reference: Correct
) -> Evidence:
    """The evidence of a network: `timed` of its longer timing, `right` and `reference` of the certification images."""
    unseen = _unseen_errors(prepared, right, reference)
    best_case, worst_case = (_at_ends(evaluation, {**timed, **unseen}, best=best) for best in (True, False))
    errors = {name: evaluation.metrics[name] for name in ERRORS}
    searched = {name: interval(name, error.value, error.sem or 0.0) for name, error in errors.items()}
    problem, options = prepared.problem, prepared.job.plan.delivery
    metrics = problem.metrics(evaluation)
    both = problem.metrics(best_case), problem.metrics(worst_case)
    measured = {name for name in metrics if name in timed or name not in evaluation.metrics}
    ends = {name: _sorted(*(case[name].value for case in both)) for name in measured}
    confidence = 1 - (1 - options.confidence) / options.attempts
    test = certify(["it"], lambda _: right.top1, reference.top1, prepared.job.floor, confidence)
    top5 = 1 - absolute_lower_bound(right.top5, confidence)
    pessimistic = {**problem.metrics(worst_case), TOP5_ERROR: MetricValue(top5)}
    bounds = [bound for bound in problem.bounds if bound.metric != TOP1_ERROR]
    return Evidence(
        metrics=metrics,
        ends={**searched, **ends},
        feasible=_feasible(prepared, evaluation),
        unseen=test.attempts[0],
        bounds=tuple(_judged(bound, metrics, pessimistic, options.confidence) for bound in bounds),
        score=_score(prepared, worst_case, best_case),
    )


def of_delivered(delivery: Delivery, finisher: Finisher) -> Evidence:
    """The evidence of the delivered network."""
    assert delivery.trial.evaluation is not None
    timed = {name: (found.low, found.high) for name, found in delivery.retimed.items()}
    again = {name: MetricValue(found.value) for name, found in delivery.retimed.items()}
    evaluation = replace(delivery.trial.evaluation, metrics={**delivery.trial.evaluation.metrics, **again})
    return evidence_of(finisher.prepared, evaluation, timed, finisher.right(delivery.trial), finisher.right(None))


def timed_ends(prepared: Prepared, evaluation: Evaluation) -> Ends:
    """Ends of what was timed in an evaluation beside the reference."""
    constants, found = prepared.evaluator.reference.evaluation.metrics, {}
    for name in prepared.evaluator.plan.timing:
        value, low, high = evaluation.details[f"{name}.ratio"]
        found[name] = READINGS[name].ends(constants[name].value, RatioEstimate(value, low, high, 0.0))
    return found


def _unseen_errors(prepared: Prepared, right: Correct, reference: Correct) -> Ends:
    """Ends of the errors on the certification images, moved so that the reference's are those of the search split.

    Bounds and scores refer to these.
    """
    on_search = prepared.evaluator.reference.evaluation.metrics
    own, others = error_metrics(right, reference), error_metrics(reference, reference)
    found = {}
    for name, metric in own.items():
        moved = metric.value + on_search[name].value - others[name].value
        found[name] = interval(name, moved, metric.sem or 0.0)
    return found


def _at_ends(evaluation: Evaluation, ends: Ends, *, best: bool) -> Evaluation:
    """The evaluation with each metric at its best, or its worst, end."""
    at = {name: max(two) if (METRICS[name].direction == "maximize") == best else min(two) for name, two in ends.items()}
    moved = {name: MetricValue(value) for name, value in at.items()}
    return replace(evaluation, metrics={**evaluation.metrics, **moved})


def _judged(
    bound: Bound, metrics: Mapping[str, MetricValue], pessimistic: Mapping[str, MetricValue], confidence: float
) -> BoundRecord:
    known = bound.metric in metrics
    return BoundRecord(
        metric=bound.metric,
        bound=f"{bound.op} {bound.value:.6g}",
        estimate=metrics[bound.metric].value if known else None,
        upper=pessimistic[bound.metric].value if known else None,
        confidence=confidence,
        holds=bound.violation(MetricValue(pessimistic[bound.metric].value)) <= 0 if known else None,
    )


def _feasible(prepared: Prepared, evaluation: Evaluation) -> bool | None:
    """Whether it meets the constraints as trials have to; None where a metric is not known."""
    try:
        return prepared.problem.judge(evaluation).feasible
    except ValueError:
        return None


def _score(prepared: Prepared, worst: Evaluation, best: Evaluation) -> tuple[float, float] | None:
    try:
        return _sorted(*(prepared.problem.unbounded_score(case) for case in (worst, best)))
    except ValueError:
        return None


def _sorted(one: float, other: float) -> tuple[float, float]:
    return min(one, other), max(one, other)
