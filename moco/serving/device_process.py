"""The process of the device, as the agent sees it: started, asked, and started again where it has died."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moco.errors import ConfigError, DeviceLostError

LINE_BYTES = 1 << 24
START_S = 120.0
TOKEN = "MOCO_TOKEN"
CRASHES = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL})
"""Signals by which a runtime ends at a file that it cannot bear: the file's fault, where others are the machine's."""


@dataclass
class DeviceProcess:
    """The one process that opens, runs and times files."""

    runtime: str
    options: Mapping[str, Any]
    files: Path
    _process: Process | None = field(default=None, init=False)

    async def start(self) -> dict[str, Any]:
        """What the target says of itself; a ConfigError or a DeviceLostError where it cannot be started."""
        environment = {name: value for name, value in os.environ.items() if name != TOKEN}
        command = [sys.executable, "-m", "moco.serving.device"]
        self._process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, env=environment, limit=LINE_BYTES
        )
        first = {"runtime": self.runtime, "options": dict(self.options), "files": str(self.files)}
        try:
            async with asyncio.timeout(START_S):
                answer = await self._exchanged(first)
        except (TimeoutError, EOFError):
            self.kill()
            raise DeviceLostError(f"the target '{self.runtime}' did not start; see the messages above") from None
        if answer["state"] != "ready":
            await self.end()
            raise (ConfigError if answer["state"] == "config" else DeviceLostError)(answer["reason"])
        about: dict[str, Any] = answer["about"]
        return about

    async def ask(self, job: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """What became of the job: `state`, and a `reason` where it is not `done`. The process is started if need be."""
        try:
            if self._process is None:
                await self.start()
            async with asyncio.timeout(seconds):
                return await self._exchanged(job)
        except TimeoutError:
            self.kill()
            return {"state": "failed", "reason": f"it took more than {seconds:g} s on the device"}
        except EOFError:
            return await self._death()
        except (ConfigError, DeviceLostError) as error:
            self.kill()
            return {"state": "lost", "reason": str(error)}

    def kill(self) -> None:
        """End the process, whatever it does; the next job starts another one."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        self._process = None

    async def end(self) -> None:
        """End the process, and wait until it has."""
        process = self._process
        self.kill()
        if process is not None:
            await process.wait()

    async def _exchanged(self, given: Mapping[str, Any]) -> dict[str, Any]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(given).encode() + b"\n")
            await process.stdin.drain()
            line = await process.stdout.readline()
        except (BrokenPipeError, ConnectionResetError):
            line = b""
        if not line:
            raise EOFError
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def _death(self) -> dict[str, Any]:
        process, self._process = self._process, None
        code = await process.wait() if process is not None else 0
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        state = "failed" if -code in CRASHES else "lost"
        return {"state": state, "reason": f"the runtime's process ended with {name}"}
