"""What is read of a run folder, checked once; every other module may rely on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from moco.errors import RunFolderError
from moco.run_folder.comparison_record import ComparisonRecord
from moco.run_folder.manifest import Manifest
from moco.run_folder.record import Record, required
from moco.run_folder.result import Result
from moco.run_folder.trial_record import TrialRecord

COMPARISON = "compare.json"
MALFORMED = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What reading a file that moco did not write may raise."""
Kind = TypeVar("Kind", bound=Record)


@dataclass(frozen=True)
class RunFolder:
    """The files that the report is made from."""

    result: Result
    manifest: Manifest
    trials: tuple[TrialRecord, ...]
    experiment_yaml: str


def read_run(run: Path) -> RunFolder:
    """The content of a run folder.

    Raises:
        RunFolderError: a file is missing or not what a search writes.
    """
    if not run.is_dir():
        raise RunFolderError(f"{run}: expected a run folder, found {'a file' if run.exists() else 'nothing'} there")
    data = _object(run / "result.json")
    for key in required(Result):
        if key not in data:
            raise RunFolderError(f"{run / 'result.json'}: key '{key}' is missing; is this a finished search's folder?")
    result = _record(run / "result.json", Result, data)
    return RunFolder(
        result=result,
        manifest=_record(run / "manifest.json", Manifest, _object(run / "manifest.json")),
        trials=_trials(run / "trials.json", result.objectives),
        experiment_yaml=_text(run / "experiment.yaml"),
    )


def read_comparison(run: Path) -> ComparisonRecord:
    """The content of a comparison's folder.

    Raises:
        RunFolderError: compare.json is missing or not what a comparison writes.
    """
    path = run / COMPARISON
    try:
        return ComparisonRecord.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise RunFolderError(f"{path} is missing; is {run} the folder of a comparison?") from None
    except MALFORMED as error:
        raise malformed_comparison(run, error) from error


def malformed_comparison(run: Path, error: Exception) -> RunFolderError:
    """The error of a compare.json whose reading, or showing, raised another one."""
    return RunFolderError(f"{run / COMPARISON}: not what a comparison writes ({type(error).__name__}: {error})")


def _record(path: Path, kind: type[Kind], data: Any) -> Kind:
    try:
        return kind.from_json(data)
    except MALFORMED as error:
        raise RunFolderError(f"{path}: not what a search writes ({type(error).__name__}: {error})") from error


def _trials(path: Path, objectives: tuple[str, ...]) -> tuple[TrialRecord, ...]:
    entries = _json(path)
    if not isinstance(entries, list):
        raise RunFolderError(f"{path}: expected a list of trials, got {type(entries).__name__}")
    trials = []
    for place, entry in enumerate(entries):
        try:
            trials.append(replace(TrialRecord.from_json(entry), objectives=objectives))
        except MALFORMED as error:
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


def numbers(metrics: Mapping[str, float | None]) -> dict[str, float]:
    """Metrics by name without absent ones."""
    return {name: float(value) for name, value in metrics.items() if value is not None}
