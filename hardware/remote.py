"""Any target of moco's on another machine, behind the agent that `moco serve` runs there (docs/remote_devices.md).

Files travel by their SHA-256; scoring and timing happen on the device, by the agent's own target, and raw samples come
back, so that the network enters no number. What the clock is, is that target's; `describe` tells it.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from moco.errors import ConfigError, DeviceLostError, MeasurementError, MocoError
from moco.hardware.measuring.artifact_file import check_images, content_of
from moco.hardware.wire import forms, pending
from moco.hardware.wire.connection import LOOPBACK, Connection, Reply, address_of
from moco.interfaces import Artifact, Capabilities, Finding, Normalize, Session
from moco.measurement import Measurement, TimingPlan
from moco.secret import variable

DONE, CREATED, WAITING = 200, 201, 202
UNAUTHORIZED, MISSING, CONFLICT, TOO_LARGE, UNREADABLE, BUSY = 401, 404, 409, 413, 422, 503
BUSY_S = 600.0
"""How long an agent may say that it has no room before the device counts as lost."""
MOST_PAUSE_S = 10.0
UPLOADS = 3
"""Times that a file is sent which the agent does not keep, before the device counts as lost."""
UNKNOWN = Capabilities(("float32",), {"float32": 1}, {"float32": frozenset()}, frozenset())
"""What is known before the agent was asked; `connect` sets what it can."""


@dataclass(frozen=True)
class RemoteOptions:
    """Where the agent is."""

    url: str  # http://127.0.0.1:8080 or https://board:8080
    token: str = "${MOCO_TOKEN}"
    plain_http: bool = False  # whether the token may go to another machine without TLS

    def __post_init__(self) -> None:
        address = address_of(self.url, "target.url")
        if not re.fullmatch(r"\$\{\w+\}", self.token):
            raise ConfigError("target.token: expected the name of an environment variable, ${NAME}, and not the token")
        if address.scheme == "http" and address.hostname not in LOOPBACK and not self.plain_http:
            raise ConfigError(
                f"target.url: {self.url} sends the token unencrypted; take https://, or set target.plain_http: true"
            )


class RemoteSession:
    """A file that the agent can open."""

    def __init__(self, target: RemoteTarget, artifact: Artifact, input_shape: tuple[int, ...]) -> None:
        """Stand for the file on that target."""
        self.artifact, self.input_shape = artifact, input_shape
        self._target, self._open = target, True

    def run(self, images: np.ndarray) -> np.ndarray:
        """Logits (n, classes) of normalised float32 images (n, channels, height, width), computed on the device.

        A MeasurementError refuses other images, and tells of a runtime that fails and of a session that is closed.
        """
        if not self._open:
            raise MeasurementError(f"{self.artifact.path}: the session is closed")
        check_images(images, self.input_shape, self.artifact)
        return self._target.logits(self.artifact, images)

    def close(self) -> None:
        """Take no more images; the agent closes the files that were not used for longest by itself."""
        self._open = False


class RemoteTarget:
    """A target on another machine."""

    Options = RemoteOptions
    name = "remote"
    distributions: tuple[str, ...] = ()  # none of this machine's: `describe` has the agent's, with their versions

    def __init__(self, options: RemoteOptions | None = None, sleep: Callable[[float], None] = time.sleep) -> None:
        """Take the address; nothing is asked yet. `sleep` waits so many seconds for an agent that is busy."""
        self.options = options
        self.capabilities = UNKNOWN
        self._sleep = sleep
        self._connection: Connection | None = None
        self._told: dict[str, Any] = {}

    def connect(self) -> None:
        """Ask the agent what it can.

        A ConfigError tells of a wrong address, token or TLS, a DeviceLostError of an agent that does not answer.
        """
        reply = self._ask("GET", "/target")
        nobody = f"target.url: there is no agent of this version of moco at {self.connection.shown}"
        try:
            told = json.loads(reply.body)
            if reply.status != DONE or told["format"] != forms.FORMAT or not isinstance(told["device"], str):
                raise ConfigError(f"{nobody}: it answers with {reply.status}")
            self.capabilities = forms.capabilities_of(told["capabilities"])
            forms.findings_of(told["findings"])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ConfigError(f"{nobody}: it answers with something else") from None
        self._told = told

    @property
    def connection(self) -> Connection:
        """How the agent is reached; a ConfigError where no address was given, or the token is not set."""
        if self._connection is None:
            if self.options is None:
                raise ConfigError("target.url: is missing: expected the agent's address, such as https://board:8080")
            token = variable(self.options.token, "target.token")
            self._connection = Connection(address_of(self.options.url, "target.url"), token)
        return self._connection

    def load(self, artifact: Artifact) -> RemoteSession:
        """Send the file where the agent does not have it, and have it opened there."""
        content_of(artifact)  # it is the very file
        answer = self._done("/open", {"file": artifact.sha256}, [artifact])
        return RemoteSession(self, artifact, tuple(map(int, answer["input_shape"])))

    def measure(self, sessions: Sequence[Session], plan: TimingPlan) -> Measurement:
        """Have the sessions' files timed interleaved by the agent, the first the reference; raw samples come back.

        A measurement that was asked for before, and whose answer got lost on the way, is not taken again.
        """
        files = [session.artifact.sha256 for session in sessions]
        about = {"agent": self.connection.shown, "device": self._known()["device"]}
        request = _digest({**about, "files": files, "plan": forms.plan_json(plan)})
        with pending.key_of(request) as key:
            try:
                return self.measure_once(sessions, plan, key)
            except KeyboardInterrupt:
                self._cancel(key, request)
                raise

    def measure_once(self, sessions: Sequence[Session], plan: TimingPlan, key: str) -> Measurement:
        """As `measure`, under a key of one's own: asked again with it, the agent gives the answer that it gave."""
        if not sessions:
            raise MeasurementError("expected at least one session to time, got none")
        artifacts = [session.artifact for session in sessions]
        body = {"files": [artifact.sha256 for artifact in artifacts], "plan": forms.plan_json(plan)}
        answer = self._done("/measure", body, artifacts, {"Idempotency-Key": key})
        return forms.measurement_of(answer["measurement"], plan, len(sessions))

    def describe(self) -> Mapping[str, Any]:
        """What the agent's target says of itself, with its name and the versions of its packages. JSON."""
        told = self._known()
        return {**told["describe"], "runtime": self.name, "served": told["name"], "versions": told["versions"]}

    def snippet(self, file: str, input_shape: Sequence[int] | None, normalize: Normalize | None) -> str:
        """What the agent's target says; it runs where its runtime is installed."""
        shape = None if input_shape is None else list(map(int, input_shape))
        scale = None if normalize is None else [list(map(float, part)) for part in normalize]
        return str(self._done("/snippet", {"file": file, "input_shape": shape, "normalize": scale})["snippet"])

    def findings(self) -> tuple[Finding, ...]:
        """What the agent's target says of its machine, or why it cannot be asked."""
        if self.options is None:
            return (Finding(self.name, True, "devices elsewhere: `moco doctor --url URL` looks at one"),)
        try:
            self.connect()
            found = forms.findings_of(self._told["findings"])
        except MocoError as error:
            return (Finding(self.name, False, str(error), "run `moco serve` on the device, with the same MOCO_TOKEN"),)
        detail = (
            f"{self.connection.shown} serves {self._told['name']}, moco {self._told['versions'].get('moco', 'n/a')}"
        )
        return (Finding(self.name, True, detail), *found)

    def logits(self, artifact: Artifact, images: np.ndarray) -> np.ndarray:
        """Logits of float32 images, computed on the device; errors as `RemoteSession.run`."""
        content = np.ascontiguousarray(images, "<f4").tobytes()
        held = hashlib.sha256(content).hexdigest()
        body = {"file": artifact.sha256, "images": held, "shape": list(images.shape)}
        reply = self._answered("/run", body, {artifact.sha256: artifact, held: content}, {})
        if "moco-shape" not in reply.headers:
            _refuse_failed(_json(reply), str(artifact.path))
        shape = tuple(map(int, reply.headers["moco-shape"].split(",")))
        return np.frombuffer(reply.body, "<f4").reshape(shape).astype(np.float32)

    def _done(
        self,
        path: str,
        body: Mapping[str, Any],
        artifacts: Sequence[Artifact] = (),
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The answer to a job that was done; a MeasurementError where it failed on the device."""
        files = {artifact.sha256: artifact for artifact in artifacts}
        answer = _json(self._answered(path, body, files, headers or {}))
        return _refuse_failed(answer, ", ".join(str(artifact.path) for artifact in files.values()))

    def _answered(
        self, path: str, body: Mapping[str, Any], files: Mapping[str, Artifact | bytes], headers: Mapping[str, str]
    ) -> Reply:
        """The last answer to a job, asked for until it is there; what the agent lacks of the files is sent to it."""
        text, sent = json.dumps(body).encode(), 0
        given = {"Content-Type": "application/json", "Moco-Device": self._known()["device"], **headers}
        while True:
            reply = self._ask("POST", path, text, given)
            if reply.status == DONE:
                return reply
            if reply.status == MISSING and sent < UPLOADS:
                for sha256 in _json(reply)["missing"]:
                    self._send(sha256, files[sha256])
                sent += 1
            elif reply.status != WAITING:
                raise self._unexpected(reply, path)

    def _send(self, sha256: str, file: Artifact | bytes) -> None:
        content = content_of(file) if isinstance(file, Artifact) else file
        reply = self._ask("PUT", f"/files/{sha256}", content, {"Content-Type": "application/octet-stream"})
        if reply.status == TOO_LARGE:
            mb = f"{len(content) / 1e6:.1f} MB"
            raise MeasurementError(f"the agent at {self.connection.shown} takes no {mb}: raise its --max-mb")
        if reply.status not in {DONE, CREATED}:
            raise self._unexpected(reply, "/files")

    def _ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """The agent's answer, waited for while it has no room."""
        waited = 0.0
        while True:
            reply = self.connection.ask(method, path, body, headers)
            if reply.status == UNAUTHORIZED:
                raise ConfigError(
                    f"target.token: the agent at {self.connection.shown} refuses the token in "
                    f"{self.options.token if self.options else ''}; it must be that agent's MOCO_TOKEN"
                )
            if reply.status != BUSY:
                return reply
            if _json(reply).get("lost") or waited >= BUSY_S:
                raise self._unexpected(reply, path)
            pause = min(MOST_PAUSE_S, max(0.1, _number(reply.headers.get("retry-after"))))
            self._sleep(pause)
            waited += pause

    def _unexpected(self, reply: Reply, path: str) -> MocoError:
        detail = _json(reply).get("detail", "")
        said = (
            f"the agent at {self.connection.shown} answers {path} with {reply.status}: {' '.join(str(detail).split())}"
        )
        if reply.status in {UNREADABLE, CONFLICT}:
            return ConfigError(f"target: {said}; are target and version of moco the same as before?")
        return DeviceLostError(said)

    def _cancel(self, key: str, request: str) -> None:
        with suppress(MocoError):
            self.connection.ask("DELETE", f"/measure/{key}")
        pending.forget(request)

    def _known(self) -> dict[str, Any]:
        if not self._told:
            self.connect()
        return self._told


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _json(reply: Reply) -> dict[str, Any]:
    try:
        found = json.loads(reply.body)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def _refuse_failed(answer: dict[str, Any], where: str) -> dict[str, Any]:
    if answer.get("state") != "done":
        raise MeasurementError(f"{where}: {answer.get('reason', 'the agent gave no answer')}")
    return answer


def _number(text: str | None) -> float:
    try:
        return float(text or "1")
    except ValueError:
        return 1.0
