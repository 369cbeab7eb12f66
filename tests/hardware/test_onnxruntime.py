from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from moco.errors import ConfigError, MeasurementError
from moco.hardware.measuring.probe_model import conv_stack, write
from moco.hardware.measuring.processor import processor
from moco.hardware.onnxruntime import ONNXRuntimeTarget
from moco.measurement import TimingPlan
from moco.readings import READINGS
from moco.registry import plugin

IMAGE = (3, 8, 8)


def small() -> onnx.ModelProto:
    return conv_stack(layers=1, width=4, image=IMAGE)


def test_it_is_found_by_name() -> None:
    assert plugin("target", "onnxruntime") is ONNXRuntimeTarget


def test_a_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    artifact = write(small(), tmp_path / "net.onnx")
    with pytest.raises(MeasurementError, match="SHA-256"):
        ONNXRuntimeTarget().load(replace(artifact, sha256="0" * 64))


def test_an_input_of_another_name_is_refused(tmp_path: Path) -> None:
    model = small()
    model.graph.input[0].name = model.graph.node[0].input[0] = "x"
    with pytest.raises(MeasurementError, match="expected one input 'input'"):
        ONNXRuntimeTarget().load(write(model, tmp_path / "net.onnx"))


def test_a_fixed_batch_is_refused(tmp_path: Path) -> None:
    model = small()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    with pytest.raises(MeasurementError, match="dynamic batch"):
        ONNXRuntimeTarget().load(write(model, tmp_path / "net.onnx"))


def test_an_unknown_provider_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'CPUExecutionProvider'"):
        ONNXRuntimeTarget.Options(providers=("CPUExecution",))


def test_an_unknown_level_of_optimisation_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown level 'non'.*did you mean 'none'"):
        ONNXRuntimeTarget.Options(optimise="non")


def test_a_graph_that_is_not_optimised_gives_the_same_logits_and_is_another_target(tmp_path: Path) -> None:
    plain, artifact = ONNXRuntimeTarget(ONNXRuntimeTarget.Options(optimise="none")), write(small(), tmp_path / "n.onnx")
    images = np.random.default_rng(0).standard_normal((3, *IMAGE), dtype=np.float32)
    expected = ONNXRuntimeTarget().load(artifact).run(images)
    np.testing.assert_allclose(plain.load(artifact).run(images), expected, rtol=1e-4, atol=1e-6)
    assert plain.describe() == {**ONNXRuntimeTarget().describe(), "optimise": "none"}


def test_no_threads_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        ONNXRuntimeTarget.Options(threads=0)


def test_one_thread_is_timed_by_its_processor_time_and_more_by_the_wall() -> None:
    assert ONNXRuntimeTarget().describe()["clock"] == "processor"
    assert ONNXRuntimeTarget(ONNXRuntimeTarget.Options(threads=2)).describe()["clock"] == "wall"
    assert ONNXRuntimeTarget(ONNXRuntimeTarget.Options(clock="wall")).describe()["clock"] == "wall"


def test_a_clock_that_would_miss_threads_is_refused() -> None:
    with pytest.raises(ConfigError, match="take 'wall'"):
        ONNXRuntimeTarget.Options(threads=2, clock="processor")


def test_an_unknown_clock_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'wall'"):
        ONNXRuntimeTarget.Options(clock="wal")


def test_a_measurement_says_how_many_threads_were_busy(tmp_path: Path) -> None:
    target = ONNXRuntimeTarget()
    session = target.load(write(small(), tmp_path / "net.onnx"))
    plan = TimingPlan(batch=2, seconds=0.01, slot_ms=1.0, min_slots=8)
    assert target.measure([session], plan).environment["threads"] == 1


def test_threads_are_part_of_the_fingerprint() -> None:
    two = ONNXRuntimeTarget(ONNXRuntimeTarget.Options(threads=2))
    assert two.describe() != ONNXRuntimeTarget().describe()


def test_float_widths_follow_the_processor() -> None:
    multiples = ONNXRuntimeTarget().capabilities.channel_multiples
    assert multiples == {"float32": processor().float32_block, "int8": 4, "mixed": 4}


def test_energy_is_not_claimed() -> None:
    assert not {"energy_j", "power_w"} & ONNXRuntimeTarget().capabilities.metrics


def test_loading_is_timed_beside_the_reference(tmp_path: Path) -> None:
    target, reading = ONNXRuntimeTarget(), READINGS["load_ms"]
    files = write(small(), tmp_path / "net.onnx"), write(conv_stack(30, 8, IMAGE), tmp_path / "deep.onnx")
    found = target.measure([target.load(file) for file in files], TimingPlan(seconds=0.0, series=reading.wanted))

    assert "load_ms" in target.capabilities.metrics
    assert [len(samples) for samples in found.series(reading.series)] == [15, 15]
    assert found.ratio(series=reading.series).value > 1.0
    assert found.ratio(series=reading.series).value != found.ratio().value
