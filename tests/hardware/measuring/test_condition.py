from __future__ import annotations

from pathlib import Path

import pytest

from moco.hardware.doctor import condition_finding
from moco.hardware.measuring.condition import Condition, condition

NOTHING = Condition(None, None, None)


def machine(root: Path, governor: str = "powersave", khz: tuple[str, ...] = (), milli_c: tuple[str, ...] = ()) -> Path:
    for core, speed in enumerate(khz):
        folder = root / f"devices/system/cpu/cpu{core}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_cur_freq").write_text(f"{speed}\n", encoding="utf-8")
        (folder / "scaling_governor").write_text(f"{governor}\n", encoding="utf-8")
    for zone, warmth in enumerate(milli_c):
        folder = root / f"class/thermal/thermal_zone{zone}"
        folder.mkdir(parents=True)
        (folder / "temp").write_text(f"{warmth}\n", encoding="utf-8")
    return root


def test_the_fastest_core_and_the_warmest_zone_count(tmp_path: Path) -> None:
    root = machine(tmp_path, khz=("800000", "3400000"), milli_c=("41000", "67500"))
    assert condition(root) == Condition("powersave", 3400.0, 67.5)


def test_what_a_machine_does_not_tell_is_none(tmp_path: Path) -> None:
    assert condition(tmp_path) == NOTHING


def test_a_sensor_that_is_off_or_broken_is_left_out(tmp_path: Path) -> None:
    root = machine(tmp_path, khz=("",), milli_c=("0", "-274000", "hot"))
    assert condition(root) == Condition("powersave", None, None)


@pytest.mark.parametrize(
    ("before", "after", "share"),
    [
        (3000.0, 2000.0, 2 / 3),
        (3000.0, 2750.0, None),
        (3000.0, 3400.0, None),
        (None, 2000.0, None),
        (3000.0, None, None),
    ],
)
def test_a_clock_that_fell_is_told(before: float | None, after: float | None, share: float | None) -> None:
    assert Condition(None, before, None).slowed_to(Condition(None, after, None)) == share


def test_doctor_advises_a_steady_governor() -> None:
    unsteady = condition_finding(Condition("powersave", 3400.0, 67.5))
    assert not unsteady.ok
    assert unsteady.detail == "governor 'powersave', 3400 MHz, 67.5 °C"
    assert "performance" in unsteady.advice
    assert condition_finding(Condition("performance", 3400.0, 67.5)).ok
    assert condition_finding(NOTHING).ok
