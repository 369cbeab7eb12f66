"""Delivery: the order of candidates, the certificate's attempts, bounds on a longer timing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest

from moco.compression.policy_settings import NEUTRAL
from moco.constraints import Bound
from moco.errors import CompressionError
from moco.evaluation.calm import CalmTimings
from moco.experiment.build import build_job
from moco.experiment.loading import experiment_of
from moco.measurement import Measurement, TimingPlan
from moco.policy import Policy
from moco.run.candidates import Planned
from moco.run.delivery import Delivery, Finisher
from moco.run.job import Prepared, prepare
from moco.trial import Evaluation, MetricValue, Outcome, Suggestion, Trial, TrialState
from tests.app.tiny import read, settings
from tests.policies import policy_of

INT8 = policy_of({}, {"linear": "int8"})
THIN = policy_of({"layer2.0.conv1": (4, 64), "layer2.1.conv1": (4, 64), "layer1.0.conv1": (4, 32)}, {})
NARROW = policy_of({"layer1.0.conv1": (24, 32)}, {})
"""INT8 and NARROW lose few images, THIN loses many. (Half of those 32 channels cost 9 points on one machine.)"""


@pytest.fixture(scope="module")
def prepared(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A search that is ready for its first trial."""
    folder = tmp_path_factory.mktemp("ending")
    experiment = experiment_of(settings(model={"weights": str(weights)}))
    return prepare(build_job(experiment, folder / "run"), folder / "files")


@pytest.fixture(scope="module")
def trial(prepared: Prepared) -> Callable[..., Trial]:
    """Makes a finished trial, with a score and a feasibility that a lucky search might have given it."""
    evaluations: dict[Policy, Evaluation] = {}

    def finished(number: int, policy: Policy, score: float, violation: float = -1.0) -> Trial:
        if policy not in evaluations:
            evaluations[policy] = prepared.evaluator.evaluate(policy)
        return Trial(
            number, Suggestion(number, {}), TrialState.COMPLETE, {},
            policy=policy, evaluation=evaluations[policy], score=score,
            outcome=Outcome(losses=(-score, score), violations=(violation,)),
        )  # fmt: skip

    return finished


def lucky(found: Trial, prepared: Prepared, error: float = 0.0, sem: float = 0.01) -> Trial:
    """The trial as if its errors on the search images had been so many above the reference's."""
    assert found.evaluation is not None
    reference = prepared.evaluator.reference.evaluation.metrics["top1_error"].value
    metrics = {**found.evaluation.metrics, "top1_error": MetricValue(reference + error, sem)}
    return replace(found, evaluation=replace(found.evaluation, metrics=metrics))


def delivered(prepared: Prepared, trials: Sequence[Trial], folder: Path | None = None, **ending: Any) -> Delivery:
    plan = prepared.job.plan
    job = replace(prepared.job, plan=replace(plan, delivery=replace(plan.delivery, **ending)))
    delivery = Finisher(replace(prepared, job=job), folder or Path(mkdtemp()), trials).deliver()
    assert delivery is not None
    return delivery


def bounded(prepared: Prepared, *bounds: Bound) -> Prepared:
    return replace(prepared, problem=replace(prepared.problem, bounds=bounds))


def whole_in_int8(prepared: Prepared) -> Policy:
    """What is known to be safe."""
    whole = {prepared.space.canonical(prepared.space.uniform(0.0, n)) for n in range(prepared.space.n_variants())}
    (found,) = whole - {NEUTRAL}
    return found


def tried(delivery: Delivery) -> list[int]:
    return [int(attempt.candidate) for attempt in delivery.certificate.attempts]


def test_the_best_is_delivered_where_its_floor_holds(prepared: Prepared, trial: Any) -> None:
    delivery = delivered(prepared, [trial(0, NEUTRAL, -1.0), trial(1, INT8, -0.5), trial(2, NARROW, -0.8)])
    assert (delivery.trial.number, delivery.holds, tried(delivery)) == (1, True, [1])
    assert delivery.artifact.sha256 == delivery.trial.evaluation.artifact_sha256
    assert delivery.certificate.images == 300


def test_accuracies_by_class_make_up_the_certified_difference(prepared: Prepared, trial: Any) -> None:
    found = delivered(prepared, [trial(0, THIN, -0.2)])
    images = sum(one.images for one in found.per_class)
    assert [one.label for one in found.per_class] == list(range(10))
    assert images == found.certificate.images
    difference = sum(one.images * (one.network - one.reference) for one in found.per_class) / images
    assert difference == pytest.approx(found.certificate.estimate)


def test_what_is_worth_most_is_tried_last_and_a_network_that_holds_before_it(prepared: Prepared, trial: Any) -> None:
    thin = lucky(trial(3, THIN, -0.2), prepared)
    trials = [trial(0, NEUTRAL, -1.0), trial(1, NARROW, -0.9), trial(2, INT8, -0.7), thin]
    delivery = delivered(prepared, trials, attempts=3)
    assert tried(delivery)[-2:] == [2, 3]
    assert (delivery.trial.number, delivery.holds) == (2, True)


def test_a_network_that_is_known_to_be_safe_is_tried_before_bold_ones(
    prepared: Prepared, trial: Any, tmp_path: Path
) -> None:
    trials = [lucky(trial(0, THIN, -0.2), prepared), trial(1, whole_in_int8(prepared), -0.7)]
    found = delivered(prepared, trials, tmp_path, attempts=3)
    assert tried(found) == [1, 0]
    assert (found.trial.number, found.holds) == (1, True)
    assert "2 candidates by the fallback procedure" in found.certificate.method
    assert read(tmp_path / "certification.json")["spent"] == pytest.approx(0.05), "it ended at one that does not hold"
    assert delivered(prepared, trials, tmp_path, attempts=3).certificate == found.certificate
    alone = delivered(prepared, trials[1:], tmp_path / "other", attempts=3)
    assert (alone.holds, read(tmp_path / "other" / "certification.json")["spent"]) == (True, 0.0), "all is passed on"


def test_the_floor_that_a_dominated_network_meets_is_certified(prepared: Prepared, trial: Any) -> None:
    """Five cheaper ones were luckier on the search images, so that the safe one is far down the front."""
    thin = [
        policy_of({"layer2.0.conv1": (4, 64), "layer2.1.conv1": (kept, 64), "layer1.0.conv1": (4, 32)}, {})
        for kept in (4, 5, 6, 7, 8)
    ]
    luckiest = [lucky(trial(n, policy, -0.2 - n / 100), prepared, -n / 100) for n, policy in enumerate(thin)]
    delivery = delivered(prepared, [*luckiest, trial(5, whole_in_int8(prepared), -0.7)], attempts=2)
    assert (tried(delivery)[0], delivery.trial.number, delivery.holds) == (5, 5, True)


def test_what_misses_the_floor_on_the_search_images_may_be_certified(prepared: Prepared, trial: Any) -> None:
    unlucky = lucky(trial(1, INT8, -50, violation=0.1), prepared, 0.11, 0.02)
    delivery = delivered(prepared, [trial(0, THIN, -50, violation=2.0), unlucky], attempts=2)
    assert (delivery.trial.number, delivery.trial.feasible, delivery.holds) == (1, False, True)


def test_where_only_the_uncompressed_network_holds_it_is_delivered_with_a_warning(
    prepared: Prepared, trial: Any, tmp_path: Path
) -> None:
    finisher = Finisher(prepared, tmp_path, [trial(0, THIN, -0.2), trial(1, NEUTRAL, -1.0)])
    delivery = finisher.deliver()
    assert delivery is not None
    assert (delivery.trial.number, delivery.holds) == (1, True)
    assert finisher.warnings[0].startswith("no compressed network was certified")


def test_where_none_holds_what_came_closest_is_delivered_and_said_not_to_hold(prepared: Prepared, trial: Any) -> None:
    thinner = policy_of({"layer2.0.conv1": (1, 64), "layer2.1.conv1": (1, 64), "layer1.0.conv1": (1, 32)}, {})
    trials = [lucky(trial(0, thinner, -0.1), prepared), lucky(trial(1, THIN, -0.2), prepared)]
    delivery = delivered(prepared, trials, attempts=2)
    assert (delivery.trial.number, delivery.holds, tried(delivery)) == (1, False, [1, 0])
    assert "does not hold, for none of 2 candidates" in delivery.certificate.statement


def test_one_policy_is_tried_once_and_no_more_than_allowed(prepared: Prepared, trial: Any) -> None:
    thin = [lucky(trial(number, THIN, -0.2), prepared) for number in (0, 1)]
    trials = [*thin, trial(2, NEUTRAL, -1.0), trial(3, INT8, -0.9)]
    assert tried(delivered(prepared, trials, attempts=2)) == [3, 0]
    assert tried(delivered(prepared, [lucky(thin[0], prepared, 0.1, 0.03), trials[3]], attempts=1)) == [3]


def test_a_second_ending_tests_with_the_confidence_that_the_first_has_left(
    prepared: Prepared, trial: Any, tmp_path: Path
) -> None:
    lost = trial(0, THIN, -0.2)
    first = delivered(prepared, [lost], tmp_path, attempts=2, confidence=0.9)
    second = delivered(prepared, [lost, trial(1, INT8, -0.1)], tmp_path, attempts=2, confidence=0.9)
    third = delivered(prepared, [lost, trial(1, INT8, -0.1)], tmp_path, attempts=2, confidence=0.9)
    assert (first.holds, first.certificate.confidence) == (False, pytest.approx(0.9))
    # One candidate was allowed and tried, so the whole tenth is spent: what is left certifies nothing by chance.
    assert second.certificate.confidence > 0.999999
    assert third.certificate.confidence > 0.999999


def test_a_network_that_was_certified_is_not_tested_again(prepared: Prepared, trial: Any, tmp_path: Path) -> None:
    trials = [trial(0, INT8, -0.2)]
    first, second = (delivered(prepared, trials, tmp_path) for _ in range(2))
    assert first.certificate == second.certificate
    assert first.certificate.holds
    assert first.per_class == second.per_class, "as where the process was killed before the first was written"


def test_candidates_that_did_not_hold_are_not_tested_again(prepared: Prepared, trial: Any, tmp_path: Path) -> None:
    """So a search that was killed right after its certification ends as it would have."""
    first, second = (delivered(prepared, [trial(0, THIN, -0.2)], tmp_path) for _ in range(2))
    assert first.certificate.holds is False
    assert second.certificate == first.certificate
    assert read(tmp_path / "certification.json")["spent"] == pytest.approx(0.05)


def test_the_same_trials_are_delivered_as_before_and_what_missed_is_not_tried_again(
    prepared: Prepared, trial: Any, tmp_path: Path
) -> None:
    trials = [lucky(trial(0, THIN, -0.2), prepared), trial(1, INT8, -0.7)]
    first = delivered(prepared, trials, tmp_path, attempts=3)
    spent = read(tmp_path / "certification.json")["spent"]
    second = delivered(prepared, trials, tmp_path, attempts=3)
    assert tried(first) == [1, 0]
    assert (second.certificate, spent) == (first.certificate, read(tmp_path / "certification.json")["spent"])
    more = [*trials, lucky(trial(2, NARROW, -0.5), prepared)]
    third = delivered(prepared, more, tmp_path, attempts=6)
    assert set(tried(third)) == {0, 1}, "all is spent: what was certified stays"


def test_a_certified_network_stays_the_delivery_where_no_better_one_can_be_certified(
    prepared: Prepared, trial: Any, tmp_path: Path
) -> None:
    certified = trial(0, INT8, -0.5)
    first = delivered(prepared, [certified], tmp_path, attempts=2)
    second = delivered(prepared, [certified, trial(1, THIN, -0.1)], tmp_path, attempts=2)
    assert first.holds
    assert second.trial.number == 0
    assert second.certificate == first.certificate


def test_a_file_that_is_not_the_evaluated_one_is_not_delivered(prepared: Prepared, trial: Any) -> None:
    other = trial(0, INT8, -0.2)
    other = replace(other, evaluation=replace(other.evaluation, artifact_sha256="0" * 64))
    with pytest.raises(CompressionError, match="not the one that was scored and timed"):
        delivered(prepared, [other])


def test_a_bound_on_top5_is_judged_on_the_certification_images(prepared: Prepared, trial: Any) -> None:
    strict = bounded(prepared, Bound("top5_error", "<=", 0.0001))
    (bound,) = delivered(strict, [trial(0, THIN, -0.2)]).bounds
    assert (bound.metric, bound.holds) == ("top5_error", False)
    assert bound.upper > bound.estimate


def test_what_misses_a_bound_on_the_certification_images_passes_nothing_on(
    prepared: Prepared, trial: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    safe, other, bold = trial(0, INT8, -0.7), trial(1, NARROW, -0.5), trial(2, NEUTRAL, -0.4)
    finisher = Finisher(prepared, tmp_path, [safe, other, bold])
    monkeypatch.setattr(finisher, "_hold", lambda one, *_metrics: one.number != 1)
    in_sequence = finisher._certificate([Planned(safe, 1.0), Planned(other, 0.0), Planned(bold, 0.0)])
    assert [attempt.candidate for attempt in in_sequence.attempts] == [0]
    with_shares = finisher._certificate([Planned(one, 0.5) for one in (other, bold)])
    assert [attempt.candidate for attempt in with_shares.attempts] == [2]


def test_an_infeasible_best_effort_is_certified_alone(prepared: Prepared, trial: Any) -> None:
    delivery = delivered(prepared, [trial(0, THIN, -50, violation=2.0), trial(1, NEUTRAL, -50, violation=0.5)])
    assert (delivery.trial.number, tried(delivery)) == (1, [1])
    assert not delivery.trial.feasible


def test_without_a_complete_trial_nothing_is_delivered(prepared: Prepared, tmp_path: Path) -> None:
    rejected = Trial(0, Suggestion(0, {}), TrialState.REJECTED, {}, policy=THIN, reason="too thin")
    assert Finisher(prepared, tmp_path, []).deliver() is None
    assert Finisher(prepared, tmp_path, [rejected]).deliver() is None


def test_an_exact_bound_that_is_missed_lets_the_next_be_delivered(prepared: Prepared, trial: Any) -> None:
    trials = [trial(0, NEUTRAL, -0.1), trial(1, NARROW, -0.9)]
    whole, narrow = (t.evaluation.metrics["size_mb"].value for t in trials)
    delivery = delivered(bounded(prepared, Bound("size_mb", "<=", (whole + narrow) / 2)), trials)
    assert (delivery.trial.number, delivery.holds, tried(delivery)) == (1, True, [1])
    (bound,) = delivery.bounds
    assert (bound.metric, bound.estimate, bound.upper, bound.holds) == ("size_mb", narrow, narrow, True)


class Slow:
    """A target that times every candidate at the given ratio to the reference, exactly."""

    def __init__(self, target: Any, ratios: dict[str, float]) -> None:
        self.target, self.ratios, self.seconds = target, ratios, []

    def load(self, artifact: Any) -> Any:
        return self.target.load(artifact)

    def measure(self, sessions: Sequence[Any], plan: TimingPlan) -> Measurement:
        self.seconds.append(plan.seconds)
        ratio = self.ratios.get(sessions[1].artifact.sha256, 1.0)
        noise = np.random.default_rng(0).uniform(0.98, 1.02, 40)
        samples = tuple(noise), tuple(noise[::-1] * ratio)
        return replace(self.target.measure(sessions, plan), samples_ms=samples)


def test_bounds_are_judged_by_the_bad_end_of_a_longer_timing(
    prepared: Prepared, trial: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    latency = prepared.evaluator.reference.evaluation.metrics["latency_ms"].value
    throughput = prepared.evaluator.reference.evaluation.metrics["throughput_ips"].value
    trials = [trial(0, INT8, -0.3), trial(1, NARROW, -0.6)]
    digests = [t.evaluation.artifact_sha256 for t in trials]
    target = Slow(prepared.job.target, {digests[0]: 0.999, digests[1]: 0.5})
    without_pauses = CalmTimings(target, prepared.evaluator.undisturbed, waited_share=0.0)
    monkeypatch.setattr(prepared.evaluator, "timings", without_pauses)
    bounds = Bound("latency_ms", "<=", latency), Bound("throughput_ips", ">=", throughput), Bound("cost", "<=", 0.95)
    delivery = delivered(bounded(prepared, *bounds), trials)
    assert set(target.seconds) == {prepared.job.plan.delivery.seconds}
    assert delivery.trial.number == 1, "a ratio of 0.999 is not surely below 1"
    assert delivery.holds
    told = {bound.metric: bound for bound in delivery.bounds}
    assert told["latency_ms"].estimate == pytest.approx(0.5 * latency, rel=0.02)
    assert told["latency_ms"].estimate < told["latency_ms"].upper < 0.6 * latency
    assert told["throughput_ips"].estimate == pytest.approx(2 * throughput, rel=0.02)
    assert told["throughput_ips"].upper < told["throughput_ips"].estimate
    # The cost is that of the longer timing, not of the search's.
    assert told["cost"].estimate == pytest.approx(delivery.metrics["cost"].value)
    assert told["cost"].estimate < told["cost"].upper < 0.95
    assert delivery.metrics["latency_ms"] == MetricValue(told["latency_ms"].estimate)

    alone = delivered(bounded(prepared, *bounds), trials[:1])
    assert (alone.trial.number, alone.holds) == (0, False)
    assert [bound.holds for bound in alone.bounds][:2] == [False, False]
