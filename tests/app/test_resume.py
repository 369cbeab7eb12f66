"""Searches that were interrupted: gently, twice, by force, by a full disk; and what goes on from their ledger."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from safetensors.torch import load_file, save_file

from moco.evaluation.evaluator import Evaluator
from moco.experiment.build import build_job
from moco.experiment.loading import load_experiment
from moco.run.progress import Progress
from tests.app.tiny import moco, one_line, read

COMMAND = Path(sys.executable).with_name("moco")


def recorded(run: Path) -> list[tuple[Any, ...]]:
    """What the ledger holds, as plain Optuna reads it: losses and policy of each trial."""
    study = optuna.load_study(storage=f"sqlite:///{run / 'study.db'}", study_name="tiny")
    return [(trial.number, tuple(trial.values or ()), tuple(trial.params.items())) for trial in study.trials]


def told(run: Path) -> list[tuple[Any, ...]]:
    """Number, policy and origin of each trial."""
    return [(trial["number"], trial["policy"], trial["origin"]) for trial in read(run / "trials.json")]


@pytest.mark.slow
def test_a_resumed_search_ends_as_the_uninterrupted_one(experiment: Any, finished: Path, tmp_path: Path) -> None:
    run, yaml = tmp_path / "run", experiment()
    assert moco("search", yaml, "--out", run, "--set", "budget.trials=4").exit_code == 0
    before, halfway = recorded(run), read(run / "trials.json")
    reference = read(run / "result.json")["reference"]
    done = moco("search", yaml, "--out", run, "--resume")
    assert done.exit_code == 0
    assert "resumed after 4 finished trials" in done.stdout
    assert recorded(run)[:4] == before
    assert read(run / "trials.json")[:4] == halfway
    assert [number for number, *_ in recorded(run)] == list(range(8))
    assert told(run) == told(finished)
    result = read(run / "result.json")
    assert result["trials"] == 8
    assert result["reference"] == reference, "timed metrics of a search have one scale"


def test_a_finished_search_is_ended_anew(finished: Path, finished_yaml: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    before = recorded(run)
    shutil.rmtree(run / "best")
    (run / "result.json").unlink()
    (run / "front" / "999").mkdir()
    assert moco("search", finished_yaml, "--out", run, "--resume").exit_code == 0
    assert recorded(run) == before
    assert (run / "best" / "model.onnx").is_file()
    assert not (run / "front" / "999").exists()
    assert read(run / "result.json")["front"] == read(finished / "result.json")["front"]


def test_a_held_folder_is_not_searched_again_without_resume(finished: Path, finished_yaml: Path) -> None:
    line = one_line(moco("search", finished_yaml, "--out", finished), 2)
    assert "--resume" in line
    assert str(finished) in line


@pytest.mark.parametrize("change", ["seed=1", "name=other", "space.groups=per-layer", "model.options.shortcut=B"])
def test_a_folder_of_another_experiment_is_refused(finished: Path, finished_yaml: Path, change: str) -> None:
    options = ["--set", change, "--set", "model.weights=null"] if "options" in change else ["--set", change]
    line = one_line(moco("search", finished_yaml, "--out", finished, "--resume", *options), 2)
    assert re.search(r"belongs to another experiment \('tiny'\): other settings( and network)?;", line)


def test_other_weights_under_the_same_name_are_another_experiment(
    experiment: Any, finished: Path, weights: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    tensors = load_file(weights)
    tensors["conv1.weight"] *= 2
    save_file(tensors, tmp_path / "other.safetensors")
    manifest = read(run / "manifest.json")
    yaml = experiment(model={"weights": str(tmp_path / "other.safetensors")})
    job = build_job(load_experiment(yaml), tmp_path / "unused")
    # As if the file had been overwritten in its place.
    manifest["fingerprint"]["settings"] = job.fingerprint["settings"]
    (run / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert "other network;" in one_line(moco("search", yaml, "--out", run, "--resume"), 2)


def test_resume_needs_a_folder(experiment: Any, tmp_path: Path) -> None:
    assert "nothing to resume" in one_line(moco("search", experiment(), "--out", tmp_path / "no", "--resume"), 2)


def test_a_search_that_died_before_its_first_trial_is_resumed(experiment: Any, tmp_path: Path) -> None:
    (tmp_path / "run" / ".files").mkdir(parents=True)
    (tmp_path / "run" / ".files" / "0123456789abcdef.partial").write_bytes(b"half")
    done = moco("search", experiment(budget={"trials": 1}), "--out", tmp_path / "run", "--resume")
    assert done.exit_code == 0


def interrupt_in(monkeypatch: pytest.MonkeyPatch, trial: int, times: int) -> None:
    """Press Ctrl-C while that trial is evaluated."""
    evaluate, calls = Evaluator.evaluate, []

    def pressed(self: Evaluator, policy: Any) -> Any:
        calls.append(policy)
        if len(calls) == trial:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
        return evaluate(self, policy)

    monkeypatch.setattr(Evaluator, "evaluate", pressed)


def test_ctrl_c_ends_after_the_running_trial_with_a_complete_folder(
    experiment: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_in(monkeypatch, trial=3, times=1)
    run = tmp_path / "run"
    before = signal.getsignal(signal.SIGINT)
    done = moco("search", experiment(), "--out", run)
    assert signal.getsignal(signal.SIGINT) is before
    assert done.exit_code == 0
    assert "ending after this trial" in done.stdout
    result = read(run / "result.json")
    assert result["trials"] == len(recorded(run)) == 3
    assert result["stopped"]
    told_so = f"The search was stopped after 3 of {result['budget']['trials']} trials; --resume goes on with it."
    assert told_so in " ".join(done.stdout.split())
    for page in ("report.html", "best/card.md"):
        assert told_so in (run / page).read_text(encoding="utf-8")
    for name in ("best/model.onnx", "best/certificate.json", "report.html", "trials.csv"):
        assert (run / name).is_file()


@pytest.mark.slow
def test_ctrl_c_before_the_first_trial_delivers_nothing(
    experiment: Any, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Progress.begin

    def pressed(progress: Progress, *given: Any) -> None:
        begin(progress, *given)
        os.kill(os.getpid(), signal.SIGINT)

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "begin", pressed)
        done = moco("search", experiment(), "--out", run)
    assert done.exit_code == 1
    assert done.stderr == "moco: interrupted; finished trials are in the ledger, continue with --resume\n"
    assert not (run / "result.json").exists()
    assert moco("search", experiment(), "--out", run, "--resume").exit_code == 0
    assert told(run) == told(finished)


@pytest.mark.slow
def test_a_second_ctrl_c_leaves_at_once_and_nothing_finished_is_lost(
    experiment: Any, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupt_in(patch, trial=3, times=2)
        done = moco("search", experiment(), "--out", tmp_path / "run")
    assert done.exit_code == 1
    assert "--resume" in done.stderr.splitlines()[-1]
    assert len(recorded(tmp_path / "run")) == 2
    assert moco("search", experiment(), "--out", tmp_path / "run", "--resume").exit_code == 0
    assert told(tmp_path / "run") == told(finished)


@pytest.mark.parametrize("suffix", [".partial", ".json.partial"])
@pytest.mark.slow
def test_a_full_disk_ends_in_one_line_and_nothing_finished_is_lost(
    experiment: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """A candidate's file, or a file of the end, cannot be written."""
    run, writes = tmp_path / "run", []
    with monkeypatch.context() as patch:
        for name in ("write_bytes", "write_text"):
            patch.setattr(Path, name, _full_after(getattr(Path, name), run, writes, suffix))
        line = one_line(moco("search", experiment(budget={"trials": 4}), "--out", run), 1)
    assert "No space left on device" in line
    assert str(run) in line
    finished = recorded(run)
    assert len(finished) == (2 if suffix == ".partial" else 4)
    done = moco("search", experiment(budget={"trials": 4}), "--out", run, "--resume")
    assert done.exit_code == 0
    assert recorded(run)[: len(finished)] == finished
    assert len(recorded(run)) == 4


def _full_after(write: Any, run: Path, writes: list[Path], suffix: str) -> Any:
    def full(self: Path, *arguments: Any, **options: Any) -> Any:
        candidate = self.parent.name == ".files" and suffix == ".partial"
        end = self.name == "trials.json.partial" and suffix == ".json.partial"
        if run in self.parents and (candidate or end):
            writes.append(self)
            if end or len(writes) > 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, *arguments, **options)

    return full


def started(yaml: Path, run: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [COMMAND, "search", yaml, "--out", run, *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for_trials(process: subprocess.Popen[str], run: Path, count: int) -> None:
    """Until the ledger holds that many."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if (run / "study.db").exists() and count_of(run) >= count:
            return
        time.sleep(0.02)
    raise AssertionError(f"the search ended with {process.poll()} before trial {count}: {process.communicate()}")


def count_of(run: Path) -> int:
    import sqlite3

    try:
        with sqlite3.connect(f"file:{run / 'study.db'}?mode=ro", uri=True) as database:
            return int(database.execute("SELECT COUNT(*) FROM trials").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


@pytest.mark.slow
def test_ctrl_c_in_a_terminal(experiment: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = started(experiment(budget={"trials": 500}), run)
    wait_for_trials(process, run, 2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    assert 2 <= read(run / "result.json")["trials"] < 500
    assert (run / "best" / "model.onnx").is_file()


@pytest.mark.slow
def test_a_search_that_is_killed_at_random_moments_loses_and_doubles_nothing(experiment: Any, tmp_path: Path) -> None:
    run, yaml = tmp_path / "run", experiment(budget={"trials": 400}, searcher={"name": "nsga2"}, store=True)
    seconds = random.Random(2)
    kept: list[tuple[Any, ...]] = []
    for attempt in range(5):
        process = started(yaml, run, *(["--resume"] if attempt else []))
        wait_for_trials(process, run, len(kept) + 1)
        time.sleep(seconds.uniform(0, 1))
        process.kill()
        process.communicate()
        found = recorded(run)
        assert found[: len(kept)] == kept
        assert [number for number, *_ in found] == list(range(len(found)))
        kept = found
    budget = len(kept) + 3
    assert moco("search", yaml, "--out", run, "--resume", "--set", f"budget.trials={budget}").exit_code == 0
    assert recorded(run)[: len(kept)] == kept
    assert len(recorded(run)) == len(read(run / "trials.json")) == budget
