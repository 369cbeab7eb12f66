"""Which trials may be delivered, and which of them are put to the certification images, in which order.

With an accuracy floor it is the order from which most is to be expected (moco/certification/attempt_order.py), over all
trials that keep the other bounds: what misses the floor on the search images may be the network that is certified in
the end. Without a floor it is the best trial, then the rest of the front by score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moco import pareto
from moco.certification.attempt_order import FloorTest, Scored, attempts_planned
from moco.compression.policy_settings import NEUTRAL
from moco.finalists.history import files_of_finalists
from moco.finalists.promise import Forecast
from moco.finalists.second_look import SEEN_AGAIN, error_seen
from moco.metrics import ERRORS, TOP1_ERROR
from moco.policy import Policy
from moco.problem import Problem
from moco.run.job import Prepared
from moco.run.smoothed_timings import SmoothedTimings
from moco.space import SearchSpace
from moco.trial import Trial, TrialState
from moco.trial_rank import best, rank

NO_FORECAST = Forecast(float("nan"), float("nan"))
LESS = 0.3
"""Of what the best trial gains over the reference: so much less than that is a delivery without a certificate."""


@dataclass(frozen=True)
class Planned:
    """A trial whose network is to be put to the certification images."""

    trial: Trial
    share: float  # as that of a `PlannedAttempt`


def shares_of(planned: Sequence[Planned]) -> list[float]:
    """The shares of those that are left of a plan, which come to 1 again; the first has it all where none has any."""
    shares = [one.share for one in planned]
    if not shares[0]:
        shares[0] = 1 - sum(shares)
    return [share / sum(shares) for share in shares]


def by_score(trials: Sequence[Trial], most: int) -> list[Trial]:
    """The best trial, then the rest of the feasible front, the best first; a best effort stands alone."""
    first = best(trials)
    if first is None:
        return []
    if not first.feasible:
        return [first]
    rest = [trial for trial in pareto.front(trials) if trial.policy != first.policy]
    return [first, *sorted(rest, key=lambda t: (rank(t), -t.number), reverse=True)][:most]


def deliverable(trials: Sequence[Trial], problem: Problem) -> list[Trial]:
    """One complete trial of each policy that keeps every bound on the search split but maybe the floor."""
    found: dict[object, Trial] = {}
    for trial in trials:
        if trial.state is TrialState.COMPLETE and trial.policy is not None and kept_but_floor(trial, problem):
            found.setdefault(trial.policy, trial)
    return list(found.values())


def worth(trial: Trial, problem: Problem, timings: SmoothedTimings | None = None) -> float:
    """The score, as if the floor were met; with the times that the timings give it, where these differ."""
    assert trial.score is not None
    assert trial.evaluation is not None
    evaluation = trial.evaluation if timings is None else timings.of(trial)
    return trial.score if trial.feasible and evaluation is trial.evaluation else problem.unbounded_score(evaluation)


def to_certify(
    trials: Sequence[Trial],
    prepared: Prepared,
    confidence: float,
    certified: Trial | None = None,
    timings: SmoothedTimings | None = None,
    forecasts: Mapping[int, Forecast] | None = None,
) -> list[Planned]:
    """The deliverable trials to try for the floor, in their order, at this confidence of all attempts together.

    What they cost in time is taken from the `timings`, by default those of these trials alone. The `forecasts` are
    those of finalists before they were trained, by the numbers of their trials: the best score of several is lucky.
    Where a network is `certified` already, only better ones are worth an attempt; maybe none is.
    """
    problem, floor = prepared.problem, prepared.job.floor
    assert floor is not None
    timings = timings or SmoothedTimings(problem, trials)
    worths = np.array([worth(trial, problem, timings) for trial in trials])
    reference = prepared.evaluator.reference.evaluation
    if certified is None:
        values = _above_none(worths, problem.unbounded_score(reference))
    else:
        values = worths - worth(certified, problem, timings)
    chosen = [trial for trial, value in zip(trials, values, strict=True) if value > 0]
    sizes, whole = prepared.job.data.splits.sizes, _whole(prepared.space)
    evaluations = [trial.evaluation for trial in chosen if trial.evaluation is not None]
    measured = [evaluation.metrics for evaluation in evaluations]
    errors, sems = np.array([error_seen(one) for one in evaluations], dtype=np.float64).reshape(-1, 2).T
    again = np.array([SEEN_AGAIN in one.details for one in evaluations], dtype=bool)
    before = [(forecasts or {}).get(trial.number, NO_FORECAST) for trial in chosen]
    expected = np.array([(one.error, one.sd) for one in before], dtype=np.float64).reshape(-1, 2)
    scored = Scored(
        differences=reference.metrics[TOP1_ERROR].value - errors,
        sems=np.array([metrics[TOP1_ERROR].sem for metrics in measured], dtype=np.float64),
        values=values[values > 0],
        costs=_costs(chosen, problem),
        safe=np.array([trial.policy in whole for trial in chosen], dtype=bool),
        trained=np.array([trial.suggestion.finalist for trial in chosen], dtype=bool),
        kin=_kin(chosen),
        images=sizes["search"],
        reference_accuracy=1 - reference.metrics[TOP1_ERROR].value,
        sems_in_views=np.where(again, sems, np.nan),
        forecasts=(reference.metrics[TOP1_ERROR].value - expected[:, 0], expected[:, 1]),
    )
    test = FloorTest(floor, sizes["certification"], confidence)
    attempts = attempts_planned(scored, test, prepared.job.plan.delivery.attempts)
    return [Planned(chosen[attempt.place], attempt.share) for attempt in attempts]


def _whole(space: SearchSpace) -> set[Policy]:
    """The policies that only choose among words, such as the whole network in int8; not the reference."""
    return {space.canonical(space.uniform(0.0, variant)) for variant in range(space.n_variants())} - {NEUTRAL}


def kept_but_floor(trial: Trial, problem: Problem) -> bool:
    """Whether a complete trial keeps every bound on the search split but maybe that on top-1 error."""
    if trial.feasible:
        return True
    assert trial.outcome is not None
    judged = zip(problem.bounds, trial.outcome.violations, strict=True)
    return all(violation <= 0 for bound, violation in judged if bound.metric != TOP1_ERROR)


def _above_none(worths: NDArray[np.float64], reference: float) -> NDArray[np.float64]:
    """What each is worth above a delivery that is not certified.

    The reference is the measure: what is no better is worth as much, and what is not certified is worth less than it.
    """
    gain = worths.max(initial=reference) - reference
    return np.asarray(np.maximum(worths - reference, 0.0) + (LESS * gain or 1.0))


def _kin(trials: Sequence[Trial]) -> NDArray[np.int_]:
    """A number for each network that was trained, in whatever bits and after how many rounds; others have their own."""
    of = {one.trial.number: one.of for one in files_of_finalists(trials)}
    return np.array([-1 - of[trial.number] if trial.number in of else trial.number for trial in trials], dtype=int)


def _costs(trials: Sequence[Trial], problem: Problem) -> NDArray[np.float64]:
    """By which trials are alike: the sum of their places in each loss that is no error."""
    costs = np.zeros(len(trials))
    for place, name in enumerate(problem.objectives):
        if name not in ERRORS:
            losses = [trial.outcome.losses[place] for trial in trials if trial.outcome is not None]
            costs += np.unique(losses, return_inverse=True)[1]
    return costs
