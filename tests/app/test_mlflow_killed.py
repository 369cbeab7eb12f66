"""An MLflow server that is killed in mid-search: one line, and nothing of the search is lost."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from html import unescape
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from moco.run.progress import Progress
from moco.trial import Trial
from tests.app.tiny import moco, read

pytestmark = pytest.mark.slow
TRIALS = 12


class Server:
    """A real tracking server in a process group of its own."""

    def __init__(self, folder: Path) -> None:
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"http://127.0.0.1:{free.getsockname()[1]}"
        self.database = folder / "server.db"
        command = [sys.executable, "-m", "mlflow", "server", "--port", self.address.rpartition(":")[2], "--workers=1"]
        stores = [f"--backend-store-uri=sqlite:///{self.database}", f"--artifacts-destination={folder / 'artifacts'}"]
        with (folder / "server.log").open("w") as log:
            self.process = subprocess.Popen([*command, *stores], stdout=log, stderr=log, start_new_session=True)
        for _ in range(600):
            with suppress(OSError), urlopen(f"{self.address}/health", timeout=2):
                return
            time.sleep(0.2)
        raise AssertionError((folder / "server.log").read_text())

    def send(self, what: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, what)

    def runs(self) -> int:
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as database:
            return int(database.execute("SELECT COUNT(*) FROM runs").fetchone()[0])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.send(signal.SIGKILL)
    server.process.wait()


def test_a_server_that_is_killed_in_mid_search_costs_one_line(
    experiment: Any, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[int] = []
    trial = Progress.trial

    def struck(self: Progress, found: Trial) -> None:
        trial(self, found)
        if found.number == 3:
            for _ in range(300):  # until a trial is there
                if server.runs() > 1:
                    break
                time.sleep(0.1)
            server.send(signal.SIGKILL)
            shown.append(server.runs())

    monkeypatch.setattr(Progress, "trial", struck)
    yaml = experiment(budget={"trials": TRIALS}, tracking={"mlflow": {"uri": server.address}})
    done = moco("search", yaml, "--out", tmp_path / "run")
    assert (done.exit_code, done.stderr) == (0, "")
    assert shown[0] > 1
    result = read(tmp_path / "run" / "result.json")
    assert result["trials"] == TRIALS == len(read(tmp_path / "run" / "trials.json"))
    assert result["best"]["holds"]
    (told,) = (text for text in result["warnings"] if "MLflow" in text)
    assert "trials are missing there" in told
    assert "the search and its run folder are complete without it" in told
    assert sum(line.startswith("warning: MLflow:") for line in done.stdout.splitlines()) == 1
    assert told in unescape((tmp_path / "run" / "report.html").read_text(encoding="utf-8"))
