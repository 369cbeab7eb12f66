from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from moco.errors import ConfigError, MeasurementError
from moco.hardware.counters import tegrastats
from moco.hardware.counters.tegrastats import TegrastatsCounter, TegrastatsOptions, rails_of

AGX_ORIN = (
    "10-22-2022 03:36:00 RAM 2448/30536MB (lfb 1x4MB) SWAP 0/15268MB (cached 0MB) CPU [1%@729,0%@729,off,off] "
    "EMC_FREQ 0%@2133 GR3D_FREQ 0%@[0,0] VIC_FREQ 729 APE 174 CV0@-256C CPU@47.968C GPU@43.8C tj@47.968C "
    "VDD_GPU_SOC 2375mW/2380mW VDD_CPU_CV 0mW/23mW VIN_SYS_5V0 2920mW/2920mW VDDQ_VDD2_1V8AO 505mW/505mW"
)
ORIN_NANO = "RAM 1/2MB GR3D_FREQ 43%@[1300] cpu@50C VDD_IN 4500mW/4400mW VDD_CPU_GPU_CV 700mW VDD_SOC 1300mW/1250mW"
WITHOUT_ROOT = "RAM 2448/30536MB (lfb 1x4MB) CPU [1%@729] EMC_FREQ 0% GR3D_FREQ 0% tj@47.968C"


def test_a_line_tells_watts_by_rail() -> None:
    assert rails_of(AGX_ORIN) == {
        "VDD_GPU_SOC": 2.375,
        "VDD_CPU_CV": 0.0,
        "VIN_SYS_5V0": 2.92,
        "VDDQ_VDD2_1V8AO": 0.505,
    }
    assert rails_of(ORIN_NANO) == {"VDD_IN": 4.5, "VDD_CPU_GPU_CV": 0.7, "VDD_SOC": 1.3}
    assert rails_of(WITHOUT_ROOT) == rails_of("") == {}


def program(folder: Path, *lines: str, then: str = "time.sleep(60)") -> str:
    """A program that prints these lines, one each tenth of a second, and then hangs or ends."""
    path = folder / "tegrastats"
    path.write_text(
        f"#!{sys.executable}\nimport time\nfor line in {lines!r}:\n    print(line, flush=True)\n    time.sleep(0.1)\n"
        f"{then}\n"
    )
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def counter(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TegrastatsCounter]:
    lines, rails, then = request.param
    monkeypatch.setattr(tegrastats, "PROGRAM", program(tmp_path, *lines, then=then))
    with closing(TegrastatsCounter(TegrastatsOptions(10, rails))) as found:
        yield found


@pytest.mark.parametrize("counter", [((ORIN_NANO,) * 40, None, "")], indirect=True)
def test_the_boards_input_is_summed_up_over_time(counter: TegrastatsCounter) -> None:
    assert counter.available() == ""
    assert counter.describe() == {"counter": "tegrastats", "interval_ms": 10, "rails": ["VDD_IN"]}
    counter.joules()
    start_j, start_s = counter.joules(), time.monotonic()
    time.sleep(0.2)
    joules, seconds = counter.joules() - start_j, time.monotonic() - start_s
    assert joules == pytest.approx(4.5 * seconds, rel=0.05)


@pytest.mark.parametrize(
    ("counter", "reason"),
    [
        (((AGX_ORIN,), None, "time.sleep(60)"), "is known to carry the whole board: name them"),
        (((AGX_ORIN,), ("VDD_GPU",), "time.sleep(60)"), "did you mean 'VDD_GPU_SOC'"),
        (((), None, ""), "tegrastats has ended"),
    ],
    indirect=["counter"],
)
def test_what_cannot_be_read_is_told_and_no_zero(counter: TegrastatsCounter, reason: str) -> None:
    assert reason in counter.available()
    with pytest.raises(MeasurementError) as refused:
        counter.joules()
    assert reason in str(refused.value)


@pytest.mark.parametrize("counter", [((AGX_ORIN, WITHOUT_ROOT), ("VDD_GPU_SOC",), "time.sleep(60)")], indirect=True)
def test_a_rail_that_goes_away_is_no_zero(counter: TegrastatsCounter) -> None:
    counter.joules()
    while counter._stream.rails():
        time.sleep(0.01)
    with pytest.raises(MeasurementError, match="no longer tells of VDD_GPU_SOC"):
        counter.joules()


def test_a_machine_without_the_program_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tegrastats, "PROGRAM", "no-such-tegrastats")
    assert TegrastatsCounter().available() == "no tegrastats (Jetson boards have it)"
    with pytest.raises(ConfigError, match="interval_ms of at least 1"):
        TegrastatsOptions(interval_ms=0)
