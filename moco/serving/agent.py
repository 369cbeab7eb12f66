"""What the agent's requests work on: files, answers, the queue and the process of the device."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException

from moco.serving.answers import Answers
from moco.serving.device_process import DeviceProcess
from moco.serving.files import FileStore
from moco.serving.jobs import FullError, Jobs, OtherRequestError, digest
from moco.serving.limits import Limits


class NotYetError(Exception):
    """The job is not done yet: its argument says how many are ahead."""


class MissingError(Exception):
    """Files that a job needs are not here: its argument lists them."""


class LostError(Exception):
    """The device does not answer."""


class Agent:
    """The parts that one device is served by."""

    def __init__(self, process: DeviceProcess, files: FileStore, answers: Answers, limits: Limits) -> None:
        """Put them together; nothing waits yet."""
        self.process, self.files, self.answers, self.limits = process, files, answers, limits
        self.jobs = Jobs(process, answers, limits)
        self.uploads = asyncio.Semaphore(limits.uploads)

    async def job(
        self, key: str, given: Mapping[str, Any], needed: Sequence[str], device: str | None
    ) -> dict[str, Any]:
        """The answer to a job, `done` or `failed`, stored before or waited for.

        A NotYetError, MissingError or LostError, or an HTTPException with the status, where there is none.
        """
        if device is not None and device != self.answers.device:
            raise HTTPException(HTTPStatus.CONFLICT, "another target is served here than before")
        try:
            if (found := self.jobs.answer(key, given)) is not None:
                return found
            if missing := sorted({sha256 for sha256 in needed if not self.files.has(sha256)}):
                raise MissingError(missing)
            outcome = await self.jobs.asked(key, given)
        except OtherRequestError:
            raise HTTPException(HTTPStatus.CONFLICT, "this Idempotency-Key belongs to another request") from None
        except FullError:
            raise self.busy("the queue is full") from None
        found = self._told(key, outcome)
        if found["state"] == "failed" and given["kind"] == "open":  # no network: nobody will use it
            self.files.drop(given["file"])
        return found

    def _told(self, key: str, outcome: Mapping[str, Any]) -> dict[str, Any]:
        if outcome["state"] == "waiting":
            raise NotYetError(outcome)
        if outcome["state"] == "missing":
            raise MissingError([outcome["reason"]])
        if outcome["state"] == "cancelled":
            raise HTTPException(HTTPStatus.CONFLICT, outcome["reason"])
        if (found := self.answers.get(key)) is None:
            raise LostError(outcome["reason"])
        return found

    def busy(self, detail: str) -> HTTPException:
        """The refusal for now."""
        headers = {"Retry-After": str(self.limits.retry_after_s)}
        return HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers)


def device_of(about: Mapping[str, Any]) -> str:
    """By what a device, with its target's options and versions, is known again."""
    return digest({"describe": about["describe"], "versions": about["versions"]})
