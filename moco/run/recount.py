"""What the evaluation store said of a network that is to be delivered, counted and scored again on its own file.

The store is a cache: what is wrong in it may mislead a search, and never becomes a promise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from torch import nn

from moco.errors import CompressionError, MeasurementError, SpaceError
from moco.interfaces import Artifact
from moco.metrics import shown
from moco.policy import Policy
from moco.problem import Problem
from moco.run.job import Prepared
from moco.trial import FIRST_MADE, MetricValue, Trial, TrialState


def from_store(trial: Trial) -> bool:
    """Whether the trial's numbers are the store's: another search has measured them, or somebody has written them."""
    return trial.evaluation is not None and FIRST_MADE in trial.evaluation.details


@dataclass(frozen=True)
class Recounted:
    """What a policy's own file says."""

    policy: Policy
    built: tuple[Artifact, nn.Module] | None  # None where it cannot be built
    exact: Mapping[str, MetricValue]  # what can be counted and scored; empty where it cannot be run
    reason: str | None = None  # why it cannot be built or run

    def applied(self, trials: Sequence[Trial], problem: Problem) -> list[Trial]:
        """The trials, those of this policy with these numbers and judged by them."""
        return [self._judged(trial, problem) if trial.policy == self.policy else trial for trial in trials]

    def told(self, before: Sequence[Trial]) -> str:
        """What was wrong in the store."""
        trial = next(trial for trial in before if trial.policy == self.policy)
        assert trial.evaluation is not None
        said = f"trial {trial.number}: what the evaluation store said of it does not hold"
        if self.reason is not None:
            return f"{said}: {self.reason}"
        old, new = trial.evaluation.metrics, self.exact
        wrong = [f"{n} is {shown(n, new[n].value)}, not {shown(n, old[n].value)}" for n in new if new[n] != old.get(n)]
        return f"{said}: {', '.join(wrong) or 'it was of other bytes'}; it was measured again and judged by that"

    def _judged(self, trial: Trial, problem: Problem) -> Trial:
        if trial.evaluation is None:
            return trial
        if self.reason is not None or self.built is None:
            return replace(
                trial, state=TrialState.REJECTED, evaluation=None, outcome=None, score=None, reason=self.reason
            )
        metrics = {**trial.evaluation.metrics, **self.exact}
        evaluation = replace(trial.evaluation, metrics=metrics, artifact_sha256=self.built[0].sha256)
        if evaluation == trial.evaluation:
            return trial
        try:
            outcome, score = problem.judge(evaluation), problem.score(evaluation)
        except ValueError as error:
            return replace(trial, state=TrialState.FAILED, outcome=None, score=None, reason=str(error))
        return replace(trial, evaluation=evaluation, outcome=outcome, score=score)


class Recount:
    """Builds a policy's file and says what it is."""

    def __init__(self, prepared: Prepared) -> None:
        """Take a search that is over."""
        self._prepared = prepared

    def __call__(self, policy: Policy) -> Recounted:
        """What its file says, built anew."""
        evaluator, target = self._prepared.evaluator, self._prepared.job.target
        built, exact, reason = None, dict[str, MetricValue](), None
        try:
            built = evaluator.builder.build(policy)
            with closing(target.load(built[0])) as session:
                exact = evaluator.exact(policy, built[0], session)
        except (CompressionError, SpaceError, MeasurementError) as error:
            reason = str(error)
        return Recounted(policy, built, exact, reason)
