"""The run folder of a fixed search: every key of its files, and every value that is no time, date, path or prose."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from tests.golden.experiment import TIMED, content, experiment, searched
from tests.golden.records import differences, elsewhere, masked, read, shape
from tests.processors import exact_integers

PROSE = ("objective.text", "warnings", "certificate.statement", "statement")
TIMES = ("seconds", "*.seconds", "processor_s", "created", "sessions")
MACHINE = ("hardware", "versions.*", "fingerprint.machine or runtime")
MASKS = (*PROSE, *TIMES, *MACHINE)
ROW_TIMES = ("seconds",)
MEASURED = ("*",)
"""Of a search whose network is timed no number is the same twice: keys and types alone."""


def made(folder: Path) -> dict[str, Any]:
    """What a search writes that times nothing."""
    run = searched(experiment(folder), folder / "run")
    found = {
        name: masked(content(run / name), MASKS)
        for name in ("result.json", "manifest.json", "best/certificate.json", "best/policy.json", "certification.json")
    }
    found["trials.json"] = masked(content(run / "trials.json"), ("*.seconds", "*.evaluation.seconds"))
    found["trials.csv"] = rows(run / "trials.csv")
    found["files"] = files(run)
    return found


def made_timed(folder: Path) -> dict[str, Any]:
    """Keys and types of what a search writes that times its networks: of the reference alone, so that it is chosen."""
    run = searched(experiment(folder, objective=TIMED, budget={"trials": 1}, store=False), folder / "timed")
    names = ("result.json", "manifest.json", "best/certificate.json", "certification.json", "trials.json")
    found: dict[str, Any] = {name: masked(content(run / name), MEASURED) for name in names}
    found["result.json"]["warnings"] = "<any number>"
    found["certification.json"] = sorted(content(run / "certification.json"))
    found["trials.json"] = shape([_without_doubts(trial) for trial in content(run / "trials.json")])
    found["trials.csv"] = {"columns": list(rows(run / "trials.csv")[0])}
    found["policies"] = [trial["policy"] for trial in content(run / "trials.json")]
    return found


def _without_doubts(trial: dict[str, Any]) -> dict[str, Any]:
    trial["evaluation"]["details"]["warnings"] = []
    return trial


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a trials.csv, without their times."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{**row, "seconds": "<number>"} for row in csv.DictReader(file)]


def files(run: Path) -> list[str]:
    """Every file of the run folder."""
    return sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.is_file())


@exact_integers
def test_a_search_that_times_nothing_writes_what_it_wrote(tmp_path: Path) -> None:
    recorded, found = read("run_folder"), made(tmp_path)
    if elsewhere():
        recorded, found = shape(recorded), shape(found)
    assert differences(recorded, found) == []


def test_a_search_that_times_its_networks_writes_the_same_keys(tmp_path: Path) -> None:
    """But for the time that it waited for the device, where another search on this machine had it."""
    lines = differences(read("run_folder_timed"), made_timed(tmp_path))
    assert [line for line in lines if not line.endswith("seconds.wait: is new")] == []


@pytest.mark.parametrize("key", ["best", "front", "certificate"])
def test_the_record_holds_what_counts(key: str) -> None:
    """A record that is empty would hold for ever."""
    assert read("run_folder")["result.json"][key]
