"""How much each parameter of a search decided its score, and how it goes with it (S2.11).

Importance is PED-ANOVA's (S. Watanabe, A. Bansal and F. Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter
Importance in Arbitrary Subspaces", IJCAI 2023), by Optuna: how much the values of the better half of the trials are
distributed otherwise than those of all, divided by the sum over the parameters. Half, and not Optuna's tenth: searches
are short, and of 20 trials a tenth is two. The correlation is Spearman's with the score, of which more is better.

Networks that miss a bound stand below all others, by how far they miss it: many searches score them all alike, and what
decides there is how to come near the bound.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from moco.comparison.correlation.coefficients import FEWEST, Coefficient, is_constant, spearman
from moco.run_folder.record import Record
from moco.run_folder.trial_record import TrialRecord
from moco.trial import FINALIST, TrialState
from moco.trial_rank import rank_of

BETTER_SHARE = 0.5  # of the trials, whose values are compared with those of all

CONSTANT = "one value in all trials"
CHOICE = "its values have no order"
TIED = f"the score of more than {1 - BETTER_SHARE:.0%} of the trials is the lowest one: none are the better half"


@dataclass(frozen=True, kw_only=True)
class ParameterImportance(Record):
    """A parameter; without a share, or without a correlation, the reason why."""

    name: str
    share: float | None = None  # 0 … 1; those of all parameters that vary sum to 1
    reason: str | None = None  # why there is no share
    correlation: Coefficient  # with the score


@dataclass(frozen=True, kw_only=True)
class Importance(Record):
    """The parameters, the most important first; none where `reason` says why.

    `trials` are the networks that it rests on.
    """

    trials: int
    parameters: tuple[ParameterImportance, ...] = ()
    reason: str | None = None


def importance_of(trials: Sequence[TrialRecord]) -> Importance:
    """The importance of each parameter in these trials of one search.

    What counts are networks that were measured and scored, each once, at the points that were executed. Finalists are
    left out: their training, and no parameter, made them better. So are siblings, which are at no point of the space.
    """
    kept = _counted(trials)
    if len(kept) < FEWEST:
        return Importance(trials=len(kept), reason=f"{FEWEST} distinct networks are needed, found {len(kept)}")
    scores = _places(kept)
    columns = {name: [trial.point[name] for trial in kept] for name in kept[0].point}
    varied = {name: column for name, column in columns.items() if any(value != column[0] for value in column)}
    untold = _untold(scores)
    shares = _shares(varied, scores) if varied and untold is None else {}
    found = [
        ParameterImportance(
            name=name,
            share=shares.get(name),
            reason=None if name in shares else untold if name in varied else CONSTANT,
            correlation=_correlation(column, scores, name in varied),
        )
        for name, column in columns.items()
    ]
    return Importance(trials=len(kept), parameters=tuple(sorted(found, key=_place)))


def _counted(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The trials of the search; they have the same parameters, those that most have."""
    scored = [
        trial
        for trial in trials
        if trial.state == TrialState.COMPLETE.value and trial.distinct and trial.origin != FINALIST and trial.point
        if trial.score is not None and math.isfinite(trial.score)
    ]
    usual = Counter(frozenset(trial.point) for trial in scored).most_common(1)
    return [trial for trial in scored if frozenset(trial.point) == usual[0][0]]


def _places(trials: Sequence[TrialRecord]) -> np.ndarray[Any, Any]:
    """The place of each trial among all, the worst first, in the order of the search; equals share one."""
    ranks = [rank_of(t.feasible or t.violations is None, t.score or 0.0, t.violations or ()) for t in trials]
    order = {found: place for place, found in enumerate(sorted(set(ranks)))}
    return np.array([order[found] for found in ranks], dtype=float)


def _untold(scores: np.ndarray[Any, Any]) -> str | None:
    """Why no better half can be told from the others, if so."""
    if is_constant(scores):
        return "the score is constant"
    last = np.sort(scores)[::-1][math.ceil(BETTER_SHARE * len(scores)) - 1]
    return TIED if last == scores.min() else None


def _shares(columns: Mapping[str, Sequence[Any]], scores: np.ndarray[Any, Any]) -> dict[str, float]:
    """PED-ANOVA's importances of parameters that vary."""
    distributions = {name: _distribution(column) for name, column in columns.items()}
    study = _study()
    for place, score in enumerate(scores):
        params = {name: column[place] for name, column in columns.items()}
        study.add_trial(create_trial(params=params, distributions=distributions, value=float(score)))
    found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=BETTER_SHARE))
    return {name: float(share) for name, share in found.items()}


def _study() -> optuna.Study:
    """A study in memory; Optuna's word that it made one, on standard error, is nobody's news."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(direction="maximize")
    finally:
        optuna.logging.set_verbosity(before)


def _distribution(column: Sequence[Any]) -> BaseDistribution:
    """The extent of the values that were tried: a run folder does not say what else the space had."""
    if _ordered(column):
        return FloatDistribution(float(min(column)), float(max(column)))
    return CategoricalDistribution(list(dict.fromkeys(column)))


def _correlation(column: Sequence[Any], scores: np.ndarray[Any, Any], varied: bool) -> Coefficient:
    if not varied:
        return Coefficient(trials=len(column), reason=CONSTANT)
    if not _ordered(column):
        return Coefficient(trials=len(column), reason=CHOICE)
    return spearman(np.array(column, dtype=float), scores, ("its values", "the score"))


def _ordered(column: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in column)


def _place(one: ParameterImportance) -> tuple[float, float, str]:
    """The most important first; of equals the one of the stronger correlation, then by name."""
    return -(one.share or 0.0), -abs(one.correlation.value or 0.0), one.name
