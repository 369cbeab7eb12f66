from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from moco.errors import ConfigError, MeasurementError
from moco.hardware.measuring.probe_model import artifact, conv_stack, write
from moco.optional import installed
from moco.registry import plugin
from tests.hardware.tvm_lack import tvm_lack

IMAGE = (3, 8, 8)
IMAGES = np.random.default_rng(0).standard_normal((3, *IMAGE), dtype=np.float32)
needs_tvm = pytest.mark.skipif(bool(tvm_lack()), reason=tvm_lack())


def target(**options: Any) -> Any:
    cls = plugin("target", "tvm")
    return cls(cls.Options(**options))


def small() -> onnx.ModelProto:
    return conv_stack(layers=1, width=4, image=IMAGE)


@pytest.mark.skipif(installed("tvm"), reason="apache-tvm is installed here")
def test_without_its_package_the_extra_is_named() -> None:
    with pytest.raises(ConfigError, match=r"moco\[tvm\]"):
        plugin("target", "tvm")


@needs_tvm
def test_an_operator_that_it_does_not_know_is_named(tmp_path: Path) -> None:
    model = small()
    model.graph.node[0].op_type = "Convolve"
    with pytest.raises(MeasurementError, match="Convolve") as refused:
        target().prepare(write(model, tmp_path / "net.onnx"))
    assert "\n" not in str(refused.value)


def _renamed(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = model.graph.node[-1].output[0] = "answers"


def _of_one_image(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


@needs_tvm
@pytest.mark.parametrize(("change", "said"), [(_renamed, "'logits'"), (_of_one_image, "dynamic batch")])
def test_a_file_that_is_not_in_the_form_of_its_files_is_refused(
    change: Callable[[onnx.ModelProto], None], said: str, tmp_path: Path
) -> None:
    model = small()
    change(model)
    with pytest.raises(MeasurementError, match=said):
        target().prepare(write(model, tmp_path / "net.onnx"))


@needs_tvm
def test_what_is_no_onnx_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"not a network")
    with pytest.raises(MeasurementError, match=r"net\.onnx") as refused:
        target().prepare(artifact(tmp_path / "net.onnx"))
    assert "\n" not in str(refused.value)


@needs_tvm
def test_a_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    file = target().prepare(write(small(), tmp_path / "net.onnx"))
    assert file.path == tmp_path / "net.so"
    with pytest.raises(MeasurementError, match="SHA-256"):
        target().load(replace(file, sha256="0" * 64))


@needs_tvm
def test_one_file_makes_one_library_whoever_compiles_it(tmp_path: Path) -> None:
    made = target().prepare(write(small(), tmp_path / "net.onnx"))
    program = [
        sys.executable,
        "-m",
        "moco.hardware.tvm_library",
        str(tmp_path / "net.onnx"),
        str(tmp_path / "other.so"),
    ]
    subprocess.run(program, check=True, timeout=120)
    assert artifact(tmp_path / "other.so").sha256 == made.sha256


@needs_tvm
def test_a_library_that_takes_the_place_of_another_is_the_one_that_runs(tmp_path: Path) -> None:
    """The system's loader knows a library by its path, and would go on with the first."""
    target().prepare(write(small(), tmp_path / "net.onnx"))
    first = target().load(artifact(tmp_path / "net.so"))
    target().prepare(write(conv_stack(layers=2, width=4, image=IMAGE), tmp_path / "other.onnx"))
    (tmp_path / "net.so").write_bytes((tmp_path / "other.so").read_bytes())
    second, other = (target().load(artifact(tmp_path / name)) for name in ("net.so", "other.so"))
    np.testing.assert_array_equal(second.run(IMAGES), other.run(IMAGES))
    assert not np.allclose(first.run(IMAGES), second.run(IMAGES))


@needs_tvm
@pytest.mark.parametrize("size", [7, 32, 33, 112])
@pytest.mark.parametrize("strides", [1, 2])
def test_the_order_of_loops_changes_no_answer(size: int, strides: int, tmp_path: Path) -> None:
    """Rows shorter and longer than a tile, and of a prime number of columns; seven channels fill no tile either."""
    model = conv_stack(layers=2, width=7, image=(3, size, size))
    model.graph.node[0].attribute.append(onnx.helper.make_attribute("strides", [strides, strides]))
    images = np.random.default_rng(1).standard_normal((2, 3, size, size), dtype=np.float32)
    file = write(model, tmp_path / "net.onnx")
    expected: Any = ReferenceEvaluator(model).run(None, {"input": images})
    logits = target().load(target().prepare(file)).run(images)
    np.testing.assert_allclose(logits, expected[0], rtol=1e-4, atol=1e-5)


@needs_tvm
def test_a_convolution_is_summed_up_a_tile_at_a_time() -> None:
    import tvm
    from tvm.relax.backend.cpu_generic import pipeline
    from tvm.relax.frontend.onnx import from_onnx

    from moco.hardware.tvm_schedule import Convolution, divisor

    assert [divisor(size, 32) for size in (7, 32, 33, 112)] == [7, 32, 11, 28]
    here = target().options.machine.target
    with here:
        legal = tvm.transform.Sequential(pipeline.legalize_passes(here))(from_onnx(small(), keep_params_in_input=False))
    loops = {name.name_hint: func for name, func in legal.functions_items() if isinstance(func, tvm.tirx.PrimFunc)}
    found = {name: Convolution().apply(func, here, False) for name, func in loops.items()}
    assert [name for name, schedule in found.items() if schedule is not None] == ["fused_conv2d_relu"]


@needs_tvm
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cuda", "llvm"),
        ("llvm mcpu=x", "-mcpu="),
        ("llvm -mcpu=cortex-a999 -mtriple=aarch64-linux-gnu", "cortex-a999"),
        ("llvm -mtriple=nonsense", "nonsense"),
        ("llvm -mcup=cortex-a72", "mcup"),
    ],
)
def test_a_target_that_llvm_does_not_know_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        target(tvm_target=text)
    assert str(refused.value).startswith("target.tvm_target: ")


@needs_tvm
def test_what_is_for_another_processor_is_said_to_be_measurable_there_only() -> None:
    import tvm

    here = tvm.target.codegen.llvm_get_system_triple()
    elsewhere = "x86_64-linux-gnu" if here.startswith("aarch64") else "aarch64-linux-gnu"
    cross = target(tvm_target=f"llvm -mtriple={elsewhere}")
    with pytest.raises(ConfigError, match="on such a device only"):
        cross.connect()
    assert [finding.ok for finding in cross.findings()] == [False]
    assert elsewhere in cross.describe()["compiled_for"]


@needs_tvm
def test_a_linker_that_is_not_there_is_told_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match=r"target\.linker"):
        target(linker="no-such-g++").connect()
