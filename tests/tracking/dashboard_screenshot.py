"""A picture of optuna-dashboard in a real browser.

`python -m tests.tracking.dashboard_screenshot PICTURE.png [RUN/study.db]`; without a ledger it records a made one.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import urlopen

from moco.problem import Problem
from moco.tracking.optuna_study import OptunaLedger
from moco.trial import Trial
from tests.tracking import made_trials

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
_DASHBOARD = Path(sys.executable).with_name("optuna-dashboard")


def record_made_search(database: Path, trials: int = 60) -> list[Trial]:
    """The trials of a made search, recorded in a new ledger."""
    problem: Problem = made_trials.problem(groups=4)
    ledger = OptunaLedger.open(f"sqlite:///{database}", "made search", problem, "made")
    for number in range(trials):
        ledger.record(made_trials.trial(number, problem))
    recorded = ledger.trials()
    ledger.close()
    return recorded


@contextmanager
def served(database: Path) -> Iterator[str]:
    """Address of a dashboard that shows the ledger, while the block runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [str(_DASHBOARD), f"sqlite:///{database.resolve()}", "--port", port]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(int(port), process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def study(address: str) -> dict[str, Any]:
    """What the dashboard itself says of the first study."""
    with urlopen(f"{address}/api/studies/1") as answer:
        return dict(json.load(answer))


def browse(address: str, *what: str) -> str:
    """Open the first study's page in Chromium with further flags; returns what it prints."""
    assert CHROMIUM is not None, "expected chromium on the path; install it"
    with TemporaryDirectory() as profile:
        flags = [*_FLAGS, f"--user-data-dir={profile}", "--window-size=1400,1600", "--virtual-time-budget=20000", *what]
        page = f"{address}/dashboard/studies/1"
        return subprocess.run([CHROMIUM, *flags, page], capture_output=True, text=True, timeout=120, check=True).stdout


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"optuna-dashboard ended with {process.returncode}")


def main(picture: Path, database: Path | None) -> None:
    """Take the picture of the ledger, or of a made one."""
    with TemporaryDirectory() as scratch:
        if database is None:
            database = Path(scratch) / "study.db"
            record_made_search(database)
        with served(database) as address:
            browse(address, f"--screenshot={picture.resolve()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
