"""A target that may go away: what it was asked for is asked again, with pauses, before it is given up as lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np

from moco.errors import DeviceLostError, MocoError, in_one_line
from moco.interfaces import Artifact, Capabilities, Finding, LayerTime, Normalize, Session, Target
from moco.measurement import Measurement, TimingPlan

WAITS_S = (1.0, 4.0, 15.0, 40.0)
"""Before each further try: a minute in all, for a board that restarts or a cable that is put back."""

Result = TypeVar("Result")


class RetryingTarget:
    """Another target, asked again where its device is lost (`moco.interfaces.Target`); it raises what that raises.

    A device that comes back has forgotten what was open on it, so sessions open their file again. A DeviceLostError
    means that it did not come back in time.
    """

    def __init__(self, target: Target, sleep: Callable[[float], None] = time.sleep) -> None:
        """Wrap a target; `sleep` waits so many seconds."""
        self.target, self.name, self.distributions = target, target.name, target.distributions
        self.capabilities: Capabilities = target.capabilities
        self._sleep = sleep

    def connect(self) -> None:
        """Reach the device, and take over what it then can; a ConfigError or DeviceLostError where that fails."""
        self.retry(self.target.connect)
        self.capabilities = self.target.capabilities

    def prepare(self, artifact: Artifact) -> Artifact:
        """The target's own file of an ONNX file; the file itself where the target takes it as it is."""
        make = getattr(self.target, "prepare", None)
        made: Artifact = artifact if make is None else make(artifact)
        return made

    def load(self, artifact: Artifact) -> RetryingSession:
        """Open the file; its session stands for whatever the device has open of it."""
        return RetryingSession(self, artifact, self.retry(lambda: self.target.load(artifact)))

    def measure(self, sessions: Sequence[Session], plan: TimingPlan) -> Measurement:
        """As the target's; where the device is lost, all files are opened anew and the measurement begins again."""
        mine = [session for session in sessions if isinstance(session, RetryingSession)]

        def reopen() -> None:
            for session in dict.fromkeys(mine):
                session.reopen()

        return self.retry(lambda: self.target.measure([_inner(session) for session in sessions], plan), reopen)

    def layer_times(self, artifact: Artifact, batch: int, calls: int) -> Sequence[LayerTime] | None:
        """As the target's; None where it has none to give."""
        ask = getattr(self.target, "layer_times", None)
        return None if ask is None else self.retry(lambda: ask(artifact, batch, calls))

    def describe(self) -> Mapping[str, Any]:
        """As the target's."""
        return self.retry(self.target.describe)

    def snippet(self, file: str, input_shape: Sequence[int] | None, normalize: Normalize | None) -> str:
        """As the target's."""
        return self.retry(lambda: self.target.snippet(file, input_shape, normalize))

    def findings(self) -> tuple[Finding, ...]:
        """As the target's."""
        return self.target.findings()

    def retry(self, ask: Callable[[], Result], again: Callable[[], object] = lambda: None) -> Result:
        """Ask it of the target, and again where the device is lost; `again` is done before each further try.

        A DeviceLostError where it is still lost after the last try.
        """

        def once_more() -> Result:
            again()
            return ask()

        attempt = ask
        for wait_s in WAITS_S:
            try:
                return attempt()
            except (DeviceLostError, OSError):  # what the runtime says of a file is a MeasurementError
                self._sleep(wait_s)
                attempt = once_more
        try:
            return attempt()
        except (DeviceLostError, OSError) as error:
            cause = str(error) if isinstance(error, MocoError) else in_one_line(error)
            raise DeviceLostError(
                f"target '{self.name}': the device is gone: {' '.join(cause.split())} ({1 + len(WAITS_S)} tries "
                f"in {sum(WAITS_S):g} s)"
            ) from error


class RetryingSession:
    """A file on a device that may go away."""

    def __init__(self, owner: RetryingTarget, artifact: Artifact, opened: Session) -> None:
        """Stand for what is open on the device; `opened` is that."""
        self.artifact, self.opened, self.input_shape = artifact, opened, opened.input_shape
        self._owner, self._closed = owner, False

    def run(self, images: np.ndarray) -> np.ndarray:
        """As the session's; where the device is lost, the file is opened anew and the images run again."""
        return self._owner.retry(lambda: self.opened.run(images), self.reopen)

    def reopen(self) -> None:
        """Open the file again."""
        self.close()
        self.opened = self._owner.target.load(self.artifact)
        self._closed = False

    def close(self) -> None:
        """Close what is open, if the device is still there."""
        if self._closed:
            return
        self._closed = True
        with suppress(DeviceLostError, OSError):  # with the device, what was open on it is gone
            getattr(self.opened, "close", lambda: None)()  # a target written before sessions were closed


def _inner(session: Session) -> Session:
    return session.opened if isinstance(session, RetryingSession) else session
