"""What each network of a search is forecast to give after training, and what that is worth, from its trials so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from moco.certification.attempt_order import LIKELY, MOST_PLANNED, FloorTest
from moco.certification.certificate import DISCORDANCE
from moco.certification.shrinkage import believed_safe
from moco.compression.costs import capacity_ratios
from moco.compression.policy_settings import bits_of, changes_weights
from moco.compression.precision import Bits
from moco.finalists.discordance import discordance_of, expected_discordance
from moco.finalists.history import completed, files_of_finalists, finalists
from moco.finalists.promise import Forecast, Promise, Score, Untrained
from moco.finalists.second_look import FLOAT_ERROR, error_seen, lost_by_integers
from moco.finalists.worth import Worth, chance, slack
from moco.metrics import TOP1_ERROR
from moco.policy import Policy
from moco.run.candidates import kept_but_floor
from moco.run.job import Prepared
from moco.run.smoothed_timings import SmoothedTimings
from moco.trial import Evaluation, Trial, TrialState

FEWER_THAN_INT8 = Bits(weights=7, activations=7)
IN_CODES = Bits(weights=3, activations=5)
"""So few bits of either, or fewer, ask for a training in codes: 4-bit weights cost ResNet-56 half a point without."""
WAYS_BACK = 2
"""Networks that need no training, beside which others are picked: more are hardly ever tried."""
LEAST_LOSS = 0.002
"""Of accuracy by integers: less is not worth a training in codes."""


class Forecasts:
    """The promise and the worth of a search's networks."""

    def __init__(self, prepared: Prepared) -> None:
        """Take the search."""
        self.prepared = prepared
        self.reference = prepared.evaluator.reference.evaluation
        self._timed: tuple[int, SmoothedTimings] | None = None

    @property
    def reference_error(self) -> float:
        """On the search images: one that made no error on them does make some, half of one of them."""
        least = 0.5 / self.prepared.job.data.splits.sizes["search"]
        return max(self.reference.metrics[TOP1_ERROR].value, least)

    def promise(self, trials: Sequence[Trial]) -> Promise:
        """The law of errors, fitted to all finalists that were scored."""
        scores = [
            Score(self.untrained(trials[one.of]), one.steps, *_error(one.trial.evaluation))
            for one in completed(finalists(trials))
            if one.trial.evaluation is not None
        ]
        return Promise(self.reference_error, scores)

    def before_training(self, trials: Sequence[Trial]) -> dict[int, Forecast]:
        """What was to be expected of each finalist and its files, by the number of the trial: by the law alone."""
        law = Promise(self.reference_error)
        found = [one for one in files_of_finalists(trials) if trials[one.of].evaluation is not None]
        return {one.trial.number: law.forecast(self.untrained(trials[one.of]), one.steps) for one in found}

    def worth(self, trials: Sequence[Trial]) -> Worth:
        """What a forecast is worth beside the best network that needs no training."""
        job, delivery = self.prepared.job, self.prepared.job.plan.delivery
        tests: tuple[FloorTest, ...] = ()
        if job.floor is not None:
            # Of all but the safe network, which is a way back where more than one attempt is allowed, and passes on
            # what it was tested with.
            most = max(min(delivery.attempts, MOST_PLANNED) - 1, 1)
            images, wrong = job.data.splits.sizes["certification"], 1 - delivery.confidence
            tests = tuple(FloorTest(job.floor, images, 1 - wrong / beside) for beside in range(1, most + 1))
        problem, timings = self.prepared.problem, self._timings(trials)
        safe = [timings.of(one) for one in trials if self._is_way_back(one, tests)]
        score = max(map(problem.unbounded_score, safe or [self.reference]))
        error = self.reference.metrics[TOP1_ERROR].value
        return Worth(problem, error, tests, score, timings.of, self._discordance(trials))

    def _is_way_back(self, trial: Trial, tests: tuple[FloorTest, ...]) -> bool:
        """Whether the trial's network needs no training and may be counted on: by what is known of its kind.

        That it missed the floor on the search images may be luck.
        """
        kind = trial.state is TrialState.COMPLETE and trial.policy is not None and not is_trainable(trial.policy)
        if not kind or trial.feasible or not tests:
            return kind and trial.feasible
        assert trial.evaluation is not None
        if not kept_but_floor(trial, self.prepared.problem):
            return False
        error, images = self.reference.metrics[TOP1_ERROR].value, self.prepared.job.data.splits.sizes["search"]
        seen, sem = _error(trial.evaluation)
        belief = believed_safe(np.array([error - seen]), np.array([sem or (DISCORDANCE / images) ** 0.5]))
        forecast = Forecast(error - float(belief.mean[0]), float(belief.sd[0]))
        return chance(tests[0], forecast, error, discordance_of(seen, sem, error, images)) > LIKELY

    def _discordance(self, trials: Sequence[Trial]) -> float:
        """What is to be expected of the next finalist, by those that were trained."""
        error, images = self.reference_error, self.prepared.job.data.splits.sizes["search"]
        evaluated = [one.trial.evaluation for one in completed(finalists(trials)) if one.trial.evaluation is not None]
        found = [evaluation.metrics[TOP1_ERROR] for evaluation in evaluated]
        return expected_discordance(
            error, [discordance_of(one.value, one.sem, error, images) for one in found if one.sem is not None]
        )

    def _timings(self, trials: Sequence[Trial]) -> SmoothedTimings:
        """The times by all trials, learned anew once there are others."""
        if self._timed is None or self._timed[0] != len(trials):
            self._timed = len(trials), SmoothedTimings(self.prepared.problem, trials)
        return self._timed[1]

    @staticmethod
    def best_as_they_are(trials: Sequence[Trial], worth: Worth) -> list[tuple[Trial, Forecast]]:
        """The networks of which most is to be expected without any training, with what their scores say of them."""
        searched = [one for one in trials if can_be_trained(one) and one.evaluation is not None]
        found = [(one, Forecast(*_error(one.evaluation))) for one in searched if one.evaluation is not None]
        return sorted(found, key=lambda pair: worth(*pair), reverse=True)[:WAYS_BACK]

    def untrained(self, trial: Trial) -> Untrained:
        """The untrained network of a trial, as the promise sees it."""
        assert trial.evaluation is not None
        whole, ours = (
            {name: metric.value for name, metric in found.metrics.items()}
            for found in (self.reference, trial.evaluation)
        )
        return Untrained(ours[TOP1_ERROR], capacity_ratios(whole, ours))

    def loses_by_codes(self, trial: Trial, worth: Worth) -> bool:
        """Whether integers cost the network more than the certificate can spare: then it is trained on in codes.

        Of very few bits (`IN_CODES`) that is known before; of others by the finalist's last round, where it is sure:
        in codes the same seconds make half the steps.
        """
        if trial.policy is not None and _has_at_most(IN_CODES, trial.policy):
            return True
        evaluation, images = trial.evaluation, self.prepared.job.data.splits.sizes["search"]
        if evaluation is None or (lost := lost_by_integers(evaluation, images)) is None:
            return False
        error = float(evaluation.details[FLOAT_ERROR])
        spare = slack(worth.tests[0], error, worth.reference_error, worth.discordance) if worth.tests else 0.0
        return lost > max(spare, LEAST_LOSS)


def _error(evaluation: Evaluation) -> tuple[float, float]:
    """A network's error and its standard error."""
    error, sem = error_seen(evaluation)
    return error, sem or 0.0


def can_be_trained(trial: Trial) -> bool:
    """Whether the trial's network is one of the search's that training can give something back to."""
    whole = trial.state is TrialState.COMPLETE and trial.distinct and not trial.suggestion.finalist
    return whole and trial.policy is not None and is_trainable(trial.policy)


def is_trainable(policy: Policy) -> bool:
    """Whether the policy takes accuracy that training could give back."""
    return changes_weights(policy) or _has_at_most(FEWER_THAN_INT8, policy)


def _has_at_most(few: Bits, policy: Policy) -> bool:
    """Whether some layer has so few bits of weights, or so few of activations."""
    return any(b.weights <= few.weights or b.activations <= few.activations for b in bits_of(policy).values())
