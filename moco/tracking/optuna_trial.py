"""A trial as an entry of an Optuna study, and back: what people read of it, and all of it as one JSON value."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple
from datetime import timedelta
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, create_trial
from optuna.trial import TrialState as OptunaState

from moco.errors import RunFolderError
from moco.policy import Policy
from moco.trial import Evaluation, Outcome, Suggestion, Trial, TrialState

RECORD = "moco:trial"
_FORMAT = 2
_READ = {1, _FORMAT}  # format 1 knew no standard errors of violations
_PLAIN = ("number", "score", "reason", "distinct", "seconds")  # stand in the record as they are
# A rejected policy was never measured, which is what Optuna's `pruned` shows; the dashboard filters the three apart.
_OPTUNA_STATES = {
    TrialState.COMPLETE: OptunaState.COMPLETE,
    TrialState.REJECTED: OptunaState.PRUNED,
    TrialState.FAILED: OptunaState.FAIL,
}


def to_entry(
    trial: Trial, distributions: Mapping[str, BaseDistribution], constraint_names: Sequence[str]
) -> FrozenTrial:
    """The finished entry that records a trial in one transaction; the names are those of its violations."""
    params = _accepted(trial.point, distributions)
    outcome = trial.outcome
    violations = None if outcome is None else [float(violation) for violation in outcome.violations]
    record: dict[str, Any] = {RECORD: json.loads(json.dumps(_to_json(trial), default=_plain))}
    if violations is not None:
        # optuna-dashboard reads this older form only, Optuna's samplers and `best_trials` the named one.
        record["constraints"] = violations
    entry = create_trial(
        state=_OPTUNA_STATES[trial.state],
        params=params,
        distributions={name: distributions[name] for name in params},
        values=None if outcome is None else [float(loss) for loss in outcome.losses],
        constraints=None if violations is None else dict(zip(constraint_names, violations, strict=True)),
        user_attrs=_readable(trial),
        system_attrs=record,
    )
    if entry.datetime_complete is not None:
        entry.datetime_start = entry.datetime_complete - timedelta(seconds=trial.seconds)
    return entry


def to_trial(entry: FrozenTrial) -> Trial | None:
    """The trial that the entry records; None where it is unfinished or not ours."""
    data = entry.system_attrs.get(RECORD)
    if data is None or not entry.state.is_finished():
        return None
    return trial_of(data)


def trial_of(data: Mapping[str, Any]) -> Trial:
    """The trial of a record; a KeyError, TypeError or ValueError where it is malformed, whatever is wrong in it."""
    if data["format"] not in _READ:
        raise RunFolderError(
            f"ledger: trial {data.get('number')} is in format {data['format']}, this version of moco reads format "
            f"{_FORMAT}; use the version that is named in the run's manifest.json"
        )
    trial = Trial(
        **{name: data[name] for name in _PLAIN},
        suggestion=Suggestion(**data["suggestion"]),
        state=TrialState(data["state"]),
        point=data["point"],
        policy=None if data["policy"] is None else Policy(data["policy"], data.get("weights")),
        evaluation=None if data["evaluation"] is None else Evaluation.from_json(data["evaluation"]),
        outcome=None if data["outcome"] is None else Outcome(*(tuple(values) for values in data["outcome"])),
        elapsed_s=data.get("elapsed_s"),
        processor_s=data.get("processor_s"),
    )
    _check(trial)
    return trial


def _check(trial: Trial) -> None:
    """Pass a trial that a search may have recorded; a ValueError names what no search records."""
    outcome, complete = trial.outcome, trial.state is TrialState.COMPLETE
    numbers = [*(outcome.losses if outcome else ()), *(outcome.violations if outcome else ()), trial.seconds]
    wrong = {
        "number": not isinstance(trial.number, int) or isinstance(trial.number, bool) or trial.number < 0,
        "suggestion": not isinstance(trial.suggestion.id, int) or not isinstance(trial.suggestion.point, dict),
        "state": complete and (outcome is None or trial.evaluation is None),
        "losses": not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers),
        "policy": trial.policy is not None and not isinstance(json.loads(trial.policy.text), dict),
    }
    for name, is_wrong in wrong.items():
        if is_wrong:
            raise ValueError(f"its {name} cannot be")


def _accepted(point: Mapping[str, Any], distributions: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """The values that Optuna can hold, as Python's own types; a failed trial's point may have others."""
    params = {}
    for name, distribution in distributions.items():
        with suppress(KeyError, TypeError, ValueError):
            params[name] = _as_parameter(distribution, point[name])
    return params


def _as_parameter(distribution: BaseDistribution, value: Any) -> Any:
    """`value` as the distribution has it. Raises ValueError or TypeError where it has no such value."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[distribution.choices.index(_plain(value))]
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    number = min(max(float(value), distribution.low), distribution.high)
    if abs(number - float(value)) > 1e-9:
        raise ValueError(f"{value} is outside {distribution}")
    if distribution.step is not None:
        steps = round((number - distribution.low) / distribution.step)
        number = min(distribution.low + steps * distribution.step, distribution.high)
    return round(number) if isinstance(distribution, IntDistribution) else number


def _readable(trial: Trial) -> dict[str, Any]:
    shown: dict[str, Any] = {"origin": trial.origin, "state": trial.state.value}
    if trial.reason is not None:
        shown["reason"] = trial.reason
    if trial.state is TrialState.COMPLETE:
        shown["feasible"] = trial.feasible
    if trial.score is not None:
        shown["score"] = float(trial.score)
    if trial.policy is not None:
        shown["policy"] = trial.policy.text
    if trial.evaluation is not None:
        shown |= {name: float(metric.value) for name, metric in trial.evaluation.metrics.items() if name not in shown}
    return shown


def _to_json(trial: Trial) -> dict[str, Any]:
    asked = trial.suggestion
    return {
        "format": _FORMAT,
        **{name: getattr(trial, name) for name in _PLAIN},
        "suggestion": {"id": asked.id, "point": dict(asked.point), "notes": dict(asked.notes)},
        "state": trial.state.value,
        "point": dict(trial.point),
        "policy": None if trial.policy is None else trial.policy.text,
        "evaluation": None if trial.evaluation is None else trial.evaluation.to_json(),
        "outcome": None if trial.outcome is None else astuple(trial.outcome),
        "elapsed_s": trial.elapsed_s,
        **_if_there("processor_s", trial.processor_s),
        **_if_there("weights", None if trial.policy is None else trial.policy.weights),
    }


def _if_there(name: str, value: Any) -> dict[str, Any]:
    """The value by its name; nothing where there is none, so that records stay what they were."""
    return {} if value is None else {name: value}


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    raise TypeError(f"expected a JSON value, got {type(value).__name__}")
