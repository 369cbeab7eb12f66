"""After the search, its finalists: picked by what training promises, trained in rounds, each round scored."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch

from moco.compression.policy_settings import NEUTRAL
from moco.errors import ConfigError
from moco.finalists.history import (
    STEPS,
    Finalist,
    asked,
    asked_in_bits,
    completed,
    files_of_finalists,
    finalists,
    of_round,
)
from moco.finalists.plan import LEAST_STEPS, FinalistTraining, Round
from moco.finalists.second_look import SecondLook, seen_again, seen_with
from moco.finalists.trained_weights import TrainedWeights
from moco.finalists.trainer import Trainer
from moco.finalists.training_order import TrainingOrder
from moco.policy import Policy
from moco.randomness import derived_seed
from moco.run.budget_split import BudgetSplit
from moco.run.finalist_files import FinalistFiles
from moco.run.finalist_forecasts import Forecasts, can_be_trained, is_trainable
from moco.run.finalist_steps import FinalistSteps
from moco.run.job import Prepared, training_images
from moco.run.neighbours import Neighbours, suggested
from moco.run.prospects import Prospects
from moco.study import Budget, Study
from moco.trial import NEIGHBOUR_OF, Evaluation, Suggestion, Trial, elapsed_of

NOT_EVALUATING = frozenset({"train", "search", "wait"})
"""Stages of a trial that its network does not take once it is trained."""
SPARE = 1.25
"""What evaluating a network is given, of what it took the last time, and delivering it: a machine may become slower.

Over five searches of ResNet-56 delivering took 38 to 40 s, where 34 were reckoned."""
LEAST_TRAINING_S = 0.5
"""What a training is given though evaluating its network will take all that is left."""
LEAST_TRIALS = 8
"""Networks that are known before one is trained: on a slow machine the search's seconds end after its mild starts."""
MORE_PROMISING = 1.01
"""What a network that was not tried has to promise, of the one that promises most."""
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
        self.look = _look(prepared, asked_for.training)
        self.forecasts = Forecasts(prepared)
        self.files = FinalistFiles(prepared, weights)
        self.begin(())

    def begin(self, earlier: Sequence[Trial]) -> None:
        """Divide the budget among search and rounds; the trials of earlier sessions have spent something of it."""
        began_s, earlier_s = time.perf_counter(), elapsed_of(earlier)

        def spent_s(budget: Budget) -> float:
            if budget.processor_seconds is not None:
                return self.clock()
            return earlier_s + time.perf_counter() - began_s

        self.split = BudgetSplit(
            self.prepared.job.plan.search.budget, self.plan, spent_s, SPARE * delivery_s(self.prepared)
        )
        self.steps = FinalistSteps(self.plan, self.trainer, self.split.training_s)

    def has_begun(self, one: Round, trials: Sequence[Trial]) -> bool:
        """Whether a finalist of the round was trained already."""
        return bool(of_round(trials, one.number))

    def needs_more(self, trials: Sequence[Trial]) -> bool:
        """Whether nothing was trained, and few networks are known by now or none is worth it."""
        if finalists(trials):
            return False
        return len(trials) < LEAST_TRIALS or self._picked(trials, self.plan.rounds[-1].number) is None

    def check(self) -> None:
        """Pass a space with networks to train, and a budget for a first round; a ConfigError says what it takes."""
        space = self.prepared.space
        heaviest = (space.canonical(space.uniform(1.0, variant)) for variant in range(space.n_variants()))
        if not any(map(is_trainable, heaviest)):
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
        promise, worth = self.forecasts.promise(trials), self.forecasts.worth(trials)

        def heard(trial: Trial) -> Trial:
            if not can_be_trained(trial):
                return trial
            return worth.heard(trial, promise.forecast(self.forecasts.untrained(trial), self._steps_of(trial, trials)))

        return heard

    def neighbour(self, trials: Sequence[Trial]) -> Suggestion | None:
        """A network near the one that promises most, which promises more; None where none is known to."""
        picked = self._picked(trials, self.plan.rounds[-1].number)
        if picked is None:
            return None
        prospects = self._prospects(trials)
        neighbours = Neighbours(self.prepared.problem.space, trials, prospects.worth.evaluated)
        near = [one for one in neighbours.of(trials[picked.of]) if one.policy and is_trainable(one.policy)]
        found = max(near, key=prospects.of_new, default=None)
        if found is None or prospects.of_new(found)[0] <= MORE_PROMISING * prospects.of(picked)[0]:
            return None
        return suggested(found, sum(NEIGHBOUR_OF in trial.suggestion.notes for trial in trials))

    def train(self, study: Study, rounds: tuple[Round, ...], told: Callable[[str], None]) -> None:
        """Train the finalists of these rounds that the ledger does not hold yet; `told` hears of each."""
        for one in rounds:
            while len(done := of_round(study.trials, one.number)) < one.finalists and not study.stop_requested:
                order = self._under_way(study.trials, one.number) or self._ordered(study.trials, one)
                if order is None:
                    break
                told(
                    f"training, round {one.number + 1} of {len(self.plan.rounds)}: finalist {len(done) + 1} of "
                    f"{one.finalists}, the network of trial {order.of}, {order.steps} steps"
                    + ("" if order.seconds is None else f", at most {order.seconds:.0f} s")
                )
                self._train(study, order)

    def in_fewer_bits(self, study: Study, told: Callable[[str], None]) -> None:
        """Write the finalist that was trained last in fewer bits, and evaluate each file; it is not trained again."""
        trained = completed(finalists(study.trials))
        if not trained:
            return
        last = trained[-1]
        known = {one.trial.policy for one in files_of_finalists(study.trials)}
        for place, one in enumerate(self.files.allocations(last.trial)):
            # The network was picked for what the first one will cost.
            late = place > 0 and self.split.training_s() < _evaluating_s(last.trial)
            if study.stop_requested or late:
                return
            if one.policy not in known:
                told(f"the network of trial {last.trial.number} again, its weights in fewer bits")
                suggestion = asked_in_bits(last, one.point, self._place(study.trials))
                study.add(suggestion, one.policy, partial(self._evaluated, one.policy, last.trial))

    def _evaluated(self, policy: Policy, trained: Trial) -> tuple[Policy, Evaluation]:
        """The trained network in the policy's bits, with what was seen of it."""
        evaluation = self.prepared.evaluator.evaluate(policy)
        assert trained.evaluation is not None
        details = {**evaluation.details, **seen_with(trained.evaluation, evaluation)}
        return policy, replace(evaluation, details=details)

    @staticmethod
    def _place(trials: Sequence[Trial]) -> int:
        """Of the next finalist, in the order of all."""
        return sum(trial.suggestion.finalist for trial in trials)

    def _under_way(self, trials: Sequence[Trial], number: int) -> TrainingOrder | None:
        """A training of this round that was interrupted."""
        order = TrainingOrder.read(self.weights.folder)
        if order is None or order.round != number or max(order.of, order.trial) >= len(trials):
            return None
        there = {one.of for one in of_round(trials, number)}
        return None if order.of in there else order

    def _ordered(self, trials: Sequence[Trial], one: Round) -> TrainingOrder | None:
        """The next training of the round; None where no network is worth it, or no time is left."""
        picked = self._picked(trials, one.number)
        if picked is None or picked.trial.policy is None:
            return None
        steps = self.steps.now(picked.trial.policy.untrained, one, trials)
        if steps is None:
            return None
        in_codes = self.forecasts.loses_by_codes(picked.trial, self.forecasts.worth(trials))
        is_last = one == self.plan.rounds[-1]
        files = 1 + (len(self.files.allocations(trials[picked.of])) if is_last and not in_codes else 0)
        after_s = SPARE * (files * _evaluating_s(picked.trial) + self.look.seconds)
        after_s += self.trainer.averaging_s(picked.trial.policy, steps)
        left_s = max(self.split.training_s() - after_s, LEAST_TRAINING_S)
        return TrainingOrder(picked.of, picked.trial.number, one.number, steps, picked.steps, in_codes, left_s)

    def _train(self, study: Study, order: TrainingOrder) -> None:
        policy, evaluator = study.trials[order.trial].policy, self.prepared.evaluator
        assert policy is not None
        cycle = sum(one.of == order.of for one in finalists(study.trials))

        def make() -> tuple[Policy, Evaluation]:
            trained = self.trainer.train(policy, order.steps, cycle, in_codes=order.in_codes, seconds=order.seconds)
            evaluation = evaluator.evaluate(trained.policy)
            made = {STEPS: order.steps_before + trained.steps}
            seen = seen_again(evaluation, self.look.loss(trained.network), in_codes=order.in_codes)
            details = {**evaluation.details, **made, **seen}
            seconds = {**evaluation.seconds, "train": trained.processor_s}
            return trained.policy, replace(evaluation, seconds=seconds, details=details)

        order.write(self.weights.folder)
        steps = order.steps_before + order.steps
        study.add(asked(study.trials[order.of], order.round, steps, self._place(study.trials)), policy, make)
        TrainingOrder.done(self.weights.folder)

    def _picked(self, trials: Sequence[Trial], round_number: int) -> Finalist | None:
        """The most promising network that is not in this round yet; None where none is worth it.

        It comes from the round before, or was not trained at all: what the search has found since then may join.
        """
        there = {one.of for one in of_round(trials, round_number)}
        tried = {trials[one.of].policy for one in finalists(trials)}
        pool = [one for one in completed(of_round(trials, round_number - 1)) if one.of not in there]
        pool += [Finalist(t, t.number, -1, 0, 0.0) for t in trials if can_be_trained(t) and t.policy not in tried]
        prospects = self._prospects(trials)
        found = max(pool, key=prospects.of, default=None)
        least = 0.0 if prospects.worth.tests else -math.inf
        return found if found is not None and prospects.of(found)[1] > least else None

    def _prospects(self, trials: Sequence[Trial]) -> Prospects:
        return Prospects(trials, self.forecasts, self.files, self.steps)

    def _steps_of(self, base: Trial, trials: Sequence[Trial]) -> int:
        """Steps that are still to come for the trial's network, if it goes on to the last round."""
        assert base.policy is not None
        return self.steps.to_come(base.policy, trials)


def _look(prepared: Prepared, training: FinalistTraining) -> SecondLook:
    """The search images, to look at once more with each finalist."""
    search, seed = prepared.evaluator.search, derived_seed(prepared.job.plan.seed, "second look")
    original = prepared.evaluator.builder.compressor.network
    return SecondLook(original, torch.from_numpy(search.images), torch.from_numpy(search.labels), training, seed)


def _evaluating_s(trial: Trial) -> float:
    """Seconds that exporting, scoring and timing the trial's network took, and will take again."""
    assert trial.evaluation is not None
    return sum(seconds for stage, seconds in trial.evaluation.seconds.items() if stage not in NOT_EVALUATING)


def delivery_s(prepared: Prepared) -> float:
    """Seconds that certifying candidates and timing the winner will take, but for timings that are taken again."""
    job, delivery = prepared.job, prepared.job.plan.delivery
    timed_s = 2 * delivery.seconds * len(prepared.evaluator.plan.timing)
    # The reference is scored, then candidates, which take about half of its time.
    images = (1 + delivery.attempts / 2) * job.data.splits.sizes["certification"]
    return timed_s + images * prepared.evaluator.image_s + FILES_S * delivery.attempts
