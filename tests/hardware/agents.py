"""An agent of `moco serve` in a process of its own on this machine, as a user starts one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TOKEN = "a-token-of-the-tests-alone"
ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """A port that nothing listens at now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class AgentProcess:
    """An agent; its folder outlives it, so that another one may go on."""

    def __init__(self, folder: Path, port: int | None = None, *options: str, scheme: str = "http") -> None:
        self.folder, self.port, self.options, self.scheme = folder, port or free_port(), options, scheme
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8")

    def start(self) -> AgentProcess:
        """Start it, and wait until it listens and has its device."""
        command = [sys.executable, "-m", "moco.app.cli", "serve", "--port", str(self.port)]
        command += ["--folder", str(self.folder / "agent"), *self.options]
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "MOCO_TOKEN": TOKEN, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, env=environment)
        before = self.log.count(" at http")
        while self.log.count(" at http") == before:
            if self.process.poll() is not None:
                raise RuntimeError(f"the agent did not start: {self.log}")
            time.sleep(0.05)
        return self

    def kill(self, sign: int = signal.SIGKILL) -> None:
        """End it, at once or as `sign` says."""
        if self.process is not None:
            self.process.send_signal(sign)
            self.process.wait(timeout=30)
            self.process = None


@contextmanager
def served(folder: Path, *options: str, port: int | None = None, **more: Any) -> Iterator[AgentProcess]:
    """An agent that ends with the block."""
    agent = AgentProcess(folder, port, *options, **more).start()
    try:
        yield agent
    finally:
        agent.kill(signal.SIGTERM)


def address(agent: AgentProcess) -> tuple[str, int]:
    """Where it listens."""
    parts = urlsplit(agent.url)
    return str(parts.hostname), int(parts.port or 0)
