"""A run folder and a ledger have one owner: a second search is refused in one line and leaves the first untouched."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

import moco as published
from moco.evaluation.evaluator import Evaluator
from moco.run_folder.writing import refuse_owned
from tests.app.test_compare_function import problem
from tests.app.tiny import moco, one_line, read


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Has something done while the second trial of the next search is evaluated; gives what came of it."""
    evaluate, calls, found = Evaluator.evaluate, list[object](), list[Any]()

    def during(act: Any) -> list[Any]:
        def evaluated(self: Evaluator, policy: Any) -> Any:
            calls.append(policy)
            if len(calls) == 2:
                found.extend(act())
            return evaluate(self, policy)

        monkeypatch.setattr(Evaluator, "evaluate", evaluated)
        return found

    return during


def refused(result: Result, named: str) -> None:
    line = one_line(result, 2)
    assert named in line
    assert f"by process {os.getpid()} on " in line
    assert " since " in line


@pytest.mark.slow
def test_a_second_search_in_the_folder_is_refused(
    experiment: Any, finished: Path, tmp_path: Path, meanwhile: Any
) -> None:
    run, yaml = tmp_path / "run", experiment()
    again = "--set", "tracking.dashboard=false"
    second = meanwhile(
        lambda: [
            moco("search", yaml, "--out", run, *options) for options in ((), ("--resume",), ("--resume", *again), again)
        ]
    )
    assert moco("search", yaml, "--out", run).exit_code == 0
    assert len(second) == 4
    for result in second:
        refused(result, f"{run}: a search is running there")
    policies = [trial["policy"] for trial in read(run / "trials.json")]
    assert policies == [trial["policy"] for trial in read(finished / "trials.json")]
    assert not [path.name for path in run.iterdir() if path.name.endswith("lock")]


def test_a_second_search_on_the_study_is_refused_from_another_folder(
    experiment: Any, tmp_path: Path, meanwhile: Any
) -> None:
    yaml = experiment(tracking={"storage": f"sqlite:///{tmp_path / 'shared.db'}"}, budget={"trials": 3})
    second = meanwhile(lambda: [moco("search", yaml, "--out", tmp_path / "b")])
    assert moco("search", yaml, "--out", tmp_path / "a").exit_code == 0
    refused(second[0], "the study 'tiny' is being searched already")
    assert read(tmp_path / "a" / "result.json")["trials"] == 3
    assert not (tmp_path / "b").exists()


@pytest.mark.slow
def test_a_search_that_its_ledger_refuses_leaves_no_folder(experiment: Any, tmp_path: Path) -> None:
    yaml = experiment(tracking={"storage": f"sqlite:///{tmp_path / 'shared.db'}"}, budget={"trials": 3})
    assert moco("search", yaml, "--out", tmp_path / "a").exit_code == 0
    assert "holds a search 'tiny'" in one_line(moco("search", yaml, "--out", tmp_path / "b"), 2)
    other = moco("search", yaml, "--out", tmp_path / "c", "--set", "seed=1")
    assert "belongs to another search" in one_line(other, 2)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["a"]


@pytest.mark.slow
def test_a_second_comparison_is_refused_in_the_folder_and_in_the_database(
    experiment: Any, tmp_path: Path, meanwhile: Any
) -> None:
    yaml = experiment(
        tracking={"storage": f"sqlite:///{tmp_path / 'shared.db'}"}, budget={"trials": 3}, searcher={"start": "none"},
        objective={"floor": "-90 pp"},
    )  # fmt: skip
    options = "--searchers", "random,sobol", "--seeds", "1"
    second = meanwhile(lambda: [moco("compare", yaml, "--out", tmp_path / out, *options) for out in ("a", "b")])
    assert moco("compare", yaml, "--out", tmp_path / "a", *options).exit_code == 0
    refused(second[0], f"{tmp_path / 'a'}: a search is running there")
    refused(second[1], "the study 'tiny (comparison)' is being searched already")
    assert read(tmp_path / "a" / "compare.json")["complete"] is True


@pytest.mark.slow
def test_nothing_is_written_into_a_folder_that_a_running_comparison_owns_nor_below(
    experiment: Any, tmp_path: Path, meanwhile: Any
) -> None:
    out, policy = tmp_path / "c", tmp_path / "policy.json"
    yaml = experiment(budget={"trials": 2}, searcher={"start": "none"}, objective={"floor": "-90 pp"})
    policy.write_text('{"format": 1, "groups": {}}', encoding="utf-8")
    below, commands = out / "runs" / "random" / "seed0", []
    for command in (["search"], ["payoff"], ["sensitivity"], ["apply", "--policy", policy]):
        commands += [[command[0], yaml, *command[1:], "--out", folder] for folder in (out, below, below / "more")]
    found = meanwhile(lambda: [moco(*command) for command in commands])
    done = moco("compare", yaml, "--out", out, "--searchers", "random,sobol", "--seeds", "1")
    assert done.exit_code == 0, done.output
    assert len(found) == len(commands) == 12
    for result in found:
        refused(result, f"{out}: a search is running there")
    assert sorted(path.name for path in below.iterdir()) == ["trials.csv", "trials.json"]
    assert not list(out.glob("*.lock"))


def test_a_lock_of_something_else_in_a_folder_above_is_left_alone(tmp_path: Path) -> None:
    theirs = tmp_path / ".lock"
    theirs.write_text("theirs", encoding="utf-8")
    with theirs.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        refuse_owned(tmp_path / "run")
    stale = tmp_path / "run" / ".lock"
    stale.parent.mkdir()
    stale.write_text('{"pid": 1, "host": "gone", "since": "2026-01-01"}', encoding="utf-8")
    refuse_owned(stale.parent / "inner")
    assert theirs.read_text(encoding="utf-8") == "theirs"
    assert stale.exists()


@pytest.mark.slow
def test_a_demo_does_not_replace_a_folder_that_a_running_demo_owns(tmp_path: Path, meanwhile: Any) -> None:
    run = tmp_path / "demo"
    changes = [
        "model.train.epochs=1", "budget.trials=3", "tracking.mlflow=false", "store=false", "certificate.seconds=0.02",
        "target.timing.seconds_batch1=0.005", "target.timing.seconds_batch32=0.005", "objective.floor=-90 pp",
        "finalists=false",
    ]  # fmt: skip
    options = [text for change in changes for text in ("--set", change)]
    second = meanwhile(lambda: [moco("demo", "--out", run, *options), sorted(path.name for path in run.iterdir())])
    assert moco("demo", "--out", run, *options).exit_code == 0
    refused(second[0], f"{run}: a search is running there")
    assert {"study.db", "manifest.json"} <= set(second[1])
    first = read(run / "manifest.json")["created"]
    time.sleep(1.01)  # the manifest tells whole seconds
    assert moco("demo", "--out", run, *options).exit_code == 0
    assert read(run / "manifest.json")["created"] != first


def test_a_comparison_from_python_owns_its_folder(tmp_path: Path) -> None:
    refusals = []

    def evaluate(point: Any) -> dict[str, float]:
        if not refusals:
            with pytest.raises(published.errors.RunFolderError, match=f"by process {os.getpid()} on ") as caught:
                compared(lambda point: {"error": 0.0, "cost": 0.0}, resume=True)
            refusals.append(str(caught.value))
        return {"error": 0.1, "cost": point["keep"]}

    def compared(function: Any, resume: bool = False) -> Any:
        return published.compare(
            problem(), function, searchers=["random", "sobol"], seeds=1, trials=3, out=tmp_path / "c", resume=resume
        )

    assert all(run.state == "finished" for run in compared(evaluate).runs)
    assert refusals[0].startswith(f"{tmp_path / 'c'}: a search is running there")


@pytest.mark.slow
def test_two_processes_that_resume_at_once_leave_a_ledger_that_goes_on(experiment: Any, tmp_path: Path) -> None:
    run, yaml = tmp_path / "run", experiment(budget={"trials": 40})
    assert moco("search", yaml, "--out", run, "--set", "budget.trials=2").exit_code == 0
    command = [Path(sys.executable).with_name("moco"), "search", yaml, "--out", run, "--resume"]
    pair = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ended = [(process.communicate()[1], process.returncode) for process in pair]
    assert sorted(code for _, code in ended) == [0, 2]
    assert any("a search is running there, by process " in errors for errors, code in ended if code == 2)
    assert moco("search", yaml, "--out", run, "--resume", "--set", "budget.trials=42").exit_code == 0
    assert read(run / "result.json")["trials"] == 42
