"""Control flow of the target, on a fake of TensorRT's module: nothing here was run on TensorRT or on a device."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from moco.errors import ConfigError, MeasurementError
from moco.hardware import doctor
from moco.hardware.measuring.probe_model import conv_stack, write
from moco.hardware.onnxruntime import ONNXRuntimeTarget
from moco.hardware.packages import import_faults
from moco.interfaces import Artifact
from moco.measurement import TimingPlan
from moco.optional import installed
from moco.registry import plugin
from tests.hardware import fake_tensorrt

IMAGE = (3, 8, 8)
MODULES = ("moco.hardware.tensorrt", "moco.hardware.tensorrt_engine")


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The target's module on the fake, with the processor's memory for a device's."""
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt.module())
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "device of a test")
    monkeypatch.setattr(torch.cuda, "Stream", lambda: SimpleNamespace(cuda_stream=0, synchronize=lambda: None))
    monkeypatch.setattr(fake_tensorrt.Builder, "made", [])
    module = import_module(MODULES[0])
    monkeypatch.setattr(import_module(MODULES[1]), "DEVICE", "cpu")
    yield module
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    return write(conv_stack(layers=1, width=4, image=IMAGE), tmp_path / "net.onnx")


def images(n: int) -> np.ndarray:
    return np.random.default_rng(n).standard_normal((n, *IMAGE), dtype=np.float32)


@pytest.mark.parametrize("n", [1, 2, 257])  # of either profile, and of one more than the largest batch
def test_what_is_bound_gives_the_logits_of_the_file(tensorrt: Any, artifact: Artifact, n: int) -> None:
    session = tensorrt.TensorRTTarget().load(artifact)
    for given in (images(n), -images(n)):
        expected = ONNXRuntimeTarget().load(artifact).run(given)
        np.testing.assert_allclose(session.run(given), expected, rtol=1e-4, atol=1e-5)


def test_a_file_that_is_opened_again_is_not_built_again(tensorrt: Any, artifact: Artifact, tmp_path: Path) -> None:
    target = tensorrt.TensorRTTarget()
    target.load(artifact).close()
    target.load(artifact)
    assert len(fake_tensorrt.Builder.made) == 1
    target.load(write(conv_stack(layers=2, width=4, image=IMAGE), tmp_path / "other.onnx"))
    assert len(fake_tensorrt.Builder.made) == 2


@pytest.mark.parametrize(("tf32", "flags"), [(False, set()), (True, {"TF32"})])
def test_tf32_is_off_unless_it_is_asked_for(tensorrt: Any, artifact: Artifact, tf32: bool, flags: set[str]) -> None:
    tensorrt.TensorRTTarget(tensorrt.TensorRTOptions(tf32=tf32)).load(artifact)
    assert fake_tensorrt.Builder.made[0].flags == flags


def test_times_are_of_bound_calls_and_images_are_copied_once(
    tensorrt: Any, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tensorrt.TensorRTTarget()
    session, filled = target.load(artifact), []
    fill = tensorrt.Ready.fill
    monkeypatch.setattr(tensorrt.Ready, "fill", lambda ready, given: (filled.append(len(given)), fill(ready, given)))
    found = target.measure([session], TimingPlan(batch=2, seconds=0.0, slot_ms=0.1, min_slots=8))
    assert len(found.samples_ms[0]) == 8
    assert found.environment["clock"] == "wall"
    assert filled == [2]


def test_layer_times_are_the_medians_that_the_profiler_was_told(tensorrt: Any, artifact: Artifact) -> None:
    found = tensorrt.TensorRTTarget().layer_times(artifact, 1, 3)
    assert [(layer.name, layer.time_ms) for layer in found] == [("conv + relu", 0.5), ("head", 0.25)]


def test_a_build_that_fails_says_what_tensorrt_said(tensorrt: Any, artifact: Artifact) -> None:
    target = tensorrt.TensorRTTarget(tensorrt.TensorRTOptions(level=5))
    with pytest.raises(MeasurementError, match=r"net\.onnx: TensorRT cannot load it: building failed: no kernel fits"):
        target.load(artifact)


def test_a_file_that_cannot_be_parsed_says_why_in_one_line(tensorrt: Any, tmp_path: Path) -> None:
    model = conv_stack(layers=1, width=4, image=IMAGE)
    model.graph.node.append(onnx.helper.make_node("QuantizeLinear", ["logits", "scale"], ["codes"]))
    with pytest.raises(MeasurementError, match="cannot be parsed: zero points must be 0"):
        tensorrt.TensorRTTarget().load(write(model, tmp_path / "int8.onnx"))


def test_an_input_of_another_name_is_refused(tensorrt: Any, tmp_path: Path) -> None:
    model = conv_stack(layers=1, width=4, image=IMAGE)
    model.graph.input[0].name = model.graph.node[0].input[0] = "x"
    with pytest.raises(MeasurementError, match="expected one input 'input'"):
        tensorrt.TensorRTTarget().load(write(model, tmp_path / "net.onnx"))


def test_a_closed_session_is_refused(tensorrt: Any, artifact: Artifact) -> None:
    session = tensorrt.TensorRTTarget().load(artifact)
    session.close()
    with pytest.raises(MeasurementError, match="the session is closed"):
        session.run(images(1))


def test_a_level_out_of_range_is_refused(tensorrt: Any) -> None:
    with pytest.raises(ConfigError, match=r"target.level: expected 0 to 5, got 6"):
        tensorrt.TensorRTOptions(level=6)


def test_without_a_device_it_says_what_is_missing(tensorrt: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    target = tensorrt.TensorRTTarget()
    with pytest.raises(ConfigError, match="TensorRT needs one of NVIDIA's, its driver, and a torch built for CUDA"):
        target.connect()
    (found,) = target.findings()
    assert not found.ok
    assert "never run" in found.detail
    assert target.describe()["device"] is None


def test_the_snippet_computes_between_images_and_labels(
    tensorrt: Any, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(artifact.path.parent)
    code = tensorrt.TensorRTTarget().snippet("net.onnx", IMAGE, ([0.1] * 3, [0.5] * 3))
    found: dict[str, Any] = {}
    exec(compile(code, "snippet", "exec"), found)
    black = (np.zeros((1, *IMAGE)) - 0.1) / 0.5
    assert found["labels"] == ONNXRuntimeTarget().load(artifact).run(black.astype(np.float32)).argmax(axis=1)


@pytest.mark.skipif(installed("tensorrt"), reason="TensorRT is installed")
def test_without_the_package_one_line_names_the_extra() -> None:
    with pytest.raises(ConfigError, match=r"needs 'tensorrt', which is not installed here: pip install 'moco\[tens"):
        plugin("target", "tensorrt")
    (fault,) = import_faults(["import moco.hardware.tensorrt"])
    (found,) = doctor._of_target("tensorrt", fault)
    assert found.advice == "pip install 'moco[tensorrt]'"
