"""A device that goes away is waited for, its files are opened anew, and only then is it lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from moco.errors import DeviceLostError, MeasurementError
from moco.execution.retrying_target import WAITS_S, RetryingTarget
from moco.hardware.measuring.probe_model import artifact, conv_stack, write
from moco.interfaces import Artifact
from moco.measurement import TimingPlan
from tests.hardware.unsteady import Device, UnsteadyTarget

PLAN = TimingPlan(seconds=0.01, slot_ms=1.0)
IMAGES = np.zeros((2, 3, 8, 8), np.float32)


class Waits(list[float]):
    """Remembers for how long it was asked to sleep."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    found = Device()
    monkeypatch.setattr(UnsteadyTarget, "device", found)
    return found


@pytest.fixture
def small(tmp_path: Path) -> Artifact:
    return write(conv_stack(layers=2, width=4, image=(3, 8, 8)), tmp_path / "small.onnx")


def lost(**left: int) -> Device:
    UnsteadyTarget.device.left = left
    return UnsteadyTarget.device


def test_the_waits_add_up_to_a_minute() -> None:
    assert sum(WAITS_S) == 60
    assert sorted(WAITS_S) == list(WAITS_S)


@pytest.mark.parametrize("error", [DeviceLostError("gone"), ConnectionResetError("gone"), TimeoutError("gone")])
def test_a_device_that_is_back_in_time_costs_nothing_but_the_wait(
    device: Device, small: Artifact, error: Exception
) -> None:
    waits = Waits()
    target = RetryingTarget(UnsteadyTarget(), sleep=waits)
    session, other = target.load(small), target.load(small)
    expected = session.run(IMAGES)
    device.error = error
    for kind in ("load", "run", "measure"):
        device.refused, device.back_after = 0, 2
        lost(**{kind: 0})
        if kind == "load":
            target.load(small).close()
        elif kind == "run":
            np.testing.assert_array_equal(session.run(IMAGES), expected)
        else:
            assert len(target.measure([other, session, session], PLAN).samples_ms) == 3
    assert waits == [*WAITS_S[:2]] * 3
    session.close()
    other.close()
    assert device.opened == device.closed


@pytest.mark.parametrize("kind", ["load", "run", "measure"])
def test_a_device_that_stays_away_is_lost(device: Device, small: Artifact, kind: str) -> None:
    waits = Waits()
    target = RetryingTarget(UnsteadyTarget(), sleep=waits)
    session = target.load(small)
    lost(**{kind: 0, "load": 0})
    calls = {"load": lambda: target.load(small), "run": lambda: session.run(IMAGES)}
    with pytest.raises(DeviceLostError) as caught:
        calls.get(kind, lambda: target.measure([session], PLAN))()
    assert str(caught.value) == ("target 'unsteady': the device is gone: no answer from the board (5 tries in 60 s)")
    assert tuple(waits) == WAITS_S
    session.close()
    session.close()


def test_what_the_runtime_says_of_a_file_is_not_asked_twice(device: Device, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a network")
    waits = Waits()
    with pytest.raises(MeasurementError, match=r"broken\.onnx"):
        RetryingTarget(UnsteadyTarget(), sleep=waits).load(artifact(tmp_path / "broken.onnx"))
    assert waits == []


def test_a_target_without_close_is_taken(device: Device, small: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("tests.hardware.unsteady.UnsteadySession.close")
    RetryingTarget(UnsteadyTarget()).load(small).close()
