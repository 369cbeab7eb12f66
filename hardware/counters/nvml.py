"""NVML: the energy counters of NVIDIA's data-centre GPUs (Volta and later), in millijoules since the driver was loaded.

The library is NVIDIA's own binding (`nvidia-ml-py`). The counter moves some ten to fifty times a second. Not tried on a
GPU; tests have a module that answers as it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from moco.errors import ConfigError, MeasurementError
from moco.optional import installed


@dataclass(frozen=True)
class NVMLOptions:
    """Which GPU."""

    device: int = 0  # its index

    def __post_init__(self) -> None:
        if self.device < 0:
            raise ConfigError(f"nvml: expected a device of at least 0, got {self.device}")


class NVMLCounter:
    """One GPU."""

    Options = NVMLOptions
    name = "nvml"
    part = "GPU"
    tick_s = 0.1

    def __init__(self, options: NVMLOptions | None = None) -> None:
        """Choose the GPU; nothing is read yet."""
        self._options = options or NVMLOptions()
        self._first_mj: int | None = None

    def available(self) -> str:
        """Empty where the GPU's energy can be read here; else why not."""
        if not installed("pynvml"):
            return "NVML's package is not installed (pip install 'moco[nvml]')"
        try:
            self._reading_mj()
        except self._pynvml.NVMLError as error:
            return f"NVML: {' '.join(str(error).split())}"
        return ""

    def joules(self) -> float:
        """Energy since the first reading; a MeasurementError where it cannot be read, or has gone backwards."""
        if not installed("pynvml"):
            raise MeasurementError("NVML's package is not installed: pip install 'moco[nvml]'")
        try:
            now_mj = self._reading_mj()
        except self._pynvml.NVMLError as error:
            raise MeasurementError(f"NVML: GPU {self._options.device} cannot be read: {error}") from error
        first_mj = self._first_mj = now_mj if self._first_mj is None else self._first_mj
        if now_mj < first_mj:
            raise MeasurementError(f"NVML: the counter of GPU {self._options.device} went backwards: driver reloaded?")
        return (now_mj - first_mj) / 1000

    def describe(self) -> Mapping[str, Any]:
        """The GPU's index and name."""
        name = self._pynvml.nvmlDeviceGetName(self._handle)
        return {"counter": self.name, "device": self._options.device, "gpu": str(name)}

    def _reading_mj(self) -> int:
        return int(self._pynvml.nvmlDeviceGetTotalEnergyConsumption(self._handle))

    @cached_property
    def _pynvml(self) -> Any:
        import pynvml

        return pynvml

    @cached_property
    def _handle(self) -> Any:
        self._pynvml.nvmlInit()
        return self._pynvml.nvmlDeviceGetHandleByIndex(self._options.device)
