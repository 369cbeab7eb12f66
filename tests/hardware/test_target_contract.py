"""The contract of a target. Every registered one is put to it, those of installed packages too."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

from moco.errors import MeasurementError
from moco.hardware.measuring.probe_model import CLASSES, artifact, conv_stack, write
from moco.interfaces import Artifact, Normalize, Target
from moco.measurement import TimingPlan
from moco.metrics import METRICS
from moco.readings import READINGS
from moco.registry import BUILT_IN, names, plugin
from tests.hardware.scripted import ScriptedTarget

IMAGE = (3, 8, 8)
QUICK = TimingPlan(batch=2, seconds=0.01, slot_ms=1.0, min_slots=8, seed=5)
TARGETS = {name: plugin("target", name) for name in names("target")} | {"scripted": ScriptedTarget}
MEMBERS = {*Target.__annotations__, *(member for member in vars(Target) if not member.startswith("_"))}


@pytest.fixture(params=sorted(TARGETS))
def target(request: pytest.FixtureRequest) -> Target:
    target: Target = TARGETS[request.param]()
    target.connect()
    return target


@pytest.fixture
def small(tmp_path: Path) -> Artifact:
    return write(conv_stack(layers=2, width=4, image=IMAGE), tmp_path / "small.onnx")


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((5, *IMAGE), dtype=np.float32)


def test_every_registered_target_is_in_this_suite() -> None:
    assert set(BUILT_IN["target"]) <= set(TARGETS)


def test_it_has_what_the_contract_names(target: Target) -> None:
    assert [member for member in sorted(MEMBERS) if not hasattr(target, member)] == []


def test_what_it_depends_on_is_installed(target: Target) -> None:
    assert all(map(version, target.distributions))


def test_it_finds_itself(target: Target) -> None:
    found = target.findings()
    assert found
    assert found[0].ok, found
    assert [finding for finding in found if not finding.detail or (not finding.ok and not finding.advice)] == []


@pytest.mark.parametrize("normalize", [None, ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])])
@pytest.mark.parametrize("shape", [None, IMAGE])
def test_its_snippet_labels_a_batch_as_it_stands(
    target: Target, small: Artifact, shape: tuple[int, ...] | None, normalize: Normalize | None
) -> None:
    code = target.snippet(small.path.name, shape, normalize) + "assert labels.shape == (1,), labels"
    subprocess.run([sys.executable, "-c", code], cwd=small.path.parent, check=True, timeout=120)


def test_a_reading_that_it_claims_it_gives(target: Target, small: Artifact) -> None:
    sessions = [target.load(small)]
    for reading in (READINGS[name] for name in READINGS if name in target.capabilities.metrics):
        plan = replace(QUICK, batch=reading.batch, series=reading.wanted)
        assert reading.constant(target.measure(sessions, plan)) is not None


def test_every_precision_has_a_channel_multiple_and_legal_layers(target: Target) -> None:
    can = target.capabilities
    assert can.precisions[0] == "float32"
    assert set(can.channel_multiples) == set(can.layer_kinds) == set(can.precisions)
    assert all(multiple >= 1 for multiple in can.channel_multiples.values())
    assert all(kinds <= {"conv", "depthwise", "linear"} for kinds in can.layer_kinds.values())


def test_only_metrics_of_the_table_are_claimed(target: Target) -> None:
    assert target.capabilities.metrics <= set(METRICS)


def test_the_description_is_json_and_the_same_for_a_second_target(target: Target) -> None:
    assert json.dumps(target.describe(), sort_keys=True) == json.dumps(type(target)().describe(), sort_keys=True)


def test_a_loaded_file_knows_its_artefact_and_its_image_shape(target: Target, small: Artifact) -> None:
    session = target.load(small)
    assert session.artifact == small
    assert session.input_shape == IMAGE


@pytest.mark.parametrize("n", [1, 5])
def test_logits_are_those_of_the_file(target: Target, small: Artifact, images: np.ndarray, n: int) -> None:
    expected = ReferenceEvaluator(str(small.path)).run(None, {"input": images[:n]})[0]
    logits = target.load(small).run(images[:n])
    assert logits.shape == (n, CLASSES)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_a_session_is_closed_once_and_for_all(target: Target, small: Artifact, images: np.ndarray) -> None:
    session, other = target.load(small), target.load(small)
    session.close()
    session.close()
    with pytest.raises(MeasurementError, match="the session is closed"):
        session.run(images)
    assert other.run(images).shape == (5, CLASSES)


def test_images_of_another_shape_are_refused(target: Target, small: Artifact) -> None:
    with pytest.raises(MeasurementError, match="expected float32 images"):
        target.load(small).run(np.zeros((1, 3, 9, 9), np.float32))


def test_images_of_another_type_are_refused(target: Target, small: Artifact) -> None:
    with pytest.raises(MeasurementError, match="expected float32 images"):
        target.load(small).run(np.zeros((1, *IMAGE), np.uint8))


def test_a_broken_file_is_named_in_one_line(target: Target, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(MeasurementError, match=r"broken\.onnx") as caught:
        target.load(artifact(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(target: Target, tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match=r"absent\.onnx"):
        target.load(Artifact(tmp_path / "absent.onnx", "0" * 64, 1))


def test_every_session_has_as_many_positive_raw_samples(target: Target, small: Artifact) -> None:
    measurement = target.measure([target.load(small) for _ in range(3)], QUICK)
    counts = {len(samples) for samples in measurement.samples_ms}
    assert len(measurement.samples_ms) == 3
    assert len(counts) == 1
    assert counts.pop() >= QUICK.min_slots
    assert min(map(min, measurement.samples_ms)) > 0


def test_a_measurement_keeps_its_plan_and_its_surroundings(target: Target, small: Artifact) -> None:
    measurement = target.measure([target.load(small)], QUICK)
    assert measurement.plan == QUICK
    assert json.loads(json.dumps(measurement.environment))["threads"] == 1


def test_ten_times_the_work_takes_longer(target: Target, small: Artifact, tmp_path: Path) -> None:
    large = write(conv_stack(layers=12, width=16, image=IMAGE), tmp_path / "large.onnx")
    assert target.measure([target.load(small), target.load(large)], QUICK).ratio().value > 1


def test_nothing_to_time_is_refused(target: Target) -> None:
    with pytest.raises(MeasurementError, match="at least one session"):
        target.measure([], QUICK)
