"""A broken ledger: one line says so and what to do, `moco repair` keeps what can be read, and the search goes on."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from moco.errors import RunFailedError, RunFolderError
from moco.tracking.database import database_errors, file_address
from moco.tracking.optuna_study import OptunaLedger
from moco.tracking.repair import repair
from moco.trial import Trial
from tests.tracking import made_trials

PROBLEM = made_trials.problem()
TRIALS = 12


def opened(run: Path) -> OptunaLedger:
    return OptunaLedger.open(file_address(run / "study.db"), "made", PROBLEM, "f1-f2", sole=True)


def trial(number: int, seed: int = 0) -> Trial:
    return made_trials.trial(number, PROBLEM, seed)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a ledger and a manifest."""
    folder = tmp_path_factory.mktemp("sound") / "run"
    folder.mkdir()
    ledger = opened(folder)
    for number in range(TRIALS):
        ledger.record(trial(number))
    ledger.close()
    manifest = {"name": "made", "fingerprint": {"a": "f1", "b": "f2"}, "config": {"tracking": {}}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def run(sound: Path, tmp_path: Path) -> Path:
    """A copy of the run folder, to be broken."""
    return shutil.copytree(sound, tmp_path / "run")


def edited(*statements: str) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            for statement in statements:
                database.execute(statement)

    return edit


def put(path: Path, content: bytes | None) -> None:
    """The content in place of the file's; None takes the file away."""
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


RECORDS = "UPDATE trial_system_attributes SET value_json = {} WHERE key = 'moco:trial' AND trial_id = {}"
BROKEN = {
    "not JSON": (edited(RECORDS.format("substr(value_json, 1, 40)", 5)), TRIALS - 1),
    "null": (edited(RECORDS.format("'null'", 5)), TRIALS - 1),
    "another format": (edited(RECORDS.format("replace(value_json, '\"format\": 2', '\"format\": 9')", 5)), TRIALS - 1),
    "no number": (edited(RECORDS.format('replace(value_json, \'"number": 4\', \'"number": "x"\')', 5)), TRIALS - 1),
    "deep": (edited(RECORDS.format(f"'{'[' * 50_000}'", 5)), TRIALS - 1),
    "a gap": (edited("DELETE FROM trial_system_attributes WHERE trial_id = 5"), TRIALS - 1),
    "no trial": (edited("DELETE FROM trials WHERE trial_id IN (3, 5)"), TRIALS),  # its record stands elsewhere
    "no study": (edited("DELETE FROM studies"), TRIALS),
    "no fingerprint": (edited("DELETE FROM study_user_attributes"), TRIALS),
    "no table": (edited("DROP TABLE trial_params"), TRIALS),
    "bytes": (edited(RECORDS.format("x'fffe00'", 5)), TRIALS - 1),
    "no directions": (edited("DELETE FROM study_directions"), TRIALS),
    "one direction": (edited("DELETE FROM study_directions WHERE objective = 1"), TRIALS),
    "a direction that is none": (edited("UPDATE study_directions SET direction = 'x'"), TRIALS),
    "a state that is none": (edited("UPDATE trials SET state = 'COTE' WHERE trial_id = 5"), TRIALS),
    "a date that is none": (edited("UPDATE trials SET datetime_start = '' WHERE trial_id = 5"), TRIALS),
    "a value that is none": (edited("UPDATE trial_values SET value = NULL WHERE trial_id = 5"), TRIALS),
    "another column": (edited("ALTER TABLE trials RENAME COLUMN datetime_start TO other"), TRIALS),
    "another version": (edited("UPDATE alembic_version SET version_num = 'x'"), TRIALS),
    "another name": (edited("UPDATE studies SET study_name = 'x'"), TRIALS),
    "another number": (edited("UPDATE studies SET study_id = 9"), TRIALS),
    "no trials": (edited("DELETE FROM trials"), TRIALS),
    "attributes of no study": (edited("UPDATE study_user_attributes SET study_id = -1"), TRIALS),
    "parameters of no trial": (edited("DELETE FROM trials WHERE trial_id = 12"), TRIALS),
    "no records": (edited("DELETE FROM trial_system_attributes"), 0),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", BROKEN)
def test_what_can_be_read_is_kept_and_the_search_goes_on(run: Path, how: str) -> None:
    breaks, kept = BROKEN[how]
    breaks(run / "study.db")
    broken = (run / "study.db").read_bytes()

    found = repair(run)

    assert (found.kept, found.kept + (found.lost or 0) >= TRIALS) == (kept, found.lost is not None)
    assert found.aside == run / "study.db.broken"
    assert found.aside.read_bytes() == broken
    ledger = opened(run)
    trials = ledger.trials()
    assert [t.number for t in trials] == list(range(kept))
    whole = [replace(t, number=0) for t in map(trial, range(TRIALS))]
    assert all(replace(t, number=0) in whole for t in trials)
    ledger.record(
        trial(kept, seed=9)
        if kept == TRIALS
        else replace(trial(kept, seed=9), suggestion=replace(trial(0).suggestion, id=99))
    )
    assert len(ledger.trials()) == kept + 1
    ledger.close()
    assert repair(run).aside is None


@pytest.mark.parametrize("how", [how for how in BROKEN if how != "no table"])
def test_what_cannot_be_read_is_one_line_with_a_way_on(run: Path, how: str) -> None:
    BROKEN[how][0](run / "study.db")
    with pytest.raises((RunFolderError, RunFailedError), match=r"^ledger") as told:
        opened(run).trials()
    said = str(told.value)
    assert "\n" not in said
    assert len(said) < 600
    if how != "another format":
        assert f"`moco repair {run}`" in said


def test_text_of_the_database_that_cannot_be_decoded_is_one_line_with_a_way_on(run: Path) -> None:
    """As the fuzzer's leftovers/56 of seed 1: a byte of the schema is another one."""
    broken = UnicodeDecodeError("utf-8", b"\xc5", 0, 1, "invalid continuation byte")
    with pytest.raises(RunFolderError, match="moco repair"), database_errors(file_address(run / "study.db"), "open"):
        raise broken


def test_a_sound_ledger_is_left_alone(run: Path) -> None:
    before = (run / "study.db").read_bytes()
    found = repair(run)
    assert (found.kept, found.lost, found.aside) == (TRIALS, 0, None)
    assert (run / "study.db").read_bytes() == before
    assert sorted(path.name for path in run.iterdir()) == ["manifest.json", "study.db"]


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
@pytest.mark.parametrize("zeroed", [False, True])
def test_a_file_that_was_cut_off_keeps_what_is_left(run: Path, share: float, zeroed: bool) -> None:
    path = run / "study.db"
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(int(size * share))
        if zeroed:
            file.truncate(size)
    found = repair(run)
    assert 0 <= found.kept <= TRIALS
    ledger = opened(run)
    assert len(ledger.trials()) == found.kept
    ledger.record(replace(trial(found.kept), suggestion=replace(trial(0).suggestion, id=99)))
    ledger.close()


@pytest.mark.parametrize("content", [None, b"", b"this is no database" * 100, bytes(8192)])
def test_a_ledger_that_is_gone_is_begun_anew(run: Path, content: bytes | None) -> None:
    put(run / "study.db", content)
    found = repair(run)
    assert (found.kept, found.aside is None) == (0, content is None)
    if found.aside is not None:
        assert found.aside.read_bytes() == content
    assert (run / "study.db").stat().st_size
    assert repair(run).aside is None
    assert opened(run).trials() == []


@pytest.mark.parametrize("content", [None, b"", b"this is no database" * 100, bytes(8192)])
def test_what_is_lost_of_a_ledger_that_tells_nothing_is_what_trials_json_tells(
    run: Path, content: bytes | None
) -> None:
    put(run / "study.db", content)
    assert repair(run).lost is None
    put(run / "study.db", content)
    (run / "trials.json").write_text(json.dumps([{"number": number} for number in range(TRIALS)]))
    found = repair(run)
    assert (found.kept, found.lost) == (0, TRIALS)
    assert f"the 0 trials that can be read, {TRIALS} cannot" in str(found)


@pytest.mark.parametrize("told", [0, 3, TRIALS])
def test_what_held_more_than_trials_json_tells_does_not_say_that_nothing_is_lost(run: Path, told: int) -> None:
    edited("DELETE FROM trial_system_attributes WHERE trial_id > 6", "DROP TABLE trials")(run / "study.db")
    (run / "trials.json").write_text(json.dumps([{"number": number} for number in range(told)]))
    found = repair(run)
    assert (found.kept, found.lost) == (6, TRIALS - 6 if told == TRIALS else None)
    assert told == TRIALS or "it is not known how many cannot" in str(found)


def test_a_folder_in_place_of_the_ledger_is_set_aside(run: Path) -> None:
    (run / "study.db").unlink()
    (run / "study.db" / "inner").mkdir(parents=True)
    with pytest.raises(RunFolderError, match=f"`moco repair {run}` sets it aside"):
        opened(run)
    found = repair(run)
    assert (found.kept, found.lost, found.aside) == (0, None, run / "study.db.broken")
    assert (run / "study.db.broken" / "inner").is_dir()
    assert opened(run).trials() == []


def test_old_ledgers_that_were_set_aside_stay(run: Path) -> None:
    for place in range(3):
        (run / "study.db").write_bytes(f"broken {place}".encode() * 100)
        repair(run)
    kept = [path.read_bytes()[:8] for path in sorted(run.glob("study.db.broken*"))]
    assert kept == [b"broken 0", b"broken 1", b"broken 2"]


def test_a_folder_that_is_none_of_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no run folder"):
        repair(tmp_path)
    with pytest.raises(RunFolderError, match="no run folder"):
        repair(tmp_path / "nowhere")
