"""What a batch takes, by hand and told before it is run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from moco.errors import MeasurementError
from moco.hardware.measuring import batch_memory
from moco.hardware.measuring.batch_memory import BESIDE, check_batch, peak_bytes
from moco.hardware.measuring.probe_model import artifact, conv_stack, write
from moco.hardware.onnxruntime import ONNXRuntimeTarget
from moco.interfaces import Artifact
from moco.measurement import TimingPlan

IMAGE, PIXELS = (3, 8, 8), 64


def test_a_chain_takes_two_values_at_a_time() -> None:
    found = peak_bytes(conv_stack(3, 4, IMAGE).SerializeToString())
    assert found == 2 * 4 * PIXELS * 4  # what a ReLU reads and gives: 4 channels of float32


def graph_of(nodes: list[onnx.NodeProto], constants: list[TensorProto] | None = None) -> bytes:
    """A file from `input` (batch, 2) to `logits` (batch, 2)."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in ("input", "logits")]
    graph = helper.make_graph(nodes, "a graph", ends[:1], ends[1:], constants or [])
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def test_a_value_that_is_read_later_stays() -> None:
    nodes = [helper.make_node("Relu", ["input"], ["a"]), helper.make_node("Neg", ["a"], ["b"])]
    nodes += [helper.make_node("Exp", ["b"], ["c"]), helper.make_node("Add", ["c", "a"], ["logits"])]
    assert peak_bytes(graph_of(nodes)) == 3 * 2 * 4  # a, b and c


def test_what_is_made_of_weights_alone_is_there_before_a_batch() -> None:
    weights = numpy_helper.from_array(np.zeros((2, 2), np.float32), "w")
    nodes = [helper.make_node("Neg", ["w"], ["v"]), helper.make_node("MatMul", ["input", "v"], ["logits"])]
    assert peak_bytes(graph_of(nodes, [weights])) == 2 * 2 * 4  # images and logits


def test_of_another_file_nothing_is_known() -> None:
    assert peak_bytes(b"no network") is None


@pytest.fixture
def file(tmp_path: Path) -> Artifact:
    return write(conv_stack(3, 4, IMAGE), tmp_path / "network.onnx")


def test_a_batch_is_refused_by_what_its_values_take(file: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = int(BESIDE * 100 * 2 * 4 * PIXELS * 4)
    monkeypatch.setattr(batch_memory, "free_bytes", lambda: needed)
    check_batch(file, IMAGE, 100)
    with pytest.raises(MeasurementError, match=r"network\.onnx: a batch of 101 images takes about .* free where it"):
        check_batch(file, IMAGE, 101)


def test_of_a_file_of_another_form_the_images_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "library").write_bytes(b"no network")
    file = artifact(tmp_path / "library")
    monkeypatch.setattr(batch_memory, "free_bytes", lambda: 10 * 3 * PIXELS * 4)
    check_batch(file, IMAGE, 10)
    with pytest.raises(MeasurementError, match="a batch of 11 images"):
        check_batch(file, IMAGE, 11)


def test_a_target_refuses_to_time_and_to_run_what_is_larger_than_memory(
    file: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = ONNXRuntimeTarget()
    session = target.load(file)
    with pytest.raises(MeasurementError, match="a batch of 1000000000000 images takes about"):
        target.measure([session, session], TimingPlan(batch=10**12))
    monkeypatch.setattr(batch_memory, "free_bytes", lambda: 10_000)
    assert session.run(np.zeros((1, *IMAGE), np.float32)).shape == (1, 10)
    with pytest.raises(MeasurementError, match="a batch of 64 images takes about"):
        session.run(np.zeros((64, *IMAGE), np.float32))


def test_the_values_of_a_device_are_not_sought_here(file: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    session = ONNXRuntimeTarget().load(file)
    session.in_host_memory = False
    monkeypatch.setattr(batch_memory, "free_bytes", lambda: 0)
    assert session.run(np.zeros((4, *IMAGE), np.float32)).shape == (4, 10)
