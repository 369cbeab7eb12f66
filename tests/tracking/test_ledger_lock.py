"""One search at a time writes to a study: in a SQLite file given by its address, and in PostgreSQL.

The tests with PostgreSQL want an empty database of their own, `MOCO_POSTGRES=postgresql+psycopg://me:…@127.0.0.1/moco`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from moco.errors import RunFailedError, RunFolderError
from moco.secret import Secret
from moco.tracking.database import PostgresLock, ledger_lock
from moco.tracking.optuna_study import OptunaLedger
from moco.trial import Trial
from tests.tracking import made_trials

ROOT = Path(__file__).resolve().parents[2]

HOLDS = """
import os, sys, time
from moco.secret import Secret
from moco.tracking.database import ledger_lock
lock = ledger_lock(Secret.of(sys.argv[1]), sys.argv[2])
if os.fork() == 0:
    os.write(1, b"%d\\n" % os.getpid())
    os.close(1)
    time.sleep(600)
    os._exit(0)
os.write(1, b"taken\\n")
time.sleep(600)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Secret:
    if request.param == "sqlite":
        return Secret.of(f"sqlite:///file:{tmp_path}/shared.db?mode=rwc&uri=true&token=hunter2")
    return postgres()


def postgres() -> Secret:
    if "MOCO_POSTGRES" not in os.environ:
        pytest.skip("no PostgreSQL; name a database in MOCO_POSTGRES")
    return Secret.of("${MOCO_POSTGRES}")


@pytest.fixture
def study() -> str:
    return f"study {uuid4()}"


def test_a_second_search_on_the_study_is_refused_and_another_study_is_not(address: Secret, study: str) -> None:
    first = ledger_lock(address, study)
    with pytest.raises(RunFolderError) as refused:
        ledger_lock(address, study)
    said = str(refused.value)
    assert said.startswith(
        f"ledger {address.shown}: the study '{study}' is being searched already, by process {os.getpid()} "
    )
    assert "hunter2" not in said
    ledger_lock(address, f"{study} more").release()
    first.release()
    ledger_lock(address, study).release()


@pytest.mark.slow
def test_a_dead_driver_holds_nothing_though_a_worker_that_it_forked_lives(address: Secret, study: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(HOLDS), address.value, study],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    child = int(sorted(process.stdout.readline().strip() for _ in range(2))[0])
    try:
        with pytest.raises(RunFolderError, match=f"by process {process.pid} on "):
            ledger_lock(address, study)
        _kill(process)
        os.kill(child, 0)  # it lives
        _soon(lambda: ledger_lock(address, study).release())
    finally:
        os.kill(child, signal.SIGKILL)


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def _soon(take: Callable[[], None]) -> None:
    """The server notices a closed connection within milliseconds, but not at once."""
    for _ in range(100):
        with suppress(RunFolderError):
            take()
            return
        time.sleep(0.05)
    take()


@pytest.fixture
def ledger(study: str) -> Iterator[tuple[OptunaLedger, PostgresLock]]:
    """A ledger in PostgreSQL with its lock."""
    lock = ledger_lock(postgres(), study)
    assert isinstance(lock, PostgresLock)
    opened = OptunaLedger.open(postgres(), study, made_trials.problem(), "f1", lock)
    assert opened.trials() == []
    yield opened, lock
    opened.close()
    lock.release()


def trial(number: int) -> Trial:
    return made_trials.trial(number, made_trials.problem())


def cut_off(which: str = "application_name LIKE 'moco:%'") -> None:
    """End the connections that hold locks, or others, as a server does that is restarted."""
    with create_engine(postgres().value, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {which}"))


def test_a_search_whose_lock_was_cut_off_takes_it_again_and_goes_on(
    ledger: tuple[OptunaLedger, PostgresLock], study: str
) -> None:
    ledger[0].record(trial(0))
    cut_off()
    ledger[0].record(trial(1))
    assert ledger[0].trials() == [trial(0), trial(1)]
    with pytest.raises(RunFolderError, match="is being searched already"):
        ledger_lock(postgres(), study)


def test_a_search_outlives_a_restart_of_its_server(
    ledger: tuple[OptunaLedger, PostgresLock], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger[0].record(trial(0))
    cut_off("datname = current_database() AND pid <> pg_backend_pid()")
    connect, refused = Engine.connect, iter([True, True])

    def starting(engine: Engine) -> Connection:
        if next(refused, False):
            raise OperationalError("", {}, Exception("the database system is starting up"))
        return connect(engine)

    monkeypatch.setattr(Engine, "connect", starting)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    ledger[0].record(trial(1))
    assert ledger[0].trials() == [trial(0), trial(1)]


def test_a_server_that_stays_away_is_one_line(
    ledger: tuple[OptunaLedger, PostgresLock], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off()
    pauses = list[float]()

    def away(engine: Engine) -> Connection:
        raise OperationalError("", {}, Exception("no route"))

    monkeypatch.setattr(Engine, "connect", away)
    monkeypatch.setattr(time, "sleep", pauses.append)
    with pytest.raises(RunFailedError, match=r"cannot reach it: no route; .* continue with --resume"):
        ledger[0].record(trial(0))
    assert 60 <= sum(pauses) < 90


def test_a_search_whose_lock_was_taken_by_another_writes_no_more(
    ledger: tuple[OptunaLedger, PostgresLock], study: str
) -> None:
    ledger[0].record(trial(0))
    cut_off()
    other = ledger_lock(postgres(), study)
    with pytest.raises(RunFolderError, match="is being searched already"):
        ledger[0].record(trial(1))
    second = OptunaLedger.open(postgres(), study, made_trials.problem(), "f1", other)
    second.record(trial(1))
    other.release()
    with pytest.raises(RunFolderError, match="another search has written to it while the connection was lost"):
        ledger[0].record(replace(trial(1), reason="late"))
    assert second.trials() == [trial(0), trial(1)]
    second.close()


def test_a_database_without_a_lock_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = ModuleType("MySQLdb")
    driver.__dict__.update(__version__="2.0.0", paramstyle="format")
    monkeypatch.setitem(sys.modules, "MySQLdb", driver)
    [warning] = ledger_lock(Secret.of("mysql://me:hunter2@127.0.0.1/x"), "study").warnings
    assert "moco knows no lock for mysql" in warning


@pytest.mark.parametrize(
    ("written", "remedy"),
    [
        ("mysql://me@127.0.0.1/x", "install it"),
        ("postgresql://me@127.0.0.1/x", r"pip install 'moco\[postgres\]'"),
        ("postgres://me@127.0.0.1/x", r"pip install 'moco\[postgres\]'"),
    ],
)
def test_a_missing_driver_is_told_before_anything_is_measured(
    written: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("psycopg", "MySQLdb"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        RunFolderError, match=f"its database driver is not installed .*; {remedy}, or use sqlite"
    ) as told:
        ledger_lock(Secret.of(written), "study")
    assert told.value.exit_code == 2


def test_an_address_without_a_driver_is_psycopgs(study: str) -> None:
    plain = Secret.of(re.sub(r"^postgresql\+psycopg:", "postgresql:", postgres().value))
    lock = ledger_lock(plain, study)
    ledger = OptunaLedger.open(plain, study, made_trials.problem(), "f1", lock)
    ledger.record(trial(0))
    assert ledger.trials() == [trial(0)]
    ledger.close()
    lock.release()


def test_a_server_that_does_not_answer_is_cut_off_and_asked_again(
    ledger: tuple[OptunaLedger, PostgresLock], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock on the table holds the statement up as a frozen server does: nothing comes back."""
    ledger[0].record(trial(0))
    monkeypatch.setattr("moco.tracking.patience.ANSWER_S", 0.5)
    engine = create_engine(postgres().value, poolclass=NullPool)
    with engine.connect() as other:
        other.execute(text("LOCK TABLE trials IN ACCESS EXCLUSIVE MODE"))
        thaw = threading.Timer(1.2, other.rollback)
        thaw.start()
        ledger[0].record(trial(1))
        thaw.join()
    assert ledger[0].trials() == [trial(0), trial(1)]


def test_what_fails_while_a_search_runs_is_a_failure_and_no_error_of_use() -> None:
    assert (RunFailedError.exit_code, RunFolderError.exit_code) == (1, 2)
