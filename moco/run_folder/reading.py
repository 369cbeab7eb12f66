"""What is read of a run folder, checked once; every other module may rely on it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from moco.errors import RunFolderError, in_one_line
from moco.run_folder.comparison_record import ComparisonRecord
from moco.run_folder.manifest import Manifest
from moco.run_folder.network_file import USUAL, usual_name
from moco.run_folder.record import required
from moco.run_folder.result import Result
from moco.run_folder.trial_record import TrialRecord

COMPARISON = "compare.json"


@dataclass(frozen=True)
class RunFolder:
    """The files that the report is made from."""

    result: Result
    manifest: Manifest
    trials: tuple[TrialRecord, ...]
    experiment_yaml: str
    file: str = USUAL  # what its networks' files are called


def read_run(run: Path) -> RunFolder:
    """The content of a run folder; a RunFolderError where a file is missing or not what a search writes."""
    if not run.is_dir():
        raise RunFolderError(f"{run}: expected a run folder, found {'a file' if run.exists() else 'nothing'} there")
    data = _object(run / "result.json")
    for key in required(Result):
        if key not in data:
            raise RunFolderError(f"{run / 'result.json'}: key '{key}' is missing; is this a finished search's folder?")
    with well_formed(f"{run / 'result.json'}: not what a search writes"):
        result = Result.from_json(data)
    origin = _object(run / "manifest.json")
    with well_formed(f"{run / 'manifest.json'}: not what a search writes"):
        manifest = Manifest.from_json(origin)
    trials = read_trials(run / "trials.json", result.objectives)
    return RunFolder(result, manifest, trials, experiment_yaml=_text(run / "experiment.yaml"), file=usual_name(run))


def read_comparison(run: Path) -> ComparisonRecord:
    """What compare.json of a folder holds; a RunFolderError where it is missing or not what a comparison writes."""
    path = run / COMPARISON
    try:
        with well_formed_comparison(run):
            return ComparisonRecord.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise RunFolderError(f"{path} is missing; is {run} the folder of a comparison?") from None


@contextmanager
def well_formed(otherwise: str) -> Iterator[None]:
    """Within, files are read, or shown, that moco may not have written; a RunFolderError of `otherwise` says so."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise RunFolderError(f"{otherwise} ({in_one_line(error)})") from error


def well_formed_comparison(run: Path) -> AbstractContextManager[None]:
    """`well_formed` for the compare.json of a folder."""
    return well_formed(f"{run / COMPARISON}: not what a comparison writes")


def read_trials(path: Path, objectives: tuple[str, ...] = ()) -> tuple[TrialRecord, ...]:
    """The trials of a trials.json; a RunFolderError where it is missing or not what moco writes."""
    entries = _json(path)
    if not isinstance(entries, list):
        raise RunFolderError(f"{path}: expected a list of trials, got {type(entries).__name__}")
    trials = []
    for place, entry in enumerate(entries):
        with well_formed(f"{path}: entry {place} is not a trial"):
            trials.append(replace(TrialRecord.from_json(entry), objectives=objectives))
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
