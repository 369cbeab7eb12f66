from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import pytest

from moco.errors import ConfigError, MeasurementError
from moco.hardware.counters import nvml
from moco.hardware.counters.nvml import NVMLCounter


class NVMLError(Exception):
    """As the binding's own."""


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module that answers as NVIDIA's binding does, for one GPU; its readings may be set."""
    module: Any = ModuleType("pynvml")
    module.__spec__, module.NVMLError, module.mj = ModuleSpec("pynvml", None), NVMLError, [5_000]

    def reading(handle: int) -> int:
        assert handle == 7
        found = module.mj.pop(0) if len(module.mj) > 1 else module.mj[0]
        if isinstance(found, Exception):
            raise found
        return int(found)

    def handle(index: int) -> int:
        if index:
            raise NVMLError("Invalid Argument")
        return 7

    module.nvmlInit = lambda: None
    module.nvmlDeviceGetHandleByIndex = handle
    module.nvmlDeviceGetTotalEnergyConsumption = reading
    module.nvmlDeviceGetName = lambda handle: "GPU of a test"
    monkeypatch.setitem(sys.modules, "pynvml", module)
    return module


def test_millijoules_since_the_first_reading_are_joules(gpu: Any) -> None:
    gpu.mj = [5_000, 5_000, 7_500, 11_000]
    counter = NVMLCounter()
    assert counter.available() == ""
    assert [counter.joules() for _ in range(3)] == [0.0, 2.5, 6.0]
    assert counter.describe() == {"counter": "nvml", "device": 0, "gpu": "GPU of a test"}


def test_a_gpu_that_is_not_there_or_has_no_counter_is_told(gpu: Any) -> None:
    assert NVMLCounter(NVMLCounter.Options(device=1)).available() == "NVML: Invalid Argument"
    gpu.mj = [NVMLError("Not\nSupported")]
    assert NVMLCounter().available() == "NVML: Not Supported"
    with pytest.raises(MeasurementError, match="cannot be read"):
        NVMLCounter().joules()


def test_a_counter_that_goes_backwards_is_no_energy(gpu: Any) -> None:
    gpu.mj = [5_000, 10]
    counter = NVMLCounter()
    counter.joules()
    with pytest.raises(MeasurementError, match="went backwards"):
        counter.joules()


def test_without_its_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "installed", lambda package: False)
    assert NVMLCounter().available() == "NVML's package is not installed (pip install 'moco[nvml]')"
    with pytest.raises(MeasurementError, match=r"moco\[nvml\]"):
        NVMLCounter().joules()


def test_a_device_below_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 0, got -1"):
        NVMLCounter.Options(device=-1)
