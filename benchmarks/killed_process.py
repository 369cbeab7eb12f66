"""A search in a process that is killed: after some seconds, or just before one of its writes.

The process is a fork of this one, which has imported the libraries already, or a new interpreter. It leads a process
group of its own, and `kill -9` goes to that group alone.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WRITES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree"}
"""Audited events that change files, besides the opening of a file to write."""


@dataclass(frozen=True)
class Moment:
    """When to kill: after so many seconds, or before that change of a file, or before that statement of a database."""

    seconds: float | None = None
    file: int | None = None
    statement: int | None = None

    def __str__(self) -> str:
        if self.seconds is not None:
            return f"{self.seconds:.2f} s"
        return f"file {self.file}" if self.file is not None else f"statement {self.statement}"


NEVER = Moment()
LONGEST_S = 600.0


@dataclass(frozen=True)
class Ended:
    """How the process ended: `code` is None where it was killed; how long it lived; all that was said so far."""

    code: int | None
    seconds: float
    text: str

    @property
    def killed(self) -> bool:
        """Whether it was killed, at its moment."""
        return self.code is None


def run(arguments: Sequence[str], folder: Path, moment: Moment = NEVER, *, fresh: bool = False) -> Ended:
    """`moco ARGUMENTS` in a process of its own that is killed at that moment, should it live so long.

    What it says goes to `folder`/said.txt, each trial that the ledger has taken to told.jsonl, and how many files and
    statements it wrote to writes.json. `fresh` starts an interpreter instead of forking this one.
    """
    (folder / "said.txt").touch()  # it may be killed before it says anything
    context: Any = multiprocessing.get_context("spawn" if fresh else "fork")
    process = context.Process(target=_search, args=(list(arguments), str(folder), moment))
    began = time.perf_counter()
    process.start()
    assert process.pid is not None
    process.join(LONGEST_S if moment.seconds is None else moment.seconds)
    if process.exitcode is None:
        hung = moment.seconds is None
        with suppress(ProcessLookupError):  # no group yet: its leader alone
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.join()
        if hung:
            raise SystemExit(f"{folder}: hangs since {time.perf_counter() - began:.0f} s")
    code = None if process.exitcode == -signal.SIGKILL else process.exitcode
    process.close()
    return Ended(code, time.perf_counter() - began, (folder / "said.txt").read_text(encoding="utf-8", errors="replace"))


def told(folder: Path) -> list[int]:
    """Numbers of the trials that the ledger had taken, as the killed processes say."""
    path = folder / "told.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


class _Writes:
    """Counts what the process writes, and kills its process group before the write that the moment names."""

    def __init__(self, folder: str, moment: Moment) -> None:
        self._folder, self._moment, self.files, self.statements = folder, moment, 0, 0

    def hook(self, event: str, given: tuple[Any, ...]) -> None:
        """Audit hook: a file below the folder is opened to write, or files are moved or removed."""
        opened = event == "open" and isinstance(given[0], str) and given[0].startswith(self._folder)
        if event in WRITES or (opened and (given[2] or 0) & (os.O_WRONLY | os.O_RDWR)):
            self.files += 1
            self._kill(self.files == self._moment.file)

    def statement(self, *_: object) -> None:
        """A statement of a database, or its commit, comes next."""
        self.statements += 1
        self._kill(self.statements == self._moment.statement)

    def _kill(self, now: bool) -> None:
        if now and os.getpgid(0) == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)


def _search(arguments: list[str], folder: str, moment: Moment) -> None:
    os.setsid()
    said = os.open(Path(folder) / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(said, 1)
    os.dup2(said, 2)
    from sqlalchemy import Engine, event

    from moco.app.cli import app
    from moco.tracking.optuna_study import OptunaLedger
    from moco.trial import Trial

    writes, record = _Writes(folder, moment), OptunaLedger.record
    taken = os.open(Path(folder) / "told.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def recorded(self: OptunaLedger, trial: Trial) -> None:
        record(self, trial)
        os.write(taken, f"{trial.number}\n".encode())
        writes.statement()

    OptunaLedger.record = recorded  # type: ignore[method-assign]
    event.listen(Engine, "before_cursor_execute", writes.statement)
    event.listen(Engine, "commit", writes.statement)
    sys.addaudithook(writes.hook)
    sys.stdout = sys.stderr = os.fdopen(os.dup(said), "w", encoding="utf-8")
    try:
        app(arguments, prog_name="moco")
    finally:
        sys.stdout.flush()
        counts = {"files": writes.files, "statements": writes.statements}
        (Path(folder) / "writes.json").write_text(json.dumps(counts), encoding="utf-8")
