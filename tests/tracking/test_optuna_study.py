"""The ledger gives back what it was given, survives being killed, and says plainly what is wrong with its database."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from moco.errors import ConfigError, RunFailedError, RunFolderError
from moco.problem import Problem
from moco.randomness import generator
from moco.secret import Secret
from moco.tracking.database import database_address, database_errors, ledger_address
from moco.tracking.optuna_study import OptunaLedger
from moco.tracking.optuna_trial import to_entry, to_trial
from moco.trial import Suggestion, Trial, TrialState
from tests.tracking import made_trials

ROOT = Path(__file__).resolve().parents[2]


def _url(folder: Path) -> str:
    return f"sqlite:///{folder / 'study.db'}"


def _open(folder: Path, problem: Problem | None = None, fingerprint: str = "f1") -> OptunaLedger:
    return OptunaLedger.open(_url(folder), "made", problem or made_trials.problem(), fingerprint)


def _study(folder: Path) -> optuna.Study:
    return optuna.load_study(storage=_url(folder), study_name="made")


@pytest.mark.parametrize(("number", "state"), [(0, "complete"), (6, "rejected"), (10, "failed")])
def test_a_trial_of_each_state_comes_back_equal_in_another_ledger_object(
    tmp_path: Path, number: int, state: str
) -> None:
    trials = [made_trials.trial(earlier, made_trials.problem()) for earlier in range(number + 1)]
    assert trials[-1].state == state

    ledger = _open(tmp_path)
    for trial in trials:
        ledger.record(trial)

    assert _open(tmp_path).trials() == trials


def test_trials_of_the_first_format_come_back_without_what_it_did_not_know() -> None:
    trial = replace(made_trials.trial(0, made_trials.problem()), elapsed_s=12.5)
    assert trial.outcome is not None
    names = [f"bound {i}" for i in range(len(trial.outcome.violations))]
    entry = to_entry(trial, made_trials.problem().space.distributions, names)
    record = entry.system_attrs["moco:trial"]
    record["format"], record["outcome"] = 1, record["outcome"][:3]
    read = to_trial(entry)
    assert read is not None
    assert read.outcome == replace(trial.outcome, violation_sems=())
    assert read.elapsed_s == trial.elapsed_s
    del record["elapsed_s"]  # of either format
    older = to_trial(entry)
    assert older is not None
    assert older.elapsed_s is None
    record["format"] = 3
    with pytest.raises(RunFolderError, match="is in format 3, this version of moco reads format 2"):
        to_trial(entry)


def test_trials_come_back_by_number_whatever_the_order_of_recording(tmp_path: Path) -> None:
    ledger = _open(tmp_path)
    for number in (2, 0, 3, 1):
        ledger.record(made_trials.trial(number, made_trials.problem()))

    assert [trial.number for trial in ledger.trials()] == [0, 1, 2, 3]


def test_numpy_values_come_back_as_pythons_own(tmp_path: Path) -> None:
    point = {"keep": np.float32(0.5), "rank": np.int64(8), "bits": np.str_("int8"), "on": np.bool_(True)}
    problem = Problem(
        space={  # type: ignore[arg-type]
            "keep": FloatDistribution(0.1, 1.0),
            "rank": IntDistribution(4, 64, step=4),
            "bits": CategoricalDistribution(["float32", "int8"]),
            "on": CategoricalDistribution([False, True]),
        },
        objectives={"top1_error": "minimize"},
    )
    ledger = _open(tmp_path, problem)

    ledger.record(Trial(0, Suggestion(0, point, {"action": np.arange(3)}), TrialState.FAILED, point, reason="made"))

    [back] = _open(tmp_path, problem).trials()
    assert back.point == {"keep": 0.5, "rank": 8, "bits": "int8", "on": True}
    assert [type(value) for value in back.point.values()] == [float, int, str, bool]
    assert back.suggestion.notes == {"action": [0, 1, 2]}
    assert _study(tmp_path).trials[0].params == dict(back.point)


def test_a_failed_trial_whose_point_does_not_fit_the_space_is_recorded_all_the_same(tmp_path: Path) -> None:
    point = {"layer1.keep": 7.0, "layer1.precision": "int3", "nothing": "known"}
    trial = Trial(0, Suggestion(0, point), TrialState.FAILED, point, reason="point: unknown parameter 'nothing'")
    ledger = _open(tmp_path)

    ledger.record(trial)

    assert ledger.trials() == [trial]
    assert _study(tmp_path).trials[0].params == {}


def test_the_study_shows_names_values_constraints_and_what_people_read(tmp_path: Path) -> None:
    problem = made_trials.problem()
    trial = made_trials.trial(1, problem)
    assert trial.outcome is not None
    _open(tmp_path).record(trial)

    study = _study(tmp_path)
    [entry] = study.trials
    assert study.metric_names == ["top1_error", "cost"]
    assert study.directions == [optuna.study.StudyDirection.MINIMIZE] * 2
    assert entry.values == list(trial.outcome.losses)
    assert entry.system_attrs["constraints"] == list(trial.outcome.violations)
    assert entry.constraints["latency_ms <= 1"] == trial.outcome.violations[1]
    assert entry.user_attrs["feasible"] == trial.feasible
    assert entry.user_attrs["policy"] == trial.policy.text if trial.policy else False
    assert entry.user_attrs["size_mb"] == trial.evaluation.metrics["size_mb"].value if trial.evaluation else False
    assert entry.duration is not None
    assert entry.duration.total_seconds() == pytest.approx(1.34)


def test_a_maximised_metric_is_named_as_the_loss_that_it_is(tmp_path: Path) -> None:
    problem = Problem(
        space={"keep": FloatDistribution(0.1, 1.0)},  # type: ignore[arg-type]
        objectives={"top1_error": "minimize", "throughput_ips": "maximize"},
    )

    _open(tmp_path, problem)

    assert _study(tmp_path).metric_names == ["top1_error", "-throughput_ips"]


def test_rejected_and_failed_trials_stand_apart_in_the_study(tmp_path: Path) -> None:
    ledger = _open(tmp_path)
    for number in (5, 6, 10):
        ledger.record(made_trials.trial(number, made_trials.problem()))

    study = _study(tmp_path)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED", "FAIL"]
    assert study.trials[2].user_attrs["reason"] == "out of memory"


def test_optunas_best_trials_are_the_feasible_front(tmp_path: Path) -> None:
    problem = made_trials.problem()
    trials = [made_trials.trial(number, problem) for number in range(25)]
    ledger = _open(tmp_path)
    for trial in trials:
        ledger.record(trial)

    best = _study(tmp_path).best_trials

    assert best
    assert all(trials[entry.number].feasible for entry in best)
    assert any(not trial.feasible for trial in trials if trial.state is TrialState.COMPLETE)


def test_a_ledger_of_another_search_is_refused_and_both_fingerprints_are_named(tmp_path: Path) -> None:
    _open(tmp_path, fingerprint="aaaa")

    with pytest.raises(RunFolderError, match=r"expected fingerprint bbbb, found aaaa"):
        _open(tmp_path, fingerprint="bbbb")


def test_a_study_that_moco_did_not_write_is_refused(tmp_path: Path) -> None:
    foreign = optuna.create_study(storage=_url(tmp_path), study_name="made", directions=["minimize"] * 2)
    foreign.add_trial(optuna.trial.create_trial(values=[1.0, 2.0]))

    with pytest.raises(RunFolderError, match="not written by moco"):
        _open(tmp_path)


def test_entries_that_are_unfinished_or_foreign_do_not_count(tmp_path: Path) -> None:
    ledger = _open(tmp_path)
    ledger.record(made_trials.trial(0, made_trials.problem()))
    _study(tmp_path).ask()
    _study(tmp_path).add_trial(optuna.trial.create_trial(values=[0.0, 0.0]))
    ledger.record(made_trials.trial(1, made_trials.problem()))

    assert [trial.number for trial in _open(tmp_path).trials()] == [0, 1]


def test_a_trial_that_was_written_twice_counts_once(tmp_path: Path) -> None:
    ledger = _open(tmp_path)
    for _ in range(2):
        ledger.record(made_trials.trial(0, made_trials.problem()))

    assert len(ledger.trials()) == 1


def test_two_searches_in_one_ledger_are_noticed(tmp_path: Path) -> None:
    for seed in (0, 1):
        _open(tmp_path).record(made_trials.trial(0, made_trials.problem(), seed))

    with pytest.raises(RunFolderError, match="trial 0 is there twice and differs"):
        _open(tmp_path).trials()


def test_a_suggestion_that_stands_in_two_trials_is_noticed(tmp_path: Path) -> None:
    """Two searches that have written in turn, so that no number is there twice."""
    for number in (0, 1):
        trial = made_trials.trial(number, made_trials.problem())
        _open(tmp_path).record(replace(trial, suggestion=replace(trial.suggestion, id=4)))

    with pytest.raises(RunFolderError, match=r"trials 0 and 1 are of the same suggestion \(4\)"):
        _open(tmp_path).trials()


def test_a_trial_that_is_missing_is_named(tmp_path: Path) -> None:
    for number in (0, 2):
        _open(tmp_path).record(made_trials.trial(number, made_trials.problem()))

    with pytest.raises(RunFolderError, match="trial 1 of 3 is missing"):
        _open(tmp_path).trials()


_WRITER = """
import sys
from moco.tracking.optuna_study import OptunaLedger
from tests.tracking import made_trials
problem = made_trials.problem(groups=20)
ledger = OptunaLedger.open(sys.argv[1], "made", problem, "f1")
for number in range(len(ledger.trials()), 10_000):
    ledger.record(made_trials.trial(number, problem))
    print(number, flush=True)
"""


def _python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_process_killed_at_any_moment_leaves_whole_trials_only(tmp_path: Path) -> None:
    problem = made_trials.problem(groups=20)
    rng = generator(0, "kill")
    acknowledged = -1
    for _ in range(3):
        process = _python(_WRITER, _url(tmp_path))
        assert process.stdout is not None
        for _ in range(int(rng.integers(1, 6))):
            acknowledged = int(process.stdout.readline())
        time.sleep(float(rng.uniform(0, 0.05)))  # any moment of the next record
        process.send_signal(signal.SIGKILL)
        printed, _ = process.communicate()
        acknowledged = max([acknowledged, *map(int, printed.split())])

        found = OptunaLedger.open(_url(tmp_path), "made", problem, "f1").trials()

        assert len(found) in {acknowledged + 1, acknowledged + 2}
        assert found == [made_trials.trial(number, problem) for number in range(len(found))]
    assert sqlite3.connect(tmp_path / "study.db").execute("PRAGMA integrity_check").fetchone() == ("ok",)


_FULL_DISK = """
import resource, sys
from pathlib import Path
from moco.errors import RunFolderError
from moco.tracking.optuna_study import OptunaLedger
from tests.tracking import made_trials
problem = made_trials.problem()
ledger = OptunaLedger.open("sqlite:///" + sys.argv[1], "made", problem, "f1")
ledger.record(made_trials.trial(0, problem))
size = Path(sys.argv[1]).stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
try:
    for number in range(1, 50):
        ledger.record(made_trials.trial(number, problem))
except RunFolderError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
kept = len(ledger.trials())
ledger.record(made_trials.trial(kept, problem))
assert len(OptunaLedger.open("sqlite:///" + sys.argv[1], "made", problem, "f1").trials()) == kept + 1 > 1
"""


@pytest.mark.slow  # Optuna tries a failed write five times, up to two seconds apart
def test_a_full_disk_is_one_clear_line_and_loses_nothing(tmp_path: Path) -> None:
    process = _python(_FULL_DISK, str(tmp_path / "study.db"))

    printed, errors = process.communicate()

    assert process.returncode == 0, errors
    assert "cannot write it: " in printed
    assert "continue with --resume" in printed
    assert len(printed.splitlines()) == 1


def test_a_read_only_database_can_be_read_but_says_so_when_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)  # Optuna waits between its five tries
    _open(tmp_path).record(made_trials.trial(0, made_trials.problem()))
    url = f"sqlite:///file:{tmp_path / 'study.db'}?mode=ro&uri=true"
    ledger = OptunaLedger.open(url, "made", made_trials.problem(), "f1")

    assert len(ledger.trials()) == 1
    with pytest.raises(RunFolderError, match="cannot write it: attempt to write a readonly database"):
        ledger.record(made_trials.trial(1, made_trials.problem()))


def test_a_database_that_another_process_holds_is_named_as_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    _open(tmp_path)
    ledger = OptunaLedger.open(_url(tmp_path) + "?timeout=0", "made", made_trials.problem(), "f1")
    other = sqlite3.connect(tmp_path / "study.db")
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(RunFolderError, match="database is locked"):
        ledger.record(made_trials.trial(0, made_trials.problem()))

    other.rollback()
    ledger.record(made_trials.trial(0, made_trials.problem()))
    assert len(ledger.trials()) == 1


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:////no/such/folder/study.db", "unable to open database file"),
        ("postgresql+nosuchdriver://me:secret@host/db", "nosuchdriver"),
        ("not a url", "Could not parse"),
    ],
)
def test_a_database_that_cannot_be_opened_is_one_line_without_the_password(url: str, said: str) -> None:
    with pytest.raises(RunFolderError, match=said) as caught:
        OptunaLedger.open(url, "made", made_trials.problem(), "f1")

    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a?b", "a%20b", "{a}", "a#b é", "a@b:c", "plain"])
def test_a_ledger_is_in_its_folder_whatever_that_is_called(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    address = ledger_address(folder, None)
    OptunaLedger.open(address, "made", made_trials.problem(), "f1").record(made_trials.trial(0, made_trials.problem()))

    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.db")] == [f"{name}/study.db"]
    assert len(OptunaLedger.open(address, "made", made_trials.problem(), "f1").trials()) == 1
    if "?" not in name and "%" not in name:
        assert address.shown == f"sqlite:///{folder / 'study.db'}"  # as it has always been


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", "Could not parse"),
        ("not a url", "Could not parse"),
        ("nosuch://me:secret@host/db", "nosuch"),
        ("sqlite:///x.db?timeout=abc&token=secret", "could not convert string to float: 'abc'"),
        ("sqlite:///x.db?tiemout=3", "'tiemout' are not accepted"),
        ("sqlite://me:secret@host/x.db", "Invalid SQLite URL"),
    ],
)
def test_an_address_that_sqlalchemy_cannot_use_is_refused_by_its_key(written: str, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"^tracking\.storage: '.*' cannot be used: .*{said}") as refused:
        database_address(written, "tracking.storage")

    assert "secret" not in str(refused.value)
    assert "${PASSWORD}" in str(refused.value)


@pytest.mark.parametrize("written", ["mysql://me:secret@host/db", "sqlite:///x.db?timeout=3"])
def test_an_address_that_may_be_used_is_taken_unopened(written: str) -> None:
    assert database_address(written, "tracking.storage").value == written


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("something else entirely, and long enough to be looked at" * 40)

    with pytest.raises(RunFolderError, match="file is not a database"):
        _open(tmp_path)


def test_opening_and_recording_print_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _open(tmp_path).record(made_trials.trial(0, made_trials.problem()))

    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("address", "check"),
    [("postgresql://me@127.0.0.1/moco", "that its server runs"), ("sqlite:///study.db", "the free space")],
)
def test_the_advice_is_for_the_kind_of_database(address: str, check: str) -> None:
    with (
        pytest.raises(RunFailedError, match=f"cannot write it: gone; check {check}"),
        database_errors(Secret.of(address), "write"),
    ):
        raise RuntimeError("gone")
