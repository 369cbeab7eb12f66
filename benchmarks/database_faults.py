"""Does a search outlive its database server? One that freezes for a while, restarts at once, or is gone, in mid-search.

    python -m benchmarks.database_faults postgresql://me@127.0.0.1:5433/moco --data FOLDER --user postgres --pg-ctl PATH

FOLDER is the data of a PostgreSQL server that runs here for this alone: its processes are stopped with SIGSTOP and
continued, it is restarted with `pg_ctl restart -m immediate`, and stopped and started again. Asked for: the search goes
on and ends with 0; where the server stays away it ends with 1 and one line, and `--resume` goes on when it is back; the
trials are those of a search that nobody disturbed, each once. Ends with status 1 where that is missed.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml
from sqlalchemy import create_engine, text

from benchmarks.kill_resume import SETTINGS, content, weights
from moco.secret import Secret
from moco.tracking.database import connectable

TRIALS, AFTER = 12, 3
"""Of a search, and those after which its database is disturbed."""


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server on this machine; `user` owns its data."""

    address: str
    data: Path
    user: str | None
    pg_ctl: str

    def control(self, *words: str) -> None:
        """`pg_ctl WORDS`, as the user."""
        command = shlex.join([self.pg_ctl, "-D", str(self.data), "-w", *words])
        as_user = ["su", self.user, "-c", command] if self.user else shlex.split(command)
        subprocess.run(as_user, check=True, stdout=subprocess.DEVNULL)

    def pids(self) -> list[int]:
        """The postmaster and its children."""
        postmaster = int((self.data / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text(encoding="utf-8").split()
        return [postmaster, *map(int, children)]

    def frozen(self, seconds: float) -> None:
        """Stop all its processes, and continue them after a while."""
        pids = self.pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    def trials(self, study: str) -> int:
        """Trials in the study of that name."""
        engine = create_engine(connectable(Secret.of(self.address)))
        query = "SELECT COUNT(*) FROM trials JOIN studies USING (study_id) WHERE study_name = :name"
        try:
            with engine.connect() as connection:
                return int(connection.execute(text(query), {"name": study}).scalar() or 0)
        except Exception:  # no tables yet
            return 0
        finally:
            engine.dispose()


class Searches:
    """Searches whose ledger is on the server."""

    def __init__(self, server: Server, out: Path) -> None:
        """The weights, once."""
        self.server, self.out, self.weights = server, out, weights(out)
        self.salt = f"{time.time():.0f}"

    def start(self, name: str, *options: str) -> subprocess.Popen[str]:
        """A search of that name."""
        folder = self.out / name
        folder.mkdir(exist_ok=True)
        settings = {
            **SETTINGS,
            "name": f"{name}-{self.salt}",
            "model": {**SETTINGS["model"], "weights": str(self.weights)},
            "budget": {"trials": TRIALS},
            "tracking": {"storage": self.server.address},
            "store": False,
        }
        (folder / "experiment.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        command = [sys.executable, "-m", "moco.app.cli", "search", str(folder / "experiment.yaml")]
        return subprocess.Popen(
            [*command, "--out", str(folder / "run"), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def disturbed(self, name: str, disturb: Callable[[], None]) -> tuple[int, str, float]:
        """Exit code and error lines of a search whose server is disturbed after some trials, and its seconds then."""
        process = self.start(name)
        while process.poll() is None and self.server.trials(f"{name}-{self.salt}") < AFTER:
            time.sleep(0.02)
        began = time.perf_counter()
        disturb()
        return *self.end(process), time.perf_counter() - began

    def end(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        """How it ended."""
        _, errors = process.communicate(timeout=400)
        return process.returncode, errors.strip()

    def trials(self, name: str) -> list[object]:
        """What is counted of the trials of a finished search."""
        return list(content(self.out / name)["trials"])

    def doubled(self, name: str) -> int:
        """Trials that the ledger has beside those of trials.json."""
        return self.server.trials(f"{name}-{self.salt}") - len(self.trials(name))


def main() -> int:
    """Print a line a fault; 1 where something is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--user", help="who owns the data")
    parser.add_argument("--pg-ctl", default="pg_ctl")
    parser.add_argument("--seconds", type=float, default=30, help="that the server is frozen")
    parser.add_argument("--faults", default="frozen,restart,gone")
    asked = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    server = Server(asked.address, asked.data, asked.user, asked.pg_ctl)
    with tempfile.TemporaryDirectory() as folder:
        searches = Searches(server, Path(folder))
        expected = searches.end(searches.start("undisturbed"))
        if expected[0] != 0:
            raise SystemExit(f"the search that nobody disturbed ended with {expected}")
        faults: dict[str, Callable[[], None]] = {
            "frozen": lambda: server.frozen(asked.seconds),
            "restart": lambda: server.control("restart", "-m", "immediate"),
            "gone": lambda: server.control("stop", "-m", "immediate"),
        }
        missed = [_missed(searches, name, faults[name]) for name in asked.faults.split(",")]
    return int(any(missed))


def _missed(searches: Searches, name: str, fault: Callable[[], None]) -> bool:
    code, errors, seconds = searches.disturbed(name, fault)
    asked_code, lines = (1, 1) if name == "gone" else (0, 0)
    wrong = []
    if code != asked_code or len(errors.splitlines()) != lines:
        wrong.append(f"exit code {code}, {errors[-500:]}")
    told = errors
    if name == "gone":
        searches.server.control("restart")  # with the options that it had, where `start` has none
        kept = searches.server.trials(f"{name}-{searches.salt}")
        code, errors = searches.end(searches.start(name, "--resume"))
        wrong += [] if code == 0 and kept >= AFTER else [f"--resume after {kept} trials: {code}, {errors[-500:]}"]
    if code == 0:
        wrong += [] if searches.trials(name) == searches.trials("undisturbed") else ["other trials"]
        wrong += [f"{twice} trials twice" for twice in [searches.doubled(name)] if twice]
    print(f"{name:8s} ended after {seconds:5.1f} s  {'; '.join(wrong) or 'fine'}  {told[-300:]}", flush=True)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
