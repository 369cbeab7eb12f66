from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from moco.errors import ConfigError, MeasurementError
from moco.hardware.measuring.probe_model import conv_stack, write
from moco.optional import installed
from moco.registry import plugin
from tests.export.graphs import images_of, quantized, run
from tests.export.int8_graphs import LAYERS, float_of
from tests.hardware.litert_lack import litert_lack

IMAGE = (3, 8, 8)
needs_litert = pytest.mark.skipif(bool(litert_lack()), reason=litert_lack())


@pytest.mark.skipif(installed("ai_edge_litert"), reason="ai-edge-litert is installed here")
def test_without_its_package_the_extra_is_named() -> None:
    with pytest.raises(ConfigError, match=r"moco\[litert\]"):
        plugin("target", "litert")


@needs_litert
def test_a_converter_that_is_not_there_is_told_before_anything_runs() -> None:
    cls = plugin("target", "litert")
    with pytest.raises(ConfigError, match="converter_python"):
        cls(cls.Options(converter_python="/nowhere/python")).connect()


@needs_litert
def test_an_operator_that_it_does_not_know_is_named(tmp_path: Path) -> None:
    model = conv_stack(layers=1, width=4, image=IMAGE)
    model.graph.node[0].op_type = "Convolve"
    with pytest.raises(MeasurementError, match="Convolve") as refused:
        plugin("target", "litert")().prepare(write(model, tmp_path / "net.onnx"))
    assert "\n" not in str(refused.value)


@needs_litert
def test_a_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    target = plugin("target", "litert")()
    file = target.prepare(write(conv_stack(layers=1, width=4, image=IMAGE), tmp_path / "net.onnx"))
    assert file.path.suffix == ".tflite"
    with pytest.raises(MeasurementError, match="SHA-256"):
        target.load(replace(file, sha256="0" * 64))


def int8_of(name: str, layers: int | None = None) -> onnx.ModelProto:
    """A test network with its first layers in int8; None takes all."""
    return quantized(float_of(name), LAYERS[name][:layers], images_of(name, 32))


def logits_of(model: onnx.ModelProto, path: Path, images: np.ndarray, **options: Any) -> np.ndarray:
    cls = plugin("target", "litert")
    target = cls(cls.Options(**options))
    session = target.load(target.prepare(write(model, path)))
    return np.asarray(session.run(images))


@needs_litert
@pytest.mark.slow
@pytest.mark.parametrize(("name", "layers"), [("tiny A", None), ("concat", None), ("tiny A", 2)])
def test_its_int8_file_computes_on_the_codes_of_mocos(name: str, layers: int | None, tmp_path: Path) -> None:
    model, images = int8_of(name, layers), images_of(name, 64, 5)
    given, wanted, floats = (
        logits_of(model, tmp_path / "net.onnx", images),
        run(model, images),
        run(float_of(name), images),
    )
    np.testing.assert_array_equal(given.argmax(axis=1), wanted.argmax(axis=1))
    # The last layer's input is put into codes by another scale, and a code may round the other way.
    assert np.abs(given - wanted).mean() < np.abs(wanted - floats).mean()


@needs_litert
@pytest.mark.slow
def test_a_file_for_more_sizes_of_batch_answers_as_that_for_one_image(tmp_path: Path) -> None:
    model, images = int8_of("tiny A"), images_of("tiny A", 11, 5)
    single = logits_of(model, tmp_path / "net.onnx", images)
    several = logits_of(model, tmp_path / "net.onnx", images, batches=(4,))  # two of 4, three of 1
    np.testing.assert_allclose(several, single, atol=1e-5)
    assert len(list(tmp_path.glob("net-*.tflite"))) == 2


@needs_litert
def test_sizes_of_batches_below_one_are_refused() -> None:
    cls = plugin("target", "litert")
    with pytest.raises(ConfigError, match=r"target\.batches: expected sizes of 1 or more, got \[0\]"):
        cls.Options(batches=(0,))


@needs_litert
@pytest.mark.slow
def test_only_the_file_that_was_made_of_the_same_content_is_taken_again(tmp_path: Path) -> None:
    target = plugin("target", "litert")()
    one = target.prepare(write(conv_stack(layers=1, width=4, image=IMAGE), tmp_path / "net.onnx"))
    stamp = one.path.stat().st_mtime_ns
    again = target.prepare(write(conv_stack(layers=1, width=4, image=IMAGE), tmp_path / "net.onnx"))
    assert (again, one.path.stat().st_mtime_ns) == (one, stamp)
    other = target.prepare(write(conv_stack(layers=2, width=4, image=IMAGE), tmp_path / "net.onnx"))
    assert other.path != one.path
    assert other.sha256 != one.sha256


@needs_litert
def test_the_converter_is_part_of_the_stores_key() -> None:
    assert "ai-edge-quantizer" in plugin("target", "litert")().describe()["converter"]
