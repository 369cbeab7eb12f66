"""A lock by a file: one holder, who is named, and none once its process is dead."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from moco import file_lock
from moco.errors import RunFolderError
from moco.file_lock import FileLock

ROOT = Path(__file__).resolve().parents[2]

HOLDS = """
import os, sys, time
from pathlib import Path
from moco.file_lock import FileLock
lock = FileLock(Path(sys.argv[1]), "held", "wait")
if "fork" in sys.argv and os.fork() == 0:
    lock.release()  # as a child does whose stack unwinds: it must let go of nothing
    os.write(1, b"%d\\n" % os.getpid())
    os.close(1)
    time.sleep(600)
    os._exit(0)
os.write(1, b"taken\\n")
time.sleep(600)
"""


def take(path: Path) -> FileLock:
    return FileLock(path, "held", "wait")


def holding(path: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDS), path, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_the_second_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    with take(tmp_path / "lock"):
        with pytest.raises(RunFolderError) as refused:
            take(tmp_path / "lock")
        when = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"
        assert re.fullmatch(
            rf"held, by process {os.getpid()} on {re.escape(socket.gethostname())} since {when}; wait",
            str(refused.value),
        )
    take(tmp_path / "lock").release()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    process = holding(tmp_path / "lock")
    assert process.stdout is not None
    assert process.stdout.readline() == "taken\n"
    with pytest.raises(RunFolderError, match=f"by process {process.pid} on "):
        take(tmp_path / "lock")
    _kill(process)
    take(tmp_path / "lock").release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_neither_keeps_the_lock_nor_lets_it_go(tmp_path: Path) -> None:
    process = holding(tmp_path / "lock", "fork")
    assert process.stdout is not None
    said = sorted(process.stdout.readline().strip() for _ in range(2))
    child = int(said[0])
    try:
        with pytest.raises(RunFolderError, match=f"by process {process.pid} on "):
            take(tmp_path / "lock")
        _kill(process)
        os.kill(child, 0)  # it lives
        take(tmp_path / "lock").release()
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_file_that_its_last_holder_has_just_removed_is_not_taken_for_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening and locking, the holder goes: the file that was opened is no longer the one at the path."""
    first, opened = take(tmp_path / "lock"), os.open

    def late(*arguments: object) -> int:
        descriptor = opened(*arguments)  # type: ignore[arg-type]
        monkeypatch.setattr(os, "open", opened)
        first.release()
        return descriptor

    monkeypatch.setattr(os, "open", late)
    with take(tmp_path / "lock"), pytest.raises(RunFolderError, match="held"):
        take(tmp_path / "lock")


def test_where_there_are_no_locks_a_warning_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(file_lock.fcntl, "flock", without)
    with take(tmp_path / "lock") as first, take(tmp_path / "lock"):
        assert first.warnings == (
            f"{tmp_path / 'lock'}: there are no locks here; see to it that no second search uses the same folder",
        )
