from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from moco.errors import ConfigError, MeasurementError
from moco.hardware.execution_providers import CPU, PROVIDERS, fallen_back, gpus
from moco.hardware.measuring.probe_model import conv_stack, write
from moco.hardware.onnxruntime import ONNXRuntimeSession, ONNXRuntimeTarget
from moco.interfaces import Artifact
from moco.measurement import TimingPlan

IMAGE = (3, 8, 8)
ON_CPU = ONNXRuntimeTarget.Options(provider="cpu")


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    return write(conv_stack(layers=1, width=4, image=IMAGE), tmp_path / "net.onnx")


def images(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, *IMAGE), dtype=np.float32)


def session(artifact: Artifact) -> ONNXRuntimeSession:
    return ONNXRuntimeTarget(ON_CPU).load(artifact)


def test_bound_calls_give_the_logits_of_whole_calls(artifact: Artifact) -> None:
    opened = session(artifact)
    bound = opened.bound("cpu")
    for n in (3, 1):  # other images are bound anew
        bound.run(images(n))
        np.testing.assert_array_equal(bound.logits(), opened.run(images(n)))


def test_a_bound_call_computes_what_stands_in_the_bound_memory(artifact: Artifact) -> None:
    opened, given = session(artifact), images(2)
    bound = opened.bound("cpu")
    bound.run(given)
    first = bound.logits()
    given[:] = images(2, seed=1)
    bound.run(given)
    np.testing.assert_array_equal(bound.logits(), opened.run(given))
    assert not np.allclose(bound.logits(), first)


def test_a_named_provider_is_timed_on_bound_memory(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    target, opened = ONNXRuntimeTarget(ON_CPU), session(artifact)
    monkeypatch.setattr(ONNXRuntimeSession, "run", lambda *_: pytest.fail("a whole call was timed"))
    found = target.measure([opened, opened], TimingPlan(batch=2, seconds=0.0, slot_ms=0.1, min_slots=8))
    assert [len(samples) for samples in found.samples_ms] == [8, 8]


def test_no_named_provider_is_timed_by_whole_calls(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = session(artifact)
    monkeypatch.setattr(ONNXRuntimeSession, "bound", lambda *_: pytest.fail("a bound call was timed"))
    ONNXRuntimeTarget().measure([opened], TimingPlan(seconds=0.0, slot_ms=0.1, min_slots=8))


def test_a_named_provider_is_part_of_the_description() -> None:
    assert ONNXRuntimeTarget(ON_CPU).describe() == {**ONNXRuntimeTarget().describe(), "provider": "cpu"}


def test_an_unknown_provider_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'cuda'"):
        ONNXRuntimeTarget.Options(provider="cud")


def test_both_ways_to_name_a_provider_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: list(PROVIDERS["cuda"].chain))
    with pytest.raises(ConfigError, match="got both"):
        ONNXRuntimeTarget.Options(provider="cuda", providers=("CUDAExecutionProvider",))


@pytest.mark.parametrize(("name", "package"), [("cuda", "onnxruntime-gpu"), ("tensorrt", "onnxruntime-gpu tensorrt")])
def test_a_build_without_the_provider_is_told_what_brings_it(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: list(CPU.chain))
    with pytest.raises(ConfigError, match=rf"has no {PROVIDERS[name].wanted}: pip install {package}\b"):
        ONNXRuntimeTarget.Options(provider=name)


def test_a_session_that_fell_back_to_the_processor_is_refused(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build that has the provider, on a machine that has not its device; the chain is what such a session gets."""
    monkeypatch.setattr(ort, "get_available_providers", lambda: list(PROVIDERS["cuda"].chain))
    target = ONNXRuntimeTarget(ONNXRuntimeTarget.Options(provider="cuda"))
    real = ort.InferenceSession
    monkeypatch.setattr(ort, "InferenceSession", lambda content, options, providers: real(content, options, CPU.chain))
    with pytest.raises(MeasurementError, match=r"expected it on CUDAExecutionProvider.*put it on CPUExecution"):
        target.load(artifact)
    monkeypatch.setattr(ort, "preload_dlls", lambda: None)
    with pytest.raises(ConfigError, match=r"target.provider: 'cuda': expected it on CUDA"):
        target.connect()


def test_a_session_on_its_provider_has_not_fallen_back() -> None:
    session: Any = SimpleNamespace(get_providers=lambda: list(PROVIDERS["tensorrt"].chain))
    assert not fallen_back(session, PROVIDERS["tensorrt"])
    assert "missing here" in fallen_back(session, replace(CPU, chain=("Other",)))


def test_a_device_is_timed_by_the_wall_in_floats_and_gives_no_layer_times(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: list(PROVIDERS["tensorrt"].chain))
    cuda, tensorrt = (ONNXRuntimeTarget(ONNXRuntimeTarget.Options(provider=name)) for name in ("cuda", "tensorrt"))
    assert cuda.describe()["clock"] == "wall"
    assert cuda.capabilities.precisions == ("float32",)
    assert cuda.capabilities.metrics - tensorrt.capabilities.metrics == {"load_ms", "init_s"}
    assert cuda.layer_times(artifact, 1, 1) is None
    assert "providers=['CUDAExecutionProvider', 'CPUExecutionProvider']" in cuda.snippet("n.onnx", IMAGE, None)


def test_the_finding_says_which_providers_the_build_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: list(CPU.chain))
    detail = ONNXRuntimeTarget().findings()[0].detail
    assert "providers: cpu, not cuda and tensorrt (onnxruntime-gpu has them)" in detail
    assert "cuda and tensorrt follow their documentation, never run" in detail


def test_models_of_devices_are_read_from_the_driver(tmp_path: Path) -> None:
    folder = tmp_path / "0000:01:00.0"
    folder.mkdir()
    (folder / "information").write_text("Model: \t\t NVIDIA A10\nIRQ: 16\n")
    assert gpus(tmp_path) == ("NVIDIA A10",)
    assert gpus(tmp_path / "absent") == ()
