"""A search that takes a second or two: real digits, a small network, timings of milliseconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from typer.testing import CliRunner, Result

from moco.app.cli import app

SPLITS = {"calibration": 32, "search": 200, "certification": 300}

SETTINGS: dict[str, Any] = {
    "name": "tiny",
    "seed": 0,
    "model": {"name": "digits_resnet"},
    "data": {"source": "digits", "splits": SPLITS},
    "space": {
        "groups": "per-stage",
        "filter_pruning": {"keep": [0.3, 1.0]},
        "quantization": {"precision": ["float32", "int8"]},
    },
    "target": {
        "runtime": "onnxruntime",
        "threads": 1,
        "timing": {"seconds_batch1": 0.005, "seconds_batch32": 0.005, "slot_ms": 1.0},
    },
    "objective": {
        "protocol": "accuracy-guaranteed",
        "floor": "-10 pp",
        "weights": {"latency_ms": 1, "throughput_ips": 1, "size_mb": 1},
    },
    "searcher": {"name": "random", "start": "ladder"},
    "budget": {"trials": 8},
    "certificate": {"attempts": 2, "seconds": 0.02},
    "baselines": [],
    "tracking": {"mlflow": False},
    "store": False,
}


def settings(**sections: Any) -> dict[str, Any]:
    """The settings with some keys of some sections replaced; None takes a key or a section out."""
    found = {**SETTINGS}
    for name, given in sections.items():
        old = found.get(name)
        found[name] = _filled({**old, **given}) if isinstance(old, dict) and isinstance(given, dict) else given
    return _filled(found)


def _filled(section: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in section.items() if value is not None}


def write(path: Path, **sections: Any) -> Path:
    """The settings as a YAML file."""
    path.write_text(yaml.safe_dump(settings(**sections), sort_keys=False), encoding="utf-8")
    return path


def moco(*arguments: object) -> Result:
    """The command line in this process; what it does not turn into an exit code is raised."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def one_line(result: Result, exit_code: int) -> str:
    """The one line of a command that refused its input."""
    assert result.exit_code == exit_code, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("moco: ")
    return lines[0].removeprefix("moco: ")


def read(path: Path) -> Any:
    """A JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
