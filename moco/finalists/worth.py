"""What a network is worth that will have a forecast error: its score, times the chance that it may be delivered."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import NormalDist

from moco.certification.attempt_order import FloorTest
from moco.certification.certificate import DISCORDANCE
from moco.finalists.promise import Forecast
from moco.metrics import TOP1_ERROR, TOP5_ERROR
from moco.problem import Problem
from moco.trial import Evaluation, MetricValue, Trial


def slack(test: FloorTest, error: float, reference_error: float, discordance: float = DISCORDANCE) -> float:
    """How much more error the certificate allows than this, its own margin taken off; below 0 where it does not.

    The test's confidence is that of one attempt. `discordance` is the share of images that only one of network and
    reference is expected to get right: the margin for a relative floor goes by it.
    """
    most = reference_error - test.floor.value if test.floor.relative else 1 - test.floor.value
    # By a score bound: its margin is that of a network which errs as much as the floor allows.
    return most - NormalDist().inv_cdf(test.confidence) * _noise(test, most, reference_error, discordance) - error


def chance(test: FloorTest, forecast: Forecast, reference_error: float, discordance: float = DISCORDANCE) -> float:
    """Probability that a network of this error is certified, in one attempt of the test's confidence."""
    deviation = math.hypot(forecast.sd, _noise(test, forecast.error, reference_error, discordance))
    return NormalDist().cdf(slack(test, forecast.error, reference_error, discordance) / deviation)


@dataclass(frozen=True)
class Hope:
    """A network that may be delivered."""

    gain: float  # of its score over the best network that needs no training; never below 0
    chance: float  # that it is certified


def expected(hopes: Iterable[Hope]) -> float:
    """What more than the safe score is to be expected where they are tried by falling gain until one is certified.

    As if each held or failed by itself.
    """
    found, left = 0.0, 1.0
    for hope in sorted(hopes, key=lambda hope: -hope.gain):
        found += left * hope.chance * hope.gain
        left *= 1 - hope.chance
    return found


def _noise(test: FloorTest, error: float, reference_error: float, discordance: float) -> float:
    """Standard error of what the floor is about, on the images of the test: the accuracy lost, or the accuracy."""
    if test.floor.relative:
        spread = max(discordance, abs(error - reference_error))
    else:
        spread = max(error * (1 - error), 0.5 / test.images)
    return math.sqrt(spread / test.images)


@dataclass(frozen=True)
class Worth:
    """Judges networks of a problem by the errors that are forecast for them."""

    problem: Problem
    reference_error: float  # on the search split
    # of a network where so many more are tried than the safe one: one, two, ...; none where no floor is asked, and the
    # bounds alone decide
    tests: tuple[FloorTest, ...]
    safe_score: float  # of what can be delivered in any case
    evaluated: Callable[[Trial], Evaluation]  # what is known of a trial's network
    discordance: float = DISCORDANCE  # share of images that only one of a trained network and the reference gets right

    def __call__(self, trial: Trial, forecast: Forecast, beside: Sequence[tuple[Trial, Forecast]] = ()) -> float:
        """What more than the safe score is to be expected of trying the network, those `beside` it, or some of them.

        Where no floor is asked it is the network's own gain, which may be below 0. Minus infinity where it would miss
        a bound on a resource.
        """
        gain = self._gain(trial, forecast)
        if not self.tests or gain == -math.inf:
            return gain
        return self.of_trying([(trial, forecast), *beside])

    def of_trying(self, networks: Sequence[tuple[Trial, Forecast]]) -> float:
        """What is to be expected where the best set of these is tried: each more costs the others confidence."""
        found = 0.0
        for count, test in enumerate(self.tests[: len(networks)], start=1):
            hopes = [self._hope(trial, forecast, test) for trial, forecast in networks]
            found = max(found, *(expected(tried) for tried in combinations(hopes, count)))
        return found

    def _hope(self, trial: Trial, forecast: Forecast, test: FloorTest) -> Hope:
        return Hope(
            max(self._gain(trial, forecast), 0.0), chance(test, forecast, self.reference_error, self.discordance)
        )

    def _gain(self, trial: Trial, forecast: Forecast) -> float:
        promised = self.promised(self.evaluated(trial), forecast)
        metrics = self.problem.metrics(promised)
        others = [bound for bound in self.problem.bounds if bound.metric not in {TOP1_ERROR, TOP5_ERROR}]
        if any(bound.violation(metrics[bound.metric]) > 0 for bound in others):
            return -math.inf
        return self.problem.unbounded_score(promised) - self.safe_score

    def heard(self, trial: Trial, forecast: Forecast) -> Trial:
        """The trial as if its network had been trained: what a searcher hears of it."""
        assert trial.evaluation is not None
        promised = self.promised(trial.evaluation, forecast)
        try:
            outcome, score = self.problem.judge(promised), self.problem.score(promised)
        except ValueError:
            return trial
        return replace(trial, evaluation=promised, outcome=outcome, score=score)

    def promised(self, evaluation: Evaluation, forecast: Forecast) -> Evaluation:
        """The evaluation with the forecast error; top-5 falls by the same share."""
        before = evaluation.metrics[TOP1_ERROR].value
        share = forecast.error / before if before > 0 else 1.0
        errors = {TOP1_ERROR: MetricValue(forecast.error, forecast.sd)}
        if TOP5_ERROR in evaluation.metrics:
            errors[TOP5_ERROR] = MetricValue(min(share, 1.0) * evaluation.metrics[TOP5_ERROR].value)
        return replace(evaluation, metrics={**evaluation.metrics, **errors})
