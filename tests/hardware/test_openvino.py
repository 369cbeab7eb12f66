from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from moco.errors import ConfigError, MeasurementError
from moco.hardware import openvino
from moco.hardware.measuring.probe_model import artifact, conv_stack, write
from moco.hardware.onnxruntime import ONNXRuntimeTarget
from moco.hardware.openvino import BATCHES, OpenVINOTarget
from moco.interfaces import Artifact
from moco.measurement import TimingPlan
from moco.readings import READINGS
from tests.app.tiny import moco
from tests.app.tiny import write as write_experiment

IMAGE = (3, 8, 8)


def small() -> onnx.ModelProto:
    return conv_stack(layers=1, width=4, image=IMAGE)


@contextmanager
def opened(file: Artifact, **options: Any) -> Iterator[openvino.OpenVINOSession]:
    session = OpenVINOTarget(OpenVINOTarget.Options(**options)).load(file)
    yield session
    session.close()


def test_a_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    file = write(small(), tmp_path / "net.onnx")
    with pytest.raises(MeasurementError, match="SHA-256"):
        OpenVINOTarget().load(replace(file, sha256="0" * 64))


def test_an_input_of_another_name_is_refused(tmp_path: Path) -> None:
    model = small()
    model.graph.input[0].name = model.graph.node[0].input[0] = "x"
    with pytest.raises(MeasurementError, match="expected one input 'input'"):
        OpenVINOTarget().load(write(model, tmp_path / "net.onnx"))


def test_a_fixed_batch_is_refused(tmp_path: Path) -> None:
    model = small()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    with pytest.raises(MeasurementError, match="dynamic batch"):
        OpenVINOTarget().load(write(model, tmp_path / "net.onnx"))


def test_an_operator_that_it_does_not_know_is_told_in_one_line(tmp_path: Path) -> None:
    model = small()
    model.graph.node[0].op_type = "Convolve"
    with pytest.raises(MeasurementError, match="Convolve") as refused:
        OpenVINOTarget().load(write(model, tmp_path / "net.onnx"))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 0}, "at least 1, got 0"),
        ({"arithmetic": "bfloat"}, "did you mean 'bfloat16'"),
        ({"threads": 2, "clock": "processor"}, "take 'wall'"),
        ({"clock": "wal"}, "did you mean 'wall'"),
    ],
)
def test_options_that_it_cannot_take_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        OpenVINOTarget.Options(**options)


def test_bfloat16_is_refused_where_the_processor_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "has_bfloat16", lambda: False)
    with pytest.raises(ConfigError, match="no bfloat16 on this processor"):
        OpenVINOTarget.Options(arithmetic="bfloat16")


@pytest.mark.skipif(not openvino.has_bfloat16(), reason="this processor has no bfloat16")
def test_bfloat16_gives_other_logits_that_are_close(tmp_path: Path) -> None:
    file = write(conv_stack(layers=4, width=32, image=IMAGE), tmp_path / "net.onnx")
    images = np.random.default_rng(0).standard_normal((4, *IMAGE), dtype=np.float32)
    with opened(file) as exact, opened(file, arithmetic="bfloat16") as rounded:
        expected, found = exact.run(images), rounded.run(images)
    assert not np.array_equal(found, expected)
    np.testing.assert_allclose(found, expected, atol=0.02 * float(np.abs(expected).max()))


def test_arithmetic_and_threads_are_part_of_the_fingerprint() -> None:
    default = OpenVINOTarget().describe()
    assert OpenVINOTarget(OpenVINOTarget.Options(threads=2)).describe() != default
    assert default["arithmetic"] == "float32"
    assert default["clock"] == "processor"


def test_any_batch_is_run_and_few_stay_compiled(tmp_path: Path) -> None:
    file = write(small(), tmp_path / "net.onnx")
    images = np.random.default_rng(0).standard_normal((2 * BATCHES, *IMAGE), dtype=np.float32)
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


def test_loading_is_timed_beside_the_reference(tmp_path: Path) -> None:
    target, reading = OpenVINOTarget(), READINGS["load_ms"]
    file = write(small(), tmp_path / "net.onnx")
    with opened(file) as one, opened(file) as other:
        found = target.measure([one, other], TimingPlan(seconds=0.0, series=reading.wanted))
    assert "load_ms" in target.capabilities.metrics
    assert [len(samples) for samples in found.series(reading.series) or ()] == [15, 15]


@pytest.mark.slow
def test_a_search_scores_times_and_ships_the_file_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(ONNXRuntimeTarget, "load")  # nothing is run elsewhere
    file = write_experiment(tmp_path / "tiny.yaml", target={"runtime": "openvino"}, budget={"trials": 4})
    assert moco("search", file, "--out", tmp_path / "run").exit_code in {0, 3}
    card = (tmp_path / "run" / "best" / "card.md").read_text(encoding="utf-8")
    assert 'openvino.compile_model("model.onnx"' in card
    with opened(artifact(tmp_path / "run" / "best" / "model.onnx")) as session:
        assert session.input_shape == (1, 8, 8)
