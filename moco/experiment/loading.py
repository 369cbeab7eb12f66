"""Experiments from YAML: read safely, checked key by key, nothing evaluated."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from moco.errors import ConfigError
from moco.experiment.explain import explain, refuse_unknown_keys, refuse_what_is_not_plain
from moco.experiment.finalists import finalists_plan
from moco.experiment.plugins import plugins_of
from moco.experiment.schema import Experiment
from moco.experiment.yaml_text import MOST_BYTES, plain_values
from moco.home import expanded
from moco.models.import_path import not_allowed
from moco.models.weights import is_published
from moco.text_file import read_text

__all__ = ["Experiment", "experiment_of", "load_experiment"]

PATHS = (
    "model.weights",
    "student.weights",
    "data.train",
    "data.test",
    "data.root",
    "space.sensitivity",
    "space.base",
    "space.base_weights",
    "store",
    "folder",
)
"""Keys whose text is a path: in the file relative to the file, on the command line to the current folder."""
STAGES = "stages"
"""A section of a file alone, which is several experiments then (moco.stages); each of its items lies over the file."""


def load_experiment(path: Path | str, overrides: Sequence[str] = (), allow_import: bool = False) -> Experiment:
    """The experiment that a YAML file describes; a ConfigError says in one line what is wrong and where.

    The file's stem is the default name. `overrides` are `a.b=value`, each value read as YAML; `allow_import` lets it
    name code of the user's to import.
    """
    path = Path(path)
    return loaded(path, sections_of(path, overrides), allow_import)


def loaded(path: Path, sections: Mapping[str, Any], allow_import: bool = False) -> Experiment:
    """The experiment of these sections of a file, its stem the default name; a ConfigError as above."""
    experiment = experiment_of({"name": path.stem, **sections}, allow_import)
    if experiment.imports and "folder" not in experiment.model_fields_set:
        return experiment.model_copy(update={"folder": _against(path.parent, "")})
    return experiment


def sections_of(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The sections of a file, not checked yet, with the overrides; all paths are absolute. A ConfigError as above."""
    return with_overrides(_absolute(read_mapping(path), path.parent), overrides)


def with_overrides(data: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A copy of the sections with the overrides, whose paths are relative to the current folder."""
    for override in overrides:
        data = _overridden(data, override)
    return _absolute(data, Path.cwd())


def experiment_of(data: Mapping[str, Any], allow_import: bool = False) -> Experiment:
    """The experiment of a mapping shaped like the YAML, its plug-ins checked; a ConfigError says what is wrong."""
    refuse_what_is_not_plain(data)
    if STAGES in data:
        raise ConfigError(
            f"{STAGES}: only `moco search FILE` takes an experiment in stages; give this one stage's alone"
        )
    refuse_unknown_keys(Experiment, data)
    try:
        experiment = Experiment.model_validate_json(json.dumps(data))
    except ValidationError as error:
        raise explain(error, data) from None
    experiment = experiment.with_plugins(plugins_of(experiment), allow_import=allow_import)
    for key_path, named in experiment.imports.items() if not allow_import else ():
        raise ConfigError(not_allowed(key_path, named))  # now and not after minutes; none is imported without leave
    _check_starts(experiment)
    finalists_plan(experiment)
    return experiment


def _check_starts(experiment: Experiment) -> None:
    """Pass starts whose source, a sensitivity analysis or the evaluation store, is there."""
    sources = [start if isinstance(start, str) else start.source for start in experiment.searcher.starts]
    if "sensitivity" in sources and experiment.space.sensitivity is None:
        raise ConfigError("searcher.start: 'sensitivity' needs space.sensitivity, what `moco sensitivity` has written")
    if "store" in sources and experiment.store is False:
        raise ConfigError("searcher.start: 'store' needs the evaluation store, which `store: false` switches off")


def read_mapping(path: Path, expected: str = "'model', 'data', 'space' and 'objective'") -> dict[str, Any]:
    """The mapping that a YAML file holds; a ConfigError says why there is none."""
    try:
        text = read_text(path, MOST_BYTES)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}") from None
    data = plain_values(text, str(path))
    if not isinstance(data, dict):
        came = "an empty file" if data is None else f"a {type(data).__name__}"
        raise ConfigError(f"{path}: expected a mapping with {expected}, got {came}")
    return data


def _overridden(data: dict[str, Any], override: str) -> dict[str, Any]:
    """A copy with the one value changed."""
    key_path, equals, text = override.partition("=")
    keys = key_path.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"--set {override}: expected key=value with dots between keys, such as budget.trials=20")
    return _changed(data, keys, plain_values(text, f"--set {override}"), override)


def _changed(data: object, keys: Sequence[str], value: object, override: str) -> dict[str, Any]:
    if data is not None and not isinstance(data, Mapping):
        raise ConfigError(f"--set {override}: '{keys[0]}' lies within {data!r}, which is not a mapping")
    inner = dict(data or {})
    inner[keys[0]] = value if len(keys) == 1 else _changed(inner.get(keys[0]), keys[1:], value, override)
    return inner


def _absolute(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A copy whose paths are absolute; those that are already stay as they are."""
    changed = dict(data)
    for section, _, key in (key_path.partition(".") for key_path in PATHS):
        holder = changed.get(section)
        if not key and isinstance(holder, str):
            changed[section] = _against(folder, holder)
        elif key and isinstance(holder, dict) and isinstance(path := holder.get(key), str):
            name = holder.get({"model": "name", "student": "model"}.get(section, ""))
            published = section in {"model", "student"} and is_published(path, str(name))
            changed[section] = {**holder, key: path if published else _against(folder, path)}
    if isinstance(baselines := changed.get("baselines"), list):
        changed["baselines"] = [_absolute_weights(baseline, folder) for baseline in baselines]
    if isinstance(stages := changed.get(STAGES), list):
        changed[STAGES] = [_absolute(stage, folder) if isinstance(stage, dict) else stage for stage in stages]
    searcher = changed.get("searcher")
    if isinstance(searcher, dict) and "start" in searcher:
        changed["searcher"] = {**searcher, "start": _absolute_starts(searcher["start"], folder)}
    return changed


def _absolute_weights(stated: Any, folder: Path) -> Any:
    """The baseline with the path of its weights made absolute; whatever has no such path stays as it is."""
    path = stated.get("weights") if isinstance(stated, dict) else None
    if not isinstance(path, str) or is_published(path, str(stated.get("model"))):
        return stated
    return {**stated, "weights": _against(folder, path)}


def _absolute_starts(start: Any, folder: Path) -> Any:
    """The starts with their policies' paths made absolute; whatever is no such path stays as it is."""
    if isinstance(start, list):
        return [_absolute_starts(one, folder) for one in start]
    if not isinstance(start, dict) or "policies" not in start:
        return start
    paths = start["policies"]
    if isinstance(paths, list):
        paths = [_against(folder, path) if isinstance(path, str) else path for path in paths]
    return {**start, "policies": _against(folder, paths) if isinstance(paths, str) else paths}


def _against(folder: Path, path: str) -> str:
    return os.path.normpath(Path.cwd() / folder / expanded(path, "path"))
