"""Any target of moco's on another machine, behind the agent that `moco serve` runs there (docs/remote_devices.md).

Files travel by their SHA-256; scoring and timing happen on the device, by the agent's own target, and raw samples come
back, so that the network enters no number. What the clock is, is that target's; `describe` tells it.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from moco.errors import ConfigError, MeasurementError, MocoError
from moco.hardware.measuring.artifact_file import check_images, content_of
from moco.hardware.wire import forms, pending
from moco.hardware.wire.client import Client, json_of, moco_of, refuse_failed
from moco.hardware.wire.connection import LOOPBACK, Connection, address_of
from moco.interfaces import Artifact, Capabilities, Finding, LayerTime, Normalize, Session
from moco.measurement import Measurement, TimingPlan
from moco.secret import variable

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
        self._client: Client | None = None

    def connect(self) -> None:
        """Ask the agent what it can.

        A ConfigError tells of a wrong address, token or TLS, a DeviceLostError of an agent that does not answer.
        """
        self.capabilities = forms.capabilities_of(self.client.greet()["capabilities"])

    @property
    def client(self) -> Client:
        """What asks the agent; a ConfigError where no address was given, or the token is not set."""
        if self._client is None:
            if self.options is None:
                raise ConfigError("target.url: is missing: expected the agent's address, such as https://board:8080")
            token = variable(self.options.token, "target.token")
            connection = Connection(address_of(self.options.url, "target.url"), token)
            self._client = Client(connection, self.options.token, self._sleep)
        return self._client

    def load(self, artifact: Artifact) -> RemoteSession:
        """Send the file where the agent does not have it, and have it opened there."""
        content_of(artifact)  # it is the very file
        answer = self.client.done("/open", {"file": artifact.sha256}, [artifact])
        return RemoteSession(self, artifact, tuple(map(int, answer["input_shape"])))

    def measure(self, sessions: Sequence[Session], plan: TimingPlan) -> Measurement:
        """Have the sessions' files timed interleaved by the agent, the first the reference; raw samples come back.

        A measurement that was asked for before, and whose answer got lost on the way, is not taken again.
        """
        artifacts = [session.artifact for session in sessions]
        body = {"files": [artifact.sha256 for artifact in artifacts], "plan": forms.plan_json(plan)}
        with self._key_of(body) as key:
            return self.measure_once(sessions, plan, key)

    def measure_once(self, sessions: Sequence[Session], plan: TimingPlan, key: str) -> Measurement:
        """As `measure`, under a key of one's own: asked again with it, the agent gives the answer that it gave."""
        if not sessions:
            raise MeasurementError("expected at least one session to time, got none")
        artifacts = [session.artifact for session in sessions]
        body = {"files": [artifact.sha256 for artifact in artifacts], "plan": forms.plan_json(plan)}
        answer = self.client.done("/measure", body, artifacts, {"Idempotency-Key": key})
        return forms.measurement_of(answer.get("measurement"), plan, len(sessions))

    def layer_times(self, artifact: Artifact, batch: int, calls: int) -> tuple[LayerTime, ...] | None:
        """The operators that the agent's runtime tells of, timed once for a key; None where it tells of none.

        A MeasurementError where the file cannot be opened or run there.
        """
        content_of(artifact)  # it is the very file
        body = {"file": artifact.sha256, "batch": batch, "calls": calls}
        with self._key_of(body) as key:
            answer = self.client.done("/layers", body, [artifact], {"Idempotency-Key": key})
            return forms.layers_of(answer.get("layers"))

    def describe(self) -> Mapping[str, Any]:
        """What the agent's target says of itself, with its name and the versions of its packages. JSON."""
        told = self.client.told
        return {**told["describe"], "runtime": self.name, "served": told["name"], "versions": told["versions"]}

    def snippet(self, file: str, input_shape: Sequence[int] | None, normalize: Normalize | None) -> str:
        """What the agent's target says; it runs where its runtime is installed."""
        shape = None if input_shape is None else list(map(int, input_shape))
        scale = None if normalize is None else [list(map(float, part)) for part in normalize]
        return str(self.client.done("/snippet", {"file": file, "input_shape": shape, "normalize": scale})["snippet"])

    def findings(self) -> tuple[Finding, ...]:
        """What the agent's target says of its machine, or why it cannot be asked."""
        if self.options is None:
            return (Finding(self.name, True, "devices elsewhere: `moco doctor --url URL` looks at one"),)
        try:
            self.connect()
            told = self.client.told
            found = forms.findings_of(told["findings"])
        except MocoError as error:
            return (Finding(self.name, False, str(error), "run `moco serve` on the device, with the same MOCO_TOKEN"),)
        detail = f"{self.client.connection.shown} serves {told['name']}, moco {moco_of(told)}"
        return (Finding(self.name, True, detail), *found)

    def logits(self, artifact: Artifact, images: np.ndarray) -> np.ndarray:
        """Logits of float32 images, computed on the device; errors as `RemoteSession.run`."""
        content = np.ascontiguousarray(images, "<f4").tobytes()
        held = hashlib.sha256(content).hexdigest()
        body = {"file": artifact.sha256, "images": held, "shape": list(images.shape)}
        reply = self.client.answered("/run", body, {artifact.sha256: artifact, held: content}, {})
        if "moco-shape" not in reply.headers:
            refuse_failed(json_of(reply), str(artifact.path))
        shape = tuple(map(int, reply.headers["moco-shape"].split(",")))
        return np.frombuffer(reply.body, "<f4").reshape(shape).astype(np.float32)

    @contextmanager
    def _key_of(self, body: Mapping[str, Any]) -> Iterator[str]:
        """The key by which the device is asked for that measurement, also by a client that was killed meanwhile.

        Who interrupts the block does not want it any more: it is ended on the device.
        """
        request = _digest({"agent": self.client.connection.shown, "device": self.client.told["device"], **body})
        with pending.key_of(request) as key:
            try:
                yield key
            except KeyboardInterrupt:
                self.client.cancel(key)
                pending.forget(request)
                raise


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
