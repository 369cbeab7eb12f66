"""The experiment of the golden files, and the command line that runs it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml
from typer.testing import CliRunner, Result

from moco.app.cli import app
from tests.golden.records import DATA

SETTINGS: dict[str, Any] = {
    "name": "golden",
    "model": {"import": "golden_network:trained"},
    "data": {"source": "digits", "splits": {"calibration": 32, "search": 200, "certification": 300}},
    "folder": None,  # so that no path of this machine enters the fingerprint
    "space": {
        "groups": "per-layer",
        "filter_pruning": {"keep": [0.3, 1.0]},
        "quantization": {"precision": ["float32", "int8"]},
    },
    "target": {"timing": {"seconds_batch1": 0.005, "seconds_batch32": 0.005, "slot_ms": 1.0}},
    "objective": {"protocol": "accuracy-guaranteed", "floor": "-10 pp", "weights": {"size_mb": 1}},
    "searcher": {"name": "random", "start": "ladder"},
    "budget": {"trials": 10},
    "certificate": {"attempts": 2, "seconds": 0.02},
    "baselines": [],
    "store": True,
}
"""Size alone is weighed: nothing is timed, so every number of the search is the same each time."""
TIMED = {"weights": {"latency_ms": 1, "throughput_ips": 1, "size_mb": 1}}


def experiment(folder: Path, **sections: Any) -> Path:
    """The experiment in a folder of its own, with its network; sections are replaced, or some of their keys are."""
    settings = dict(SETTINGS)
    for name, given in sections.items():
        old = settings.get(name)
        settings[name] = {**old, **given} if isinstance(old, dict) and isinstance(given, dict) else given
    folder.mkdir(parents=True, exist_ok=True)
    sys.modules.pop("golden_network", None)  # of another test's folder, which may be gone
    for name in ("golden_network.py", "golden_network.safetensors"):
        shutil.copy(DATA / name, folder)
    path = folder / "golden.yaml"
    path.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return path


def moco(*arguments: object) -> Result:
    """The command line in this process; what it does not turn into an exit code is raised."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def searched(yaml_path: Path, run: Path, *options: object) -> Path:
    """The run folder of a search that ends with exit code 0."""
    done = moco("search", yaml_path, "--allow-import", "--out", run, *options)
    assert done.exit_code == 0, done.output
    return run


def content(path: Path) -> Any:
    """A JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
