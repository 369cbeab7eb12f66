"""A run folder that an earlier moco left half-way: it is reported, and its search goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.golden.experiment import TIMED, content, experiment, moco, searched
from tests.golden.records import DATA, differences, elsewhere, other_exporter, read, shape
from tests.golden.test_ledgers import dumped, restored
from tests.processors import exact_integers

RUN = DATA / "run"
SECTIONS: dict[str, Any] = {
    "objective": TIMED,
    "searcher": {"name": "nsga2", "population": 4, "start": "ladder"},
    "budget": {"trials": 8},
    "store": False,
}
"""Timed, so that the scale of its timed metrics is in the manifest and must be taken over."""
DROPPED = ("report.html", "model.onnx", "network.safetensors")
"""Large, and written anew when the search ends."""


def written(folder: Path) -> Path:
    """The run folder that is kept: its text files, and its ledger as SQL."""
    run = searched(experiment(folder, **SECTIONS), folder / "run")
    for path in [path for path in run.rglob("*") if path.name in DROPPED]:
        path.unlink()
    (run / "study.sql").write_text(dumped(run / "study.db"), encoding="utf-8")
    (run / "study.db").unlink()
    return run


def old(folder: Path) -> Path:
    """The kept run folder as if this machine had written it; with its experiment beside it."""
    yaml = experiment(folder, **SECTIONS)
    machine = "machine or runtime"
    one = searched(yaml, folder / "one", "--set", "budget.trials=1")
    here = content(one / "manifest.json")["fingerprint"][machine]
    run = Path(shutil.copytree(RUN, folder / "run"))
    there = content(run / "manifest.json")["fingerprint"][machine]
    for name in ("manifest.json", "study.sql"):
        text = (run / name).read_text(encoding="utf-8")
        assert there in text
        (run / name).write_text(text.replace(there, here), encoding="utf-8")
    restored((run / "study.sql").read_text(encoding="utf-8"), run / "study.db")
    (run / "study.sql").unlink()
    return run


def made(folder: Path) -> dict[str, Any]:
    """What the search adds on --resume, and the keys of what it then delivers."""
    run = old(folder)
    searched(folder / "golden.yaml", run, "--resume", "--set", "budget.trials=10")
    trials = content(run / "trials.json")
    return {
        "result": sorted(content(run / "result.json")),
        "reference": content(run / "result.json")["reference"],
        "policies": [trial["policy"] for trial in trials],
        "origins": [trial["origin"] for trial in trials],
        "errors": [trial["losses"][0] for trial in trials],
    }


@pytest.mark.slow
@exact_integers
@pytest.mark.skipif(
    other_exporter(), reason="a trial of then may win, whose file is refused where its bytes are others"
)
def test_the_search_goes_on(tmp_path: Path) -> None:
    before = content(RUN / "trials.json")
    found = made(tmp_path)
    recorded = read("old_run_folder")
    assert len(recorded["policies"]) == len(before) + 2 == 10
    if elsewhere():
        recorded, found = shape(recorded), shape(found)
    assert differences(recorded, found) == []
    assert content(tmp_path / "run" / "trials.json")[: len(before)] == before
    assert len(content(tmp_path / "run" / "manifest.json")["sessions"]) == 2


def test_it_is_reported(tmp_path: Path) -> None:
    run = Path(shutil.copytree(RUN, tmp_path / "run"))
    done = moco("report", run)
    assert done.exit_code == 0, done.output
    assert (run / "report.html").stat().st_size > 100_000
    assert content(RUN / "result.json")["certificate"]["sha256"]


def test_another_experiment_is_refused_in_it(tmp_path: Path) -> None:
    run = old(tmp_path)
    done = moco("search", tmp_path / "golden.yaml", "--allow-import", "--out", run, "--resume", "--set", "seed=1")
    assert done.exit_code == 2


@pytest.mark.parametrize("name", ["result.json", "manifest.json", "trials.json"])
def test_its_files_are_plain_json_and_name_no_place(name: str) -> None:
    text = (RUN / name).read_text(encoding="utf-8")
    assert json.loads(text)
    assert "/tmp" not in text
    assert "/home" not in text
