from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from moco.errors import ConfigError, MeasurementError
from moco.hardware.measuring.probe_model import conv_stack, write
from moco.optional import installed
from moco.registry import plugin
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
