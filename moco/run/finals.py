"""After the search, its finalists: picked by what training promises, trained in rounds, each round scored."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from moco.certification.attempt_order import FloorTest, others_share
from moco.compression.costs import capacity_ratios
from moco.compression.policy_settings import NEUTRAL, bits_of, changes_weights
from moco.compression.precision import INT8_BITS
from moco.errors import ConfigError
from moco.finalists.history import Finalist, asked, completed, finalists
from moco.finalists.plan import LEAST_STEPS, Round
from moco.finalists.promise import Promise, Score, Untrained
from moco.finalists.trained_weights import TrainedWeights
from moco.finalists.trainer import Trainer
from moco.finalists.training_order import TrainingOrder
from moco.finalists.worth import Worth, slack
from moco.metrics import TOP1_ERROR
from moco.policy import Policy
from moco.randomness import derived_seed
from moco.run.budget_split import BudgetSplit
from moco.run.job import Prepared, training_images
from moco.study import Budget, Study, best
from moco.trial import Evaluation, Trial, TrialState, elapsed_of

FLOAT_ERROR = "float_error"
"""Key of a finalist's details: the top-1 error of its network before integers."""
OPTIMISM = 1.0
"""Standard deviations by which a forecast is hoped to be too high in all rounds but the last, which are there to learn:
what is unsure and may be much better is worth a look (upper confidence bounds: Auer 2002)."""
LEAST_LOSS = 0.002
"""Of accuracy by integers: less is not worth a training in codes."""
FILES_S = 2.0
"""Of building, writing and loading a delivered file again, and its place in the report."""


class Finals:
    """The finalists of one search."""

    def __init__(self, prepared: Prepared, weights: TrainedWeights, clock: Callable[[], float]) -> None:
        """Take a search that asks for finalists, where weights are kept, and what counts its processor seconds."""
        job, asked_for = prepared.job, prepared.job.plan.finalists
        assert asked_for is not None
        self.prepared, self.plan, self.weights, self.clock = prepared, asked_for, weights, clock
        images, seed = training_images(job.data), derived_seed(job.plan.seed, "finalists")
        self.trainer = Trainer(prepared.evaluator.builder, images, asked_for.training, weights, seed)
        self.reference = prepared.evaluator.reference.evaluation
        self._untrained: dict[int, Untrained] = {}
        self.begin(())

    def begin(self, earlier: Sequence[Trial]) -> None:
        """Divide the budget, of which the trials of earlier sessions have spent something."""
        began_s, earlier_s = time.perf_counter(), elapsed_of(earlier)

        def spent_s(budget: Budget) -> float:
            if budget.processor_seconds is not None:
                return self.clock()
            return earlier_s + time.perf_counter() - began_s

        self.split = BudgetSplit(self.prepared.job.plan.search.budget, self.plan, spent_s, delivery_s(self.prepared))

    def has_begun(self, one: Round, trials: Sequence[Trial]) -> bool:
        """Whether a finalist of the round was trained already."""
        return bool(self._of_round(trials, one.number))

    def check(self) -> None:
        """Pass a space with networks to train, and a budget for a first round; a ConfigError says what it takes."""
        space = self.prepared.space
        heaviest = (space.canonical(space.uniform(1.0, variant)) for variant in range(space.n_variants()))
        if not any(map(_is_trainable, heaviest)):
            raise ConfigError(
                "finalists: nothing in `space` takes accuracy that training could give back (it changes no weights, "
                "and has no fewer than 8 bits); leave `finalists` out, or add a method such as filter_pruning or depth"
            )
        first = self.plan.rounds[0]
        round_s = first.finalists * LEAST_STEPS * self.trainer.step_s(NEUTRAL)
        training_s = self.split.training_s() - self.trainer.first_view_s
        if training_s * first.share * first.finalists < round_s:
            needed = round_s / (first.share * first.finalists) + self.trainer.first_view_s
            raise ConfigError(
                f"finalists: the budget leaves {max(training_s, 0):.0f} s for training, and a first round of "
                f"{first.finalists} finalists, {LEAST_STEPS} steps each, takes about {round_s:.0f} s here; leave "
                f"{needed:.0f} s for training (budget, finalists.share), or take fewer finalists.candidates"
            )

    def heard(self, trials: Sequence[Trial]) -> Callable[[Trial], Trial]:
        """What a searcher hears of a trial, once these finalists are known: what it will be after its training."""
        promise, worth = self._promise(trials), self._worth(trials)

        def heard(trial: Trial) -> Trial:
            if not self._can_train(trial):
                return trial
            return worth.heard(trial, promise.forecast(self._network(trial), self._steps_to_come(trial, trials)))

        return heard

    def train(self, study: Study, rounds: tuple[Round, ...], told: Callable[[str], None]) -> None:
        """Train the finalists of these rounds that the ledger does not hold yet; `told` hears of each."""
        for one in rounds:
            while len(done := self._of_round(study.trials, one.number)) < one.finalists and not study.stop_requested:
                order = self._under_way(study.trials, one.number) or self._ordered(study.trials, one)
                if order is None:
                    break
                told(
                    f"training, round {one.number + 1} of {len(self.plan.rounds)}: finalist {len(done) + 1} of "
                    f"{one.finalists}, the network of trial {order.of}, {order.steps} steps"
                )
                self._train(study, order)

    def _under_way(self, trials: Sequence[Trial], number: int) -> TrainingOrder | None:
        """A training of this round that was interrupted."""
        order = TrainingOrder.read(self.weights.folder)
        if order is None or order.round != number or max(order.of, order.trial) >= len(trials):
            return None
        there = {one.of for one in self._of_round(trials, number)}
        return None if order.of in there else order

    def _ordered(self, trials: Sequence[Trial], one: Round) -> TrainingOrder | None:
        """The next training of the round; None where no network is worth it, or no time is left."""
        picked = self._picked(trials, one.number)
        steps = None if picked is None else self._steps_now(picked.trial, one, trials)
        if picked is None or steps is None:
            return None
        in_codes = self._loses_by_codes(picked.trial, self._worth(trials))
        return TrainingOrder(picked.of, picked.trial.number, one.number, steps, picked.steps, in_codes)

    def _train(self, study: Study, order: TrainingOrder) -> None:
        policy, evaluator = study.trials[order.trial].policy, self.prepared.evaluator
        assert policy is not None
        cycle = sum(one.of == order.of for one in finalists(study.trials))

        def make() -> tuple[Policy, Evaluation]:
            trained = self.trainer.train(policy, order.steps, cycle, in_codes=order.in_codes)
            evaluation = evaluator.evaluate(trained.policy)
            details = {**evaluation.details, FLOAT_ERROR: evaluator.float_error(trained.network)}
            seconds = {**evaluation.seconds, "train": trained.processor_s}
            return trained.policy, replace(evaluation, seconds=seconds, details=details)

        order.write(self.weights.folder)
        place = sum(trial.suggestion.finalist for trial in study.trials)
        steps = order.steps_before + order.steps
        study.add(asked(study.trials[order.of], order.round, steps, place), policy, make)
        TrainingOrder.done(self.weights.folder)

    def _loses_by_codes(self, trial: Trial, worth: Worth) -> bool:
        """Whether integers cost the network more than the certificate can spare: then it is trained on in codes.

        Of fewer than 8 bits that is known before; of others by the finalist's last round.
        """
        if trial.policy is not None and _has_few_bits(trial.policy):
            return True
        if trial.evaluation is None or (error := trial.evaluation.details.get(FLOAT_ERROR)) is None:
            return False
        spare = 0.0 if worth.test is None else slack(worth.test, error, worth.reference_error)
        return bool(trial.evaluation.metrics[TOP1_ERROR].value - error > max(spare, LEAST_LOSS))

    def _picked(self, trials: Sequence[Trial], round_number: int) -> Finalist | None:
        """The most promising network that is not in this round yet; None where none is worth it.

        It comes from the round before, or was not trained at all: what the search has found since then may join.
        """
        there = {one.of for one in self._of_round(trials, round_number)}
        trained = {trials[one.of].policy for one in finalists(trials)}
        pool = [one for one in completed(self._of_round(trials, round_number - 1)) if one.of not in there]
        pool += [Finalist(t, t.number, -1, 0, 0.0) for t in trials if self._can_train(t) and t.policy not in trained]
        promise, worth = self._promise(trials), self._worth(trials)
        doubt = 0.0 if round_number == self.plan.rounds[-1].number else OPTIMISM

        def promised(one: Finalist) -> float:
            base = trials[one.of]
            forecast = promise.forecast(self._network(base), one.steps + self._steps_to_come(base, trials))
            return worth(one.trial, forecast.hoped(doubt))

        found = max(pool, key=promised, default=None)
        return found if found is not None and promised(found) > (0.0 if worth.test else -math.inf) else None

    def _of_round(self, trials: Sequence[Trial], number: int) -> list[Finalist]:
        return [one for one in finalists(trials) if one.round == number]

    def _can_train(self, trial: Trial) -> bool:
        """Whether the trial's network is one that training can give something back to."""
        whole = trial.state is TrialState.COMPLETE and trial.distinct and not trial.suggestion.finalist
        policy = trial.policy
        return whole and policy is not None and _is_trainable(policy)

    def _network(self, trial: Trial) -> Untrained:
        """The untrained network of a trial, as the promise sees it."""
        if trial.number not in self._untrained:
            assert trial.evaluation is not None
            whole, ours = (
                {name: metric.value for name, metric in found.metrics.items()}
                for found in (self.reference, trial.evaluation)
            )
            self._untrained[trial.number] = Untrained(ours[TOP1_ERROR], capacity_ratios(whole, ours))
        return self._untrained[trial.number]

    def _promise(self, trials: Sequence[Trial]) -> Promise:
        found = [one for one in completed(finalists(trials)) if one.trial.evaluation is not None]
        errors = [one.trial.evaluation.metrics[TOP1_ERROR] for one in found if one.trial.evaluation is not None]
        scores = [
            Score(self._network(trials[one.of]), one.steps, error.value, error.sem or 0.0)
            for one, error in zip(found, errors, strict=True)
        ]
        return Promise(self.reference.metrics[TOP1_ERROR].value, scores)

    def _worth(self, trials: Sequence[Trial]) -> Worth:
        job, delivery = self.prepared.job, self.prepared.job.plan.delivery
        # One of them, and a way back where one is allowed.
        sure = 1 - (1 - delivery.confidence) * others_share(min(delivery.attempts, 2), way_back=True)
        test = None if job.floor is None else FloorTest(job.floor, job.data.splits.sizes["certification"], sure)
        safe = best(trial for trial in trials if trial.feasible and not _is_trainable(trial.policy or NEUTRAL))
        problem = self.prepared.problem
        score = problem.unbounded_score(self.reference) if safe is None or safe.score is None else safe.score
        return Worth(problem, self.reference.metrics[TOP1_ERROR].value, test, score)

    def _steps_to_come(self, base: Trial, trials: Sequence[Trial]) -> int:
        """Steps that the trial's network will still be given if it goes on to the last round."""
        shares, per_share_s = self._shares_left(trials), self._per_share_s(trials)
        first = min((number for number, _ in shares), default=0)
        own = sum({number: share for number, share in shares if number >= first}.values())
        assert base.policy is not None
        return self.trainer.steps_in(base.policy, own * per_share_s)

    def _steps_now(self, trial: Trial, one: Round, trials: Sequence[Trial]) -> int | None:
        """Steps that the trial's network is given in this round; None where there is no time for any more."""
        assert trial.policy is not None
        policy = trial.policy.untrained
        steps = self.trainer.steps_in(policy, one.share * self._per_share_s(trials))
        if self.trainer.steps_in(policy, self.split.training_s()) < LEAST_STEPS:
            return None
        return max(steps, LEAST_STEPS)

    def _per_share_s(self, trials: Sequence[Trial]) -> float:
        """Seconds that a share of 1 has by now."""
        left = sum(share for _, share in self._shares_left(trials))
        return max(self.split.training_s() - self.trainer.first_view_s, 0.0) / left if left else 0.0

    def _shares_left(self, trials: Sequence[Trial]) -> list[tuple[int, float]]:
        """Round and share of each training that is still to come."""
        found = []
        for one in self.plan.rounds:
            missing = one.finalists - len(self._of_round(trials, one.number))
            found += [(one.number, one.share)] * max(missing, 0)
        return found


def _has_few_bits(policy: Policy) -> bool:
    return any(min(bits.weights, bits.activations) < INT8_BITS.weights for bits in bits_of(policy).values())


def _is_trainable(policy: Policy) -> bool:
    return changes_weights(policy) or _has_few_bits(policy)


def delivery_s(prepared: Prepared) -> float:
    """Seconds that certifying candidates and timing the winner will take, at most."""
    job, delivery = prepared.job, prepared.job.plan.delivery
    timed_s = 2 * delivery.seconds * len(prepared.evaluator.plan.timing)
    # The reference is scored, then candidates, which take about half of its time.
    images = (1 + delivery.attempts / 2) * job.data.splits.sizes["certification"]
    return timed_s + images * prepared.evaluator.image_s + FILES_S * delivery.attempts
