"""A file of the dissertation's as checked values: read safely, known slips put right and told, unknown keys refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from moco.errors import ConfigError
from moco.experiment.explain import explain, refuse_unknown_keys, refuse_what_is_not_plain
from moco.experiment.loading import read_mapping
from moco.experiment.schema_base import Section
from moco.sweep.vocabulary import TYPOS

Read = TypeVar("Read", bound=Section)


def read(path: Path, kind: type[Read], expected: str) -> tuple[Read, tuple[str, ...]]:
    """What the file says, and a note for each slip that was put right; a ConfigError names file, key and nearest."""
    notes: list[str] = []
    data = _put_right(read_mapping(path, expected), "", notes, path.name)
    try:
        refuse_what_is_not_plain(data)
        refuse_unknown_keys(kind, data)
        return kind.model_validate_json(json.dumps(data)), tuple(notes)
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain(error, data)}") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _put_right(data: Any, where: str, notes: list[str], file: str) -> Any:
    """The data without known slips."""
    if isinstance(data, Mapping):
        return {
            key: _put_right(value, f"{where}.{key}" if where else str(key), notes, file) for key, value in data.items()
        }
    if isinstance(data, list):
        return [_put_right(value, f"{where}[{place}]", notes, file) for place, value in enumerate(data)]
    if isinstance(data, str) and data in TYPOS:
        notes.append(f"{file}: {where}: '{data}' is read as '{TYPOS[data]}'")
        return TYPOS[data]
    return data
