from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from moco.errors import ConfigError, MeasurementError
from moco.hardware import pytorch
from moco.hardware.measuring.probe_model import artifact, conv_stack, write
from moco.hardware.onnx_network import running
from moco.hardware.onnxruntime import ONNXRuntimeTarget
from moco.hardware.pytorch import BATCHES, PyTorchTarget
from moco.interfaces import Artifact
from moco.measurement import TimingPlan
from tests.app.tiny import moco
from tests.app.tiny import write as write_experiment

IMAGE = (3, 8, 8)
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
BFLOAT16 = pytest.mark.skipif(not running.has_bfloat16("cpu"), reason="this processor has no bfloat16")
COMPILER = pytest.mark.skipif(bool(running.compiler_lack("cpu")), reason="no C++ compiler")


def small() -> onnx.ModelProto:
    return conv_stack(layers=1, width=4, image=IMAGE)


def drawn(n: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, *IMAGE), dtype=np.float32)


@contextmanager
def opened(file: Artifact, **options: Any) -> Iterator[pytorch.PyTorchSession]:
    session = PyTorchTarget(PyTorchTarget.Options(**options)).load(file)
    yield session
    session.close()


def assert_as_on_onnx_runtime(file: Artifact, **options: Any) -> None:
    images = drawn(5)
    expected = ONNXRuntimeTarget().load(file).run(images)
    with opened(file, **options) as session:
        found = [session.run(images[:n]) for n in (1, 5)]
    for logits in found:
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits, expected[: len(logits)], rtol=1e-4, atol=1e-5)


def test_a_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    file = write(small(), tmp_path / "net.onnx")
    with pytest.raises(MeasurementError, match="SHA-256"):
        PyTorchTarget().load(replace(file, sha256="0" * 64))


def test_an_input_of_another_name_is_refused(tmp_path: Path) -> None:
    model = small()
    model.graph.input[0].name = model.graph.node[0].input[0] = "x"
    with pytest.raises(MeasurementError, match="expected one input 'input'"):
        PyTorchTarget().load(write(model, tmp_path / "net.onnx"))


def test_a_fixed_batch_is_refused(tmp_path: Path) -> None:
    model = small()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    with pytest.raises(MeasurementError, match="dynamic batch"):
        PyTorchTarget().load(write(model, tmp_path / "net.onnx"))


def test_an_operator_that_it_does_not_know_is_told_in_one_line(tmp_path: Path) -> None:
    model = small()
    model.graph.node[0].op_type = "Convolve"
    with pytest.raises(MeasurementError, match=r"net\.onnx: .*Convolve") as refused:
        PyTorchTarget().load(write(model, tmp_path / "net.onnx"))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 0}, "at least 1, got 0"),
        ({"device": "gpu"}, "unknown device 'gpu'; did you mean 'cpu'"),
        ({"arithmetic": "bfloat"}, "did you mean 'bfloat16'"),
        ({"layout": "channel_last"}, "did you mean 'channels_last'"),
        ({"threads": 2, "clock": "processor"}, "take 'wall'"),
        ({"device": "cuda", "clock": "processor"}, "take 'wall'"),
    ],
)
def test_options_that_it_cannot_take_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PyTorchTarget.Options(**options)


def connect(**options: Any) -> None:
    PyTorchTarget(PyTorchTarget.Options(**options)).connect()


def test_a_missing_device_is_told_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"target\.device: torch finds no CUDA device"):
        connect(device="cuda")


def test_a_missing_compiler_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match=r"target\.compile: .*'no-such-compiler' is not here: install g\+\+"):
        connect(compile=True)
    assert "install g++" in PyTorchTarget().findings()[0].detail
    connect()  # it is not asked for


def test_bfloat16_is_refused_where_the_processor_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytorch, "has_bfloat16", lambda _: False)
    with pytest.raises(ConfigError, match="no bfloat16 on this device"):
        connect(arithmetic="bfloat16")


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_logits_are_those_of_onnx_runtime(tmp_path: Path, layout: str) -> None:
    assert_as_on_onnx_runtime(write(small(), tmp_path / "net.onnx"), layout=layout)


@BFLOAT16
def test_bfloat16_gives_other_logits_that_are_close(tmp_path: Path) -> None:
    file = write(conv_stack(layers=4, width=32, image=IMAGE), tmp_path / "net.onnx")
    with opened(file) as exact, opened(file, arithmetic="bfloat16") as rounded:
        expected, found = exact.run(drawn(4)), rounded.run(drawn(4))
    assert found.dtype == np.float32
    assert not np.array_equal(found, expected)
    np.testing.assert_allclose(found, expected, atol=0.02 * float(np.abs(expected).max()))


@COMPILER
@pytest.mark.slow
def test_compiled_it_gives_the_logits_of_onnx_runtime(tmp_path: Path) -> None:
    assert_as_on_onnx_runtime(write(small(), tmp_path / "net.onnx"), compile=True)


@COMPILER
@pytest.mark.slow
def test_more_files_than_torch_compiles_again_of_one_are_compiled(tmp_path: Path) -> None:
    torch._dynamo.reset()
    limit = torch._dynamo.config.recompile_limit
    for layers in range(1, limit + 3):
        file = write(conv_stack(layers=layers, width=2, image=IMAGE), tmp_path / f"{layers}.onnx")
        with opened(file, compile=True) as session:
            assert session.run(drawn(1)).shape == (1, 10)


@CUDA
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_on_cuda_logits_are_those_of_onnx_runtime(tmp_path: Path, compiled: bool) -> None:
    images, file = drawn(5), write(small(), tmp_path / "net.onnx")
    expected = ONNXRuntimeTarget().load(file).run(images)
    with opened(file, device="cuda", compile=compiled) as session:
        np.testing.assert_allclose(session.run(images), expected, rtol=1e-2, atol=1e-2)  # TF32
        np.testing.assert_allclose(session.run(0 * images + images), expected, rtol=1e-2, atol=1e-2)


def test_what_a_time_depends_on_is_part_of_the_fingerprint() -> None:
    default = PyTorchTarget().describe()
    assert default["clock"] == "processor"
    for other in ({"threads": 2}, {"compile": True}, {"arithmetic": "bfloat16"}, {"layout": "channels_first"}):
        assert PyTorchTarget(PyTorchTarget.Options(**other)).describe() != default


def test_integers_are_no_precision_and_compiling_is_no_loading() -> None:
    assert PyTorchTarget().capabilities.precisions == ("float32",)
    compiled = PyTorchTarget(PyTorchTarget.Options(compile=True)).capabilities.metrics
    assert PyTorchTarget().capabilities.metrics - compiled == {"load_ms", "init_s"}


def test_any_batch_is_run_and_few_stay_prepared(tmp_path: Path) -> None:
    file = write(small(), tmp_path / "net.onnx")
    images = drawn(2 * BATCHES)
    with opened(file) as session:
        whole = session.run(images)
        for n in range(1, len(images)):
            np.testing.assert_allclose(session.run(images[:n]), whole[:n], atol=1e-5)
        assert session._for_batch.cache_info().currsize == BATCHES


def test_what_it_gave_is_not_overwritten_by_the_next_call(tmp_path: Path) -> None:
    with opened(write(small(), tmp_path / "net.onnx")) as session:
        first = session.run(np.ones((1, *IMAGE), np.float32))
        kept = first.copy()
        session.run(np.zeros((1, *IMAGE), np.float32))
    assert np.array_equal(first, kept)


def test_it_computes_with_its_own_number_of_threads_and_leaves_torch_s(tmp_path: Path) -> None:
    seen: list[int] = []
    before = torch.get_num_threads()
    other = before + 1
    file = write(small(), tmp_path / "net.onnx")
    with opened(file, threads=other) as session:
        prepared = session._for_batch(1)
        forward = prepared._forward
        prepared._forward = lambda images: (seen.append(torch.get_num_threads()), forward(images))[1]
        session.run(drawn(1))
    assert seen == [other]
    assert torch.get_num_threads() == before


def test_a_file_against_itself_takes_its_turns(tmp_path: Path) -> None:
    target = PyTorchTarget()
    file = write(small(), tmp_path / "net.onnx")
    with opened(file) as one, opened(file) as other:
        found = target.measure([one, other], TimingPlan(seconds=0.0))
    assert found.environment["clock"] == "processor"
    assert min(map(min, found.samples_ms)) > 0


@pytest.mark.slow
def test_a_search_scores_times_and_ships_the_file_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(ONNXRuntimeTarget, "load")  # nothing is run elsewhere
    file = write_experiment(
        tmp_path / "tiny.yaml", target={"runtime": "torch"}, budget={"trials": 4}, space={"quantization": None}
    )
    result = moco("search", file, "--out", tmp_path / "run")
    assert result.exit_code in {0, 3}, result.output
    card = (tmp_path / "run" / "best" / "card.md").read_text(encoding="utf-8")
    assert 'Network.read(Path("model.onnx")' in card
    with opened(artifact(tmp_path / "run" / "best" / "model.onnx")) as session:
        assert session.input_shape == (1, 8, 8)
