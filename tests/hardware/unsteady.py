"""ONNX Runtime on a device that goes away after some loads or measurements, and that counts what is open on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from moco.errors import DeviceLostError, MeasurementError
from moco.hardware.onnxruntime import ONNXRuntimeOptions, ONNXRuntimeSession, ONNXRuntimeTarget
from moco.interfaces import Artifact
from moco.measurement import Measurement, TimingPlan


class Device:
    """What all targets of a test share: one device.

    Attributes:
        left: how many more calls of a kind (`load`, `run`, `measure`) it takes before it goes away; absent is no limit.
        back_after: how many calls it then refuses before it is back; None keeps it away.
        error: what a refused call raises.
        open: sessions that are open on it; they do not outlive its going away.
    """

    def __init__(self) -> None:
        self.left: dict[str, int] = {}
        self.back_after: int | None = None
        self.error: Exception = DeviceLostError("no answer from the board")
        self.opened = self.closed = self.refused = self.boots = 0

    def call(self, kind: str) -> None:
        """One call of that kind; raises where the device is away."""
        if self.left.get(kind, 1) > 0:
            if kind in self.left:
                self.left[kind] -= 1
            return
        self.refused += 1
        self.boots += 1
        if self.back_after is not None and self.refused >= self.back_after:
            self.left = {}
        raise self.error


class UnsteadySession:
    """A file that is open until the device goes away."""

    def __init__(self, device: Device, session: ONNXRuntimeSession) -> None:
        self.device, self.session, self.boot = device, session, device.boots
        self.artifact, self.input_shape = session.artifact, session.input_shape
        self.is_open = True
        device.opened += 1

    def run(self, images: np.ndarray) -> np.ndarray:
        self.device.call("run")
        self.check()
        return self.session.run(images)

    def check(self) -> None:
        if self.boot != self.device.boots:
            raise ConnectionResetError("this session was open before the device went away")

    def close(self) -> None:
        self.device.closed += self.is_open
        self.is_open = False
        self.session.close()


class UnsteadyTarget:
    """ONNX Runtime's target on that device."""

    Options = ONNXRuntimeOptions
    name = "unsteady"
    device = Device()

    def __init__(self, options: ONNXRuntimeOptions | None = None) -> None:
        self.inner = ONNXRuntimeTarget(options)
        self.capabilities, self.distributions = self.inner.capabilities, self.inner.distributions
        self.snippet, self.findings, self.connect = self.inner.snippet, self.inner.findings, self.inner.connect

    def load(self, artifact: Artifact) -> UnsteadySession:
        self.device.call("load")
        return UnsteadySession(self.device, self.inner.load(artifact))

    def measure(self, sessions: Sequence[UnsteadySession], plan: TimingPlan) -> Measurement:
        self.device.call("measure")
        for session in sessions:
            session.check()
            if not session.is_open:
                raise MeasurementError("a closed session was timed")
        return self.inner.measure([session.session for session in sessions], plan)

    def describe(self) -> Mapping[str, Any]:
        return {**self.inner.describe(), "runtime": self.name}
