"""A comparison of two searchers on two seeds: compare.json and what lies beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.golden.experiment import content, experiment, moco
from tests.golden.records import differences, elsewhere, masked, read, shape
from tests.golden.test_run_folder import files, rows
from tests.processors import exact_integers

TIMES = (
    "*.seconds",
    "*_s",
    "curves.*",
    "tests.*.seconds*",
    "summary.*seconds*",
    "runs.*seconds*",
    "warnings",
    "budget*",
)


def made(folder: Path) -> dict[str, Any]:
    """What the comparison writes, without what depends on time."""
    yaml = experiment(folder, budget={"trials": 5}, searcher={"start": "reference"})
    run = folder / "run"
    done = moco("compare", yaml, "--allow-import", "--searchers", "random,nsga2", "--seeds", 2, "--out", run)
    assert done.exit_code == 0, done.output
    found = content(run / "compare.json")
    by_time = [name for name, test in found["tests"].items() if test["axis"] == "seconds"]
    masks = (*TIMES, *(f"tests.{name}" for name in by_time), *(f"summary.*.{name}" for name in by_time))
    return {
        "compare.json": masked(found, masks),
        "manifest": shape(content(run / "manifest.json")),
        "files": files(run),
        "trials": {str(path.relative_to(run)): rows(path) for path in sorted(run.rglob("trials.csv"))},
        "experiment": (run / "experiment.yaml").exists(),
    }


@exact_integers
@pytest.mark.slow
def test_a_comparison_writes_what_it_wrote(tmp_path: Path) -> None:
    recorded, found = read("compare"), made(tmp_path)
    if elsewhere():
        recorded, found = shape(recorded), shape(found)
    assert differences(recorded, found) == []
