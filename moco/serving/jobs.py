"""The queue before the device: one job at a time, each known by its key, kept only while somebody asks about it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from moco.errors import in_one_line
from moco.serving.answers import Answers
from moco.serving.device_process import DeviceProcess
from moco.serving.limits import Limits
from moco.whole_file import write_bytes


class FullError(Exception):
    """There is no room for a further job."""


class OtherRequestError(Exception):
    """The key belongs to another request."""


@dataclass(eq=False)
class Job:
    """What was asked for.

    Attributes:
        lease: until when it is kept while it waits, on the loop's clock.
        outcome: `state` and `reason`, once it is over.
    """

    key: str
    given: Mapping[str, Any]
    lease: float
    over: asyncio.Event = field(default_factory=asyncio.Event)
    outcome: Mapping[str, Any] = field(default_factory=dict)

    def end(self, state: str, reason: str = "") -> None:
        """It is over."""
        self.outcome = {"state": state, "reason": reason}
        self.over.set()


class Jobs:
    """Jobs in the order in which they came; `work` does them."""

    def __init__(self, device: DeviceProcess, answers: Answers, limits: Limits) -> None:
        """Nothing waits yet."""
        self._device, self._answers, self._limits = device, answers, limits
        self._waiting: dict[str, Job] = {}
        self._running: Job | None = None
        self._news = asyncio.Event()

    def answer(self, key: str, given: Mapping[str, Any]) -> dict[str, Any] | None:
        """The stored answer; None where there is none. An OtherRequestError where the key is another request's."""
        found = self._answers.get(key)
        if found is not None and found.get("request") != digest(given):
            raise OtherRequestError
        return found

    async def asked(self, key: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """What became of the job, waited for as long as the limits say; else `waiting`, with how many are `ahead`.

        A FullError where the queue has no room, an OtherRequestError where the key is another request's.
        """
        job = self._job(key, given)
        try:
            async with asyncio.timeout(self._limits.wait_s):
                await job.over.wait()
        except TimeoutError:
            return {"state": "waiting", "ahead": self._ahead(job)}
        return job.outcome

    def cancel(self, key: str) -> bool:
        """End the job of that key, waiting or running; False where there is none."""
        if (job := self._waiting.pop(key, None)) is not None:
            job.end("cancelled", "it was cancelled")
            return True
        if self._running is None or self._running.key != key:
            return False
        self._running.end("cancelled", "it was cancelled")
        self._device.kill()
        return True

    async def work(self) -> None:
        """Do the jobs, one after the other, for ever."""
        while True:
            while not self._waiting:
                self._news.clear()
                await self._news.wait()
            job = self._waiting.pop(next(iter(self._waiting)))
            if job.lease < asyncio.get_running_loop().time():
                job.end("lost", "nobody asked about it any more")
                continue
            self._running = job
            try:
                await self._do(job)
            except Exception as error:  # such as a full disk: the next job may do
                job.end("lost", in_one_line(error))
            finally:
                self._running = None

    async def _do(self, job: Job) -> None:
        path = self._answers.path(job.key)
        request = {**job.given, "request": digest(job.given), "answer": str(path)}
        outcome = await self._device.ask(request, self._limits.job_s)
        if job.over.is_set():  # cancelled meanwhile
            path.unlink(missing_ok=True)
            return
        if outcome["state"] == "failed" and not path.exists():  # the process itself could not write it
            write_bytes(path, json.dumps({**outcome, "request": request["request"]}).encode())
        self._answers.prune()
        job.end(outcome["state"], outcome.get("reason", ""))

    def _job(self, key: str, given: Mapping[str, Any]) -> Job:
        lease = asyncio.get_running_loop().time() + self._limits.lease_s
        running = self._running if self._running is not None and self._running.key == key else None
        if (job := self._waiting.get(key) or running) is not None and not job.over.is_set():
            if job.given != given:
                raise OtherRequestError
            job.lease = lease
            return job
        if len(self._waiting) >= self._limits.queue:
            raise FullError
        job = self._waiting[key] = Job(key, given, lease)
        self._news.set()
        return job

    def _ahead(self, job: Job) -> int:
        keys = list(self._waiting)
        return keys.index(job.key) + 1 if job.key in self._waiting else 0


def digest(given: Mapping[str, Any]) -> str:
    """A hash by which a request is known again."""
    return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()
