"""Siblings that may be delivered: trials beside the search's, which no searcher hears of and no budget counts.

Their files and networks are made by then. A policy says what was done to the sibling, and its `weights` which network
that is: so a sibling is never taken for the network that was searched, whose layers may be called the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from torch import nn

from moco.baselines.baseline import Made
from moco.errors import MeasurementError
from moco.evaluation.builder import Stopwatch
from moco.evaluation.evaluator import size_of
from moco.interfaces import Artifact
from moco.policy import Policy
from moco.run.job import Prepared
from moco.trial import SIBLING, Evaluation, Suggestion, Trial, TrialState

Built = Mapping[Policy, tuple[Artifact, nn.Module]]


@dataclass(frozen=True)
class SiblingTrials:
    """The trials, numbered after those of the search, and the file and network of each policy."""

    trials: tuple[Trial, ...] = ()
    built: Built = field(default_factory=dict)

    def __add__(self, others: SiblingTrials) -> SiblingTrials:
        """Both together."""
        return SiblingTrials((*self.trials, *others.trials), {**self.built, **others.built})


NO_SIBLINGS = SiblingTrials()


def sibling_trials(prepared: Prepared, siblings: Sequence[Made], first: int) -> SiblingTrials:
    """Score and time the siblings' files as those of the search's candidates; the first trial has the number `first`.

    A MeasurementError where a metric that the objective asks for is not known of one.
    """
    trials, built = [], {}
    for number, made in enumerate(siblings, start=first):
        assert made.network is not None
        assert made.policy is not None
        trials.append(_trial(prepared, number, made, made.policy))
        built[made.policy] = made.artifact, made.network
    return SiblingTrials(tuple(trials), built)


def _trial(prepared: Prepared, number: int, made: Made, policy: Policy) -> Trial:
    notes = {"start": made.name, "given": True, SIBLING: made.of}
    evaluation = _evaluated(prepared, made)
    try:
        outcome, score = prepared.problem.judge(evaluation), prepared.problem.score(evaluation)
    except ValueError as error:
        raise MeasurementError(f"'{made.name}' cannot be a candidate: {error}") from error
    return Trial(
        number=number,
        suggestion=Suggestion(-1 - number, {}, notes),
        state=TrialState.COMPLETE,
        point={},
        policy=policy,
        evaluation=evaluation,
        outcome=outcome,
        score=score,
    )


def _evaluated(prepared: Prepared, made: Made) -> Evaluation:
    with closing(prepared.job.target.load(made.artifact)) as session:
        return prepared.evaluator.measured(session, {**size_of(made.artifact), **made.costs}, Stopwatch())
