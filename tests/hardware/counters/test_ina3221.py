from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moco.errors import MeasurementError
from moco.hardware.counters.ina3221 import INA3221Counter


def rail(root: Path, channel: int, name: str, millivolts: int = 5000, milliamperes: int = 400) -> Path:
    """A channel of a monitor, as the kernel's driver shows it."""
    folder = root / "1-0040" / "hwmon" / "hwmon3"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"in{channel}_label").write_text(f"{name}\n")
    (folder / f"in{channel}_input").write_text(f"{millivolts}\n")
    (folder / f"curr{channel}_input").write_text(f"{milliamperes}\n")
    return folder


def counter(root: Path, **options: Any) -> INA3221Counter:
    return INA3221Counter(INA3221Counter.Options(root=str(root), **options))


def test_a_machine_without_one_says_so(tmp_path: Path) -> None:
    assert counter(tmp_path).available() == "no INA3221 power monitor (Jetson boards have one)"
    with pytest.raises(MeasurementError, match="no INA3221 power monitor"):
        counter(tmp_path).joules()


def test_the_boards_input_is_read_and_its_parts_are_not_counted_twice(tmp_path: Path) -> None:
    rail(tmp_path, 1, "VDD_IN")
    rail(tmp_path, 2, "VDD_CPU_GPU_CV")
    rail(tmp_path, 3, "NC")
    found = counter(tmp_path)
    assert found.available() == ""
    assert found.describe() == {"counter": "ina3221", "rails": ["VDD_IN"]}


def test_power_times_time_is_the_energy(tmp_path: Path) -> None:
    """2 W on the one rail and 0.6 W on the other, by a clock of its own."""
    rail(tmp_path, 1, "VDD_GPU_SOC")
    rail(tmp_path, 2, "VDD_CPU_CV", 3000, 200)
    found = counter(tmp_path, rails=("VDD_GPU_SOC", "VDD_CPU_CV"))
    integral, seconds = found._integral, iter([0.0, 10.0])
    integral._interval_s, integral._clock = 3600.0, lambda: next(seconds)
    assert integral.joules() == 0.0
    assert integral.joules() == pytest.approx(26.0)


def test_rails_that_are_not_known_to_carry_all_must_be_named(tmp_path: Path) -> None:
    rail(tmp_path, 1, "VDD_GPU_SOC")
    assert counter(tmp_path).available() == ("rails: none of VDD_GPU_SOC is known to carry the whole board: name them")
    assert "did you mean 'VDD_GPU_SOC'" in counter(tmp_path, rails=("VDD_GPU",)).available()
    assert "at least one rail" in counter(tmp_path, rails=()).available()


def test_a_rail_that_cannot_be_read_is_no_zero(tmp_path: Path) -> None:
    folder = rail(tmp_path, 1, "VDD_IN")
    found = counter(tmp_path)
    found.joules()
    (folder / "curr1_input").unlink()
    with pytest.raises(MeasurementError, match="cannot be read"):
        found.joules()
    (folder / "in1_input").write_text("garbage")
    assert counter(tmp_path).available() == "an INA3221 power monitor, not readable by this user"
