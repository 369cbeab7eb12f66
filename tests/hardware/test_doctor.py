from __future__ import annotations

import sys
from pathlib import Path

import pytest

from moco.hardware import doctor
from moco.hardware.counters import rapl
from moco.hardware.doctor import probe
from moco.hardware.onnxruntime import ONNXRuntimeTarget
from moco.hardware.packages import PACKAGES
from moco.interfaces import Finding
from moco.measurement import Measurement
from tests.hardware.powercap import zone


@pytest.fixture(scope="module")
def findings() -> dict[str, Finding]:
    return {finding.name: finding for finding in probe(packages=PACKAGES[2:4])}


@pytest.mark.slow
def test_everything_that_a_search_depends_on_is_looked_for(findings: dict[str, Finding]) -> None:
    looked_for = {"processor", "int8", "load", "clock", "onnxruntime", "timing", "energy", "disk", "browser", "onnx"}
    assert looked_for <= set(findings)


@pytest.mark.slow
def test_every_lack_has_an_advice_and_every_finding_a_detail(findings: dict[str, Finding]) -> None:
    assert [f.name for f in findings.values() if not f.detail or (not f.ok and not f.advice)] == []


@pytest.mark.slow
def test_the_runtime_tells_its_precisions_and_metrics(findings: dict[str, Finding]) -> None:
    assert findings["onnxruntime"].ok
    assert "int8 (widths: multiples of 4)" in findings["onnxruntime"].detail
    assert "latency_ms" in findings["onnxruntime"].detail


@pytest.mark.slow
def test_timing_is_a_file_against_itself(findings: dict[str, Finding]) -> None:
    assert findings["timing"].detail.startswith("a file against itself: ")


@pytest.mark.parametrize("warnings", [(), ("the process had a core 43% of the time only: others compete",)])
def test_a_timing_that_is_doubted_is_not_ok(monkeypatch: pytest.MonkeyPatch, warnings: tuple[str, ...]) -> None:
    slots = tuple(1 + 0.001 * (n % 3) for n in range(20))
    measured = Measurement(doctor.AA_PLAN, (slots, slots), warnings=warnings)
    monkeypatch.setattr(ONNXRuntimeTarget, "measure", lambda *_: measured)
    finding = doctor._timing()
    assert finding.ok is not bool(warnings)
    assert (finding.detail.partition("; ")[2], bool(finding.advice)) == ("; ".join(warnings), bool(warnings))


@pytest.mark.slow
def test_energy_is_absent_and_its_advice_names_the_metrics(findings: dict[str, Finding]) -> None:
    assert not findings["energy"].ok
    assert "energy_j" in findings["energy"].advice


@pytest.mark.slow
def test_a_counter_that_can_be_read_is_told_with_the_way_to_name_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(rapl, "POWERCAP", tmp_path)
    monkeypatch.setattr(doctor, "AA_PLAN", doctor.TimingPlan(seconds=0.01))
    zone(tmp_path / "intel-rapl:0", "package-0")
    energy = next(finding for finding in probe(packages=()) if finding.name == "energy")
    assert energy.ok
    assert "`target.counters: ['rapl']`" in energy.detail


@pytest.mark.slow
def test_a_counter_that_cannot_be_read_is_told_but_not_claimed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(rapl, "POWERCAP", tmp_path)
    monkeypatch.setattr(doctor, "AA_PLAN", doctor.TimingPlan(seconds=0.01))
    (zone(tmp_path / "intel-rapl:0", "package-0") / "energy_uj").unlink()
    energy = next(finding for finding in probe(packages=()) if finding.name == "energy")
    assert "1 RAPL counters, not readable by this user" in energy.detail
    assert not energy.ok


@pytest.mark.slow
def test_a_runtime_that_cannot_be_imported_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moco.hardware.onnxruntime", None)
    found = {finding.name: finding for finding in probe(packages=())}
    assert not found["onnxruntime"].ok
    assert not found["timing"].ok


@pytest.mark.parametrize(
    ("runtime", "package"), [("openvino", "openvino"), ("litert", "ai_edge_litert"), ("tvm", "tvm")]
)
def test_a_runtime_that_is_not_installed_names_its_extra(
    runtime: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "installed", lambda package: False)
    (found,) = doctor._of_target(runtime, f"cannot be imported: ModuleNotFoundError: No module named '{package}'")
    assert (found.ok, found.detail) == (False, "not installed: needed for the target")
    assert found.advice == f"pip install 'moco[{runtime}]'"
