"""The examples of docs/adding_a_target.md and adding_a_counter.md as pasted: installed, in the suite, in a search."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from moco.hardware import doctor
from moco.hardware.measuring.probe_model import conv_stack
from moco.hardware.measuring.probe_model import write as write_model
from moco.hardware.onnxruntime import ONNXRuntimeTarget
from moco.measurement import ENERGY, POWER, TimingPlan
from tests.app.tiny import moco, one_line, read, write
from tests.import_rules import ROOT


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of that language."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [part.split("```")[0] for part in text.split(f"```{language}\n")[1:]]


def installed(page: str, folder: Path) -> Path:
    """A folder for the path of Python in which the page's example is installed, by its own entry point."""
    [code], [toml] = blocks(page, "python"), blocks(page, "toml")
    [(group, points)] = tomllib.loads(toml)["project"]["entry-points"].items()
    [(name, place)] = points.items()
    (folder / f"{place.partition(':')[0]}.py").write_text(code, encoding="utf-8")
    about = folder / f"{name}_example-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-example\nVersion: 1.0\n", encoding="utf-8")
    (about / "entry_points.txt").write_text(f"[{group}]\n{name} = {place}\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("packages")
    for page in ("adding_a_target.md", "adding_a_counter.md"):
        installed(page, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield folder
    for module in ("numpy_target", "hwmon_counter"):
        sys.modules.pop(module, None)


def test_the_target_passes_the_suite_of_targets(packages: Path) -> None:
    paths = os.pathsep.join([str(packages), str(ROOT), os.environ.get("PYTHONPATH", "")])
    suite = ["-p", "no:cacheprovider", "-v", "-k", "numpy", "tests/hardware/test_target_contract.py"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *suite],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 20


@pytest.fixture(scope="module")
def run(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("numpy")
    experiment = write(
        folder / "e.yaml",
        data={"splits": {"calibration": 8, "search": 20, "certification": 40}},
        space={"quantization": None},
        target={"runtime": "numpy", "threads": None, "verbose": 0},
        objective={"floor": "-60 pp", "weights": {"latency_ms": 1, "size_mb": 1}},
        budget={"trials": 1},
    )
    done = moco("search", experiment, "--out", folder / "run")
    assert done.exit_code in {0, 3}, done.output
    return folder / "run"


def test_a_search_on_the_target_delivers_with_its_own_snippet(run: Path) -> None:
    card = (run / "best" / "card.md").read_text(encoding="utf-8")
    page = (run / "report.html").read_text(encoding="utf-8")
    code = card.split("```python\n")[1].split("```")[0]

    assert 'ReferenceEvaluator("model.onnx")' in code
    assert "ReferenceEvaluator(&quot;best/model.onnx&quot;)" in page or 'ReferenceEvaluator("best/model.onnx")' in page
    subprocess.run([sys.executable, "-c", code], cwd=run / "best", check=True, timeout=120)
    # ONNX Runtime calibrates, so its version is among those that the bytes depend on; nothing else may name it.
    named = [line.split(":")[0] for line in card.splitlines() if re.search("onnx ?runtime", line, re.IGNORECASE)]
    assert named == ["- Versions"]
    assert "InferenceSession" not in page


def test_what_the_search_says_of_its_target_is_the_targets(run: Path) -> None:
    manifest = read(run / "manifest.json")
    assert manifest["hardware"]["runtime"] == "numpy"
    assert list(manifest["config"]["target"]) == ["runtime", "verbose", "timing"]
    assert {"onnx", "numpy"} <= set(manifest["versions"])


def test_a_report_is_written_where_the_target_is_no_longer_installed(
    run: Path, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(packages)])
    assert moco("report", run).exit_code == 0
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "best/card.md tells how to run it." in page
    assert "InferenceSession" not in page


def test_the_doctor_asks_every_target_and_counter(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "AA_PLAN", TimingPlan(seconds=0.01))
    found = doctor.probe()
    names = [finding.name for finding in found]
    assert names.index("onnxruntime") < names.index("numpy") < names.index("timing")
    assert "no power sensor under /sys/class/hwmon" in next(f.detail for f in found if f.name == "energy")


def test_options_of_the_target_are_its_own(packages: Path, tmp_path: Path) -> None:
    experiment = write(tmp_path / "e.yaml", target={"runtime": "numpy", "verbose": 0})
    assert one_line(moco("search", experiment), 2) == "target.threads: unknown key; valid: counters, verbose"


def test_a_target_of_an_older_contract_is_refused_with_what_it_lacks(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from numpy_target import NumpyTarget  # type: ignore[import-not-found]

    monkeypatch.delattr(NumpyTarget, "snippet")
    monkeypatch.delattr(NumpyTarget, "connect")
    experiment = write(tmp_path / "e.yaml", target={"runtime": "numpy", "threads": None}, space={"quantization": None})
    line = one_line(moco("search", experiment, "--out", tmp_path / "run"), 2)
    assert line.startswith("target.runtime: 'numpy' lacks connect, snippet")


def test_the_counter_meters_a_constant_power(packages: Path, tmp_path: Path) -> None:
    sensor = tmp_path / "hwmon0" / "power1_input"
    sensor.parent.mkdir()
    sensor.write_text("20000000\n")
    choice = {"name": "hwmon", "root": str(tmp_path), "tick_s": 0.0001}
    target = ONNXRuntimeTarget(ONNXRuntimeTarget.Options(counters=(choice,)))
    target.connect()
    session = target.load(write_model(conv_stack(2, 4, (3, 8, 8)), tmp_path / "small.onnx"))
    plan = TimingPlan(seconds=0.0, slot_ms=5.0, min_slots=8, series=(ENERGY, POWER))

    measurement = target.measure([session, session], plan)

    assert measurement.counted[POWER][0] == pytest.approx([20.0] * 8, rel=0.2)
    sensor.unlink()
    assert target.counters[0].available() == f"no power sensor under {tmp_path}"
