"""What the report reads of a run folder, checked once; every other module may rely on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moco.errors import RunFolderError
from moco.metrics import METRICS, Direction


@dataclass(frozen=True)
class TrialRecord:
    """One finished trial as the report needs it.

    Attributes:
        metrics: measured metrics and objectives by name, in stored units; empty unless complete.
        sems: standard errors by metric, where they were measured.
        losses: in the order of the objectives; empty unless complete.
    """

    number: int
    origin: str
    state: str
    feasible: bool
    distinct: bool
    score: float | None
    reason: str | None
    seconds: float | None
    losses: tuple[float, ...]
    policy: Mapping[str, Any] | None
    metrics: Mapping[str, float]
    sems: Mapping[str, float]

    @staticmethod
    def of(data: Mapping[str, Any], objectives: list[str]) -> TrialRecord:
        """The record that the study wrote into trials.json.

        Raises:
            KeyError, TypeError, ValueError: the record is not of that form.
        """
        losses = tuple(float(loss) for loss in data.get("losses") or ())
        measured = (data.get("evaluation") or {}).get("metrics") or {}
        judged = {name: _unsigned(name, loss) for name, loss in zip(objectives, losses, strict=False)}
        return TrialRecord(
            number=int(data["number"]),
            origin=str(data.get("origin") or "search"),
            state=str(data["state"]),
            feasible=bool(data.get("feasible")),
            distinct=data.get("distinct") is not False,
            score=None if data.get("score") is None else float(data["score"]),
            reason=data.get("reason"),
            seconds=data.get("seconds"),
            losses=losses,
            policy=data.get("policy"),
            metrics={**judged, **numbers(measured)},
            sems={name: float(pair[1]) for name, pair in measured.items() if pair[1] is not None},
        )


@dataclass(frozen=True)
class RunFolder:
    """The files that the report is made from."""

    result: Mapping[str, Any]
    manifest: Mapping[str, Any]
    trials: tuple[TrialRecord, ...]
    experiment_yaml: str


def read_run(run: Path) -> RunFolder:
    """The content of a run folder.

    Raises:
        RunFolderError: a file is missing or not what a search writes.
    """
    if not run.is_dir():
        raise RunFolderError(f"{run}: expected a run folder, found {'a file' if run.exists() else 'nothing'} there")
    result = _object(run / "result.json")
    for key in ("experiment", "searcher", "seed", "reference", "trials"):
        if key not in result:
            raise RunFolderError(f"{run / 'result.json'}: key '{key}' is missing; is this a finished search's folder?")
    return RunFolder(
        result=result,
        manifest=_object(run / "manifest.json"),
        trials=_trials(run / "trials.json", objectives(result)),
        experiment_yaml=_text(run / "experiment.yaml"),
    )


def objectives(result: Mapping[str, Any]) -> list[str]:
    """Names of the objectives in the order of the losses; empty where the result does not say."""
    return [str(name) for name in result.get("objectives") or []]


def _trials(path: Path, names: list[str]) -> tuple[TrialRecord, ...]:
    records = _json(path)
    if not isinstance(records, list):
        raise RunFolderError(f"{path}: expected a list of trials, got {type(records).__name__}")
    trials = []
    for place, record in enumerate(records):
        try:
            trials.append(TrialRecord.of(record, names))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise RunFolderError(f"{path}: entry {place} is not a trial ({type(error).__name__}: {error})") from error
    return tuple(trials)


def _object(path: Path) -> dict[str, Any]:
    data = _json(path)
    if not isinstance(data, dict):
        raise RunFolderError(f"{path}: expected a JSON object, got {type(data).__name__}")
    return data


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise RunFolderError(f"{path}: not valid JSON ({error}); was the search interrupted?") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RunFolderError(f"{path} is missing; is {path.parent} the folder of a finished search?") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RunFolderError(f"{path} cannot be read: {error}") from error


def _unsigned(name: str, loss: float) -> float:
    return -loss if name in METRICS and METRICS[name].direction is Direction.MAXIMIZE else loss


def numbers(metrics: Mapping[str, Any] | None) -> dict[str, float]:
    """Metrics by name without absent ones; `[value, standard error]` is read as its value."""
    found = {}
    for name, entry in (metrics or {}).items():
        value = entry[0] if isinstance(entry, (list, tuple)) else entry
        if value is not None:
            found[name] = float(value)
    return found
