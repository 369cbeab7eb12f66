"""The client's end of a job: asked for until its answer is there, with the files that the agent lacks sent to it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from moco.errors import ConfigError, DeviceLostError, MeasurementError, MocoError
from moco.hardware.measuring.artifact_file import content_of
from moco.hardware.wire import forms
from moco.hardware.wire.connection import Connection, Reply
from moco.interfaces import Artifact

DONE, CREATED, WAITING = 200, 201, 202
UNAUTHORIZED, MISSING, CONFLICT, TOO_LARGE, UNREADABLE, BUSY = 401, 404, 409, 413, 422, 503
BUSY_S = 600.0
"""How long an agent may say that it has no room before the device counts as lost."""
MOST_PAUSE_S = 10.0
UPLOADS = 3
"""Times that a file is sent which the agent does not keep, before the device counts as lost."""


@dataclass
class Client:
    """What is asked of one agent.

    Attributes:
        token_name: where the token was looked up, for errors; never the token.
        sleep: waits so many seconds for an agent that is busy.
    """

    connection: Connection
    token_name: str
    sleep: Callable[[float], None] = time.sleep
    _told: dict[str, Any] = field(default_factory=dict, init=False)

    def greet(self) -> dict[str, Any]:
        """What the agent says of its target now.

        A ConfigError tells of a wrong address, token or TLS, and of an agent of another version; a DeviceLostError of
        an agent that does not answer.
        """
        reply = self.ask("GET", "/target")
        nobody = f"{self.connection.where}: there is no agent of moco at {self.connection.shown}"
        if reply.status != DONE:
            raise ConfigError(f"{nobody}: it answers with {reply.status}")
        told = json_of(reply)
        if isinstance(told.get("format"), int) and told["format"] != forms.FORMAT:
            said = f"it speaks form {told['format']}, expected {forms.FORMAT}"
            raise ConfigError(
                f"{self.connection.where}: the agent at {self.connection.shown} is of another version of moco "
                f"({moco_of(told)}): {said}; install the same on both"
            )
        if not _is_about(told):
            raise ConfigError(f"{nobody}: it answers with something else")
        self._told = told
        return told

    @property
    def told(self) -> dict[str, Any]:
        """What the agent said of its target when it was greeted last; it is greeted where it never was."""
        return self._told or self.greet()

    def done(
        self,
        path: str,
        body: Mapping[str, Any],
        artifacts: Sequence[Artifact] = (),
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The answer to a job that was done; a MeasurementError where it failed on the device."""
        files = {artifact.sha256: artifact for artifact in artifacts}
        answer = json_of(self.answered(path, body, files, headers or {}))
        return refuse_failed(answer, ", ".join(str(artifact.path) for artifact in files.values()))

    def answered(
        self, path: str, body: Mapping[str, Any], files: Mapping[str, Artifact | bytes], headers: Mapping[str, str]
    ) -> Reply:
        """The last answer to a job, asked for until it is there; what the agent lacks of the files is sent to it."""
        text, sent = json.dumps(body).encode(), 0
        given = {"Content-Type": "application/json", "Moco-Device": self.told["device"], **headers}
        while True:
            reply = self.ask("POST", path, text, given)
            if reply.status == DONE:
                return reply
            if reply.status == MISSING and sent < UPLOADS:
                for sha256 in self._lacked(reply, path, files):
                    self._send(sha256, files[sha256])
                sent += 1
            elif reply.status != WAITING:
                raise self._unexpected(reply, path)

    def ask(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Reply:
        """The agent's answer, waited for while it has no room."""
        waited = 0.0
        while True:
            try:
                reply = self.connection.ask(method, path, body, headers)
            except ConfigError as error:
                raise self._refused(str(error)) from None
            if reply.status == UNAUTHORIZED:
                raise self._refused(
                    f"target.token: the agent at {self.connection.shown} refuses the token in "
                    f"{self.token_name}; it must be that agent's MOCO_TOKEN"
                )
            if reply.status != BUSY:
                return reply
            if json_of(reply).get("lost") or waited >= BUSY_S:
                raise self._unexpected(reply, path)
            pause = min(MOST_PAUSE_S, max(0.1, _number(reply.headers.get("retry-after"))))
            self.sleep(pause)
            waited += pause

    def cancel(self, key: str) -> None:
        """End the measurement of that key, if the agent still answers."""
        with suppress(MocoError):
            self.connection.ask("DELETE", f"/measure/{key}")

    def _lacked(self, reply: Reply, path: str, files: Mapping[str, Artifact | bytes]) -> list[str]:
        """The files that the agent asks for; an agent that knows no such job asks for none: a ConfigError."""
        missing = json_of(reply).get("missing")
        if not isinstance(missing, list) or not missing or not all(sha256 in files for sha256 in missing):
            raise ConfigError(
                f"{self.connection.where}: the agent at {self.connection.shown} (moco {moco_of(self.told)}) does not "
                f"know {path}: expected one of this version; install the same on both"
            )
        return missing

    def _send(self, sha256: str, file: Artifact | bytes) -> None:
        content = content_of(file) if isinstance(file, Artifact) else file
        reply = self.ask("PUT", f"/files/{sha256}", content, {"Content-Type": "application/octet-stream"})
        if reply.status == TOO_LARGE:
            mb = f"{len(content) / 1e6:.1f} MB"
            raise MeasurementError(f"the agent at {self.connection.shown} takes no {mb}: raise its --max-mb")
        if reply.status not in {DONE, CREATED}:
            raise self._unexpected(reply, "/files")

    def _refused(self, why: str) -> MocoError:
        """A mistake of who wrote the address; but an agent that has answered before has changed: no trial's fault."""
        return DeviceLostError(why) if self._told else ConfigError(why)

    def _unexpected(self, reply: Reply, path: str) -> MocoError:
        detail = json_of(reply).get("detail", "")
        said = (
            f"the agent at {self.connection.shown} answers {path} with {reply.status}: {' '.join(str(detail).split())}"
        )
        if reply.status == CONFLICT:
            return DeviceLostError(f"{said}; start it with target and versions as before")
        if reply.status == UNREADABLE:
            return ConfigError(f"target: {said}; are the agent's version of moco and this one the same?")
        return DeviceLostError(said)


def _is_about(told: Mapping[str, Any]) -> bool:
    """Whether an agent of this version says that of its target."""
    kinds = {"format": int, "device": str, "name": str, "describe": dict, "versions": dict}
    try:
        forms.capabilities_of(told["capabilities"])
        forms.findings_of(told["findings"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return all(isinstance(told.get(name), kind) for name, kind in kinds.items())


def json_of(reply: Reply) -> dict[str, Any]:
    """The object that the agent answered with; empty where it did not."""
    try:
        found = json.loads(reply.body)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def refuse_failed(answer: dict[str, Any], where: str) -> dict[str, Any]:
    """The answer of a job that was done; a MeasurementError says why another one was not."""
    if answer.get("state") != "done":
        raise MeasurementError(f"{where}: {answer.get('reason', 'the agent gave no answer')}")
    return answer


def moco_of(told: Mapping[str, Any]) -> str:
    """The agent's version of moco, for people."""
    versions = told.get("versions")
    return str(versions.get("moco", "n/a")) if isinstance(versions, Mapping) else "n/a"


def _number(text: str | None) -> float:
    try:
        return float(text or "1")
    except ValueError:
        return 1.0
