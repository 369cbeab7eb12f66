"""No byte of what a search leaves or says holds a password, and its experiment can still be run again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from moco.experiment.build import build_job
from moco.experiment.loading import load_experiment
from tests.app.tiny import moco, one_line, read

PASSWORD = "hunter2-s3cret"
EASY: dict[str, Any] = {"searcher": {"start": "none"}, "objective": {"floor": "-90 pp"}}
"""A few draws may well be poor ones."""


def storage(folder: Path, password: str = PASSWORD) -> str:
    """A database of a real search, whose address has a token that SQLite does not mind."""
    return f"sqlite:///file:{folder}/shared.db?mode=rwc&uri=true&token={password}"


def leaks(folder: Path, *said: str) -> list[str]:
    """Files below the folder, and outputs, that hold the password."""
    files = [str(path) for path in folder.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]
    return files + [text for text in said if PASSWORD in text]


@pytest.mark.parametrize("given", ["written", "variable"])
@pytest.mark.parametrize("command", ["search", pytest.param("compare", marks=pytest.mark.slow)])
def test_no_file_and_no_message_of_a_search_holds_the_password(
    experiment: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, command: str
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    monkeypatch.setenv("MOCO_DB", storage(base))
    address = storage(base) if given == "written" else "${MOCO_DB}"
    # Nothing listens at the tracker's address: its failure is a warning in every report.
    tracking = {"storage": address, "mlflow": {"uri": f"http://me:{PASSWORD}@127.0.0.1:9"}}
    file = experiment(tracking=tracking, budget={"trials": 2}, **EASY)
    options = () if command == "search" else ("--searchers", "random,sobol", "--seeds", "1")
    done = moco(command, file, "--out", base / "run", *options)
    again = moco(command, file, "--out", base / "run", *options)
    assert (done.exit_code, again.exit_code) == (0, 2)
    assert (base / "shared.db").is_file()
    assert leaks(base, done.output, again.output) == []
    written = yaml.safe_load((base / "run" / "experiment.yaml").read_text(encoding="utf-8"))["tracking"]
    assert written["storage"] == ("${MOCO_DB}" if given == "variable" else storage(base, "***"))
    assert written["mlflow"]["uri"] == "http://me:***@127.0.0.1:9"
    page = "report.html" if command == "search" else "compare.html"
    assert "no answer from" in (base / "run" / page).read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_experiment_of_a_run_folder_runs_again(
    experiment: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOCO_DB", storage(tmp_path))
    run, quick = tmp_path / "run", {"budget": {"trials": 1}, **EASY}
    assert moco("search", experiment(tracking={"storage": "${MOCO_DB}"}, **quick), "--out", run).exit_code == 0
    more = "--set", "budget.trials=2"
    assert moco("search", run / "experiment.yaml", "--out", run, "--resume", *more).exit_code == 0
    assert read(run / "result.json")["trials"] == 2
    monkeypatch.delenv("MOCO_DB")
    line = one_line(moco("search", run / "experiment.yaml", "--out", run, "--resume"), 2)
    assert line.startswith("tracking.storage: the environment variable MOCO_DB is not set")


@pytest.mark.slow
def test_a_password_that_was_left_out_is_asked_for_and_may_change(experiment: Any, tmp_path: Path) -> None:
    run, quick = tmp_path / "run", {"budget": {"trials": 1}, **EASY}
    assert moco("search", experiment(tracking={"storage": storage(tmp_path)}, **quick), "--out", run).exit_code == 0
    resumed = "search", run / "experiment.yaml", "--out", run, "--resume", "--set", "budget.trials=2"
    assert one_line(moco(*resumed), 2).startswith("tracking.storage: its password was left out (sqlite:///file:")
    assert moco(*resumed, "--set", f"tracking.storage={storage(tmp_path, 'another')}").exit_code == 0
    assert read(run / "result.json")["trials"] == 2
    elsewhere = storage(tmp_path / "elsewhere")
    assert "other settings" in one_line(moco(*resumed, "--set", f"tracking.storage={elsewhere}"), 2)


@pytest.mark.parametrize("version", ["with the password", "with what was not seen of it"])
@pytest.mark.slow
def test_a_folder_whose_fingerprint_still_holds_the_password_is_resumed(
    experiment: Any, tmp_path: Path, version: str
) -> None:
    run, quick = tmp_path / "run", {"budget": {"trials": 1}, **EASY}
    file = experiment(tracking={"storage": storage(tmp_path, f"{PASSWORD};more")}, **quick)
    assert moco("search", file, "--out", run).exit_code == 0
    job = build_job(load_experiment(file), run)
    whole, part = job.plan.recording.older_settings["settings"]
    old, new = whole if version == "with the password" else part, job.fingerprint["settings"]
    assert len({whole, part, new}) == 3
    assert job.plan.recording.config["tracking"]["storage"] == storage(tmp_path, "***")
    manifest = read(run / "manifest.json")
    manifest["fingerprint"]["settings"] = old
    (run / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    database = tmp_path / "shared.db"
    database.write_bytes(database.read_bytes().replace(new.encode(), old.encode()))  # the ledger's copy of it
    assert moco("search", file, "--out", run, "--resume", "--set", "budget.trials=2").exit_code == 0
    assert read(run / "manifest.json")["fingerprint"]["settings"] == old


@pytest.mark.parametrize(
    "address", ["", "$MOCO_DB", "sqlite:///x.db?timeout=abc", "postgresql://me:pw@127.0.0.1:abc/d"]
)
def test_a_bad_address_is_one_line_with_its_key_and_makes_no_folder(
    experiment: Any, tmp_path: Path, address: str
) -> None:
    line = one_line(moco("search", experiment(tracking={"storage": address}), "--out", tmp_path / "run"), 2)
    assert line.startswith("tracking.storage: ")
    assert "${PASSWORD}" in line
    assert not (tmp_path / "run").exists()


def test_a_secret_in_a_value_that_is_refused_is_starred(experiment: Any, tmp_path: Path) -> None:
    for change in (f"tracking.mlflow=http://me:{PASSWORD}@h", f"tracking.storage=[postgresql://me:{PASSWORD}@h/d"):
        line = one_line(moco("search", experiment(), "--out", tmp_path / "run", "--set", change), 2)
        assert PASSWORD not in line
        assert "***" in line
