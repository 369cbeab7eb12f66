"""The model card: what is certified, how good it is, and a snippet that runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from moco.report.card import card
from moco.report.snippet import onnxruntime_snippet
from tests.report.example_run import manifest, result, trials


@pytest.fixture
def example() -> dict[str, Any]:
    return result(trials())


def test_the_card_states_verdict_certificate_and_reference(example: dict[str, Any]) -> None:
    text = card(example, manifest())
    assert "**certified.** ResNet-20 at 0.30x the cost" in text
    assert "> On 4,000 images that the search never saw" in text
    assert "- lower bound: -1.71 pp" in text
    assert re.search(r"\| latency \| 0\.\d+ ms \[0\.\d+, 0\.\d+\] \| 1\.412 ms \| 0\.38x \|", text)


def test_a_network_without_a_certificate_is_called_uncertified(example: dict[str, Any]) -> None:
    assert "Not certified on unseen images." in card(example | {"certificate": None}, manifest())


def test_text_cannot_break_a_table_or_start_markup(example: dict[str, Any]) -> None:
    text = card(example | {"experiment": "a|b\n# c <b>"}, manifest())
    assert text.startswith("# a\\|b # c \\<b>\n")


def test_a_card_without_a_network_has_no_numbers_of_one(example: dict[str, Any]) -> None:
    assert "| top-1 | n/a | 91.90 % |" in card(example | {"best": None, "baselines": []}, manifest())


@pytest.mark.parametrize("known", [True, False])
def test_the_snippet_runs_as_it_stands(example: dict[str, Any], tmp_path: Path, known: bool) -> None:
    about = manifest()
    if not known:
        about["network"].pop("input_shape")
    write_network(tmp_path / "model.onnx")
    code = card(example, about).split("```python\n")[1].split("```")[0]
    assert len(code.splitlines()) == 5
    check = "assert labels.shape == (1,) and labels[0] == 2, labels"
    subprocess.run([sys.executable, "-c", code + check], cwd=tmp_path, check=True, timeout=60)


def test_without_normalisation_the_images_go_in_as_they_are() -> None:
    code = onnxruntime_snippet({"network": {"input_shape": [1, 8, 8]}}, "model.onnx")
    assert '{"input": images}' in code
    assert "(1, 1, 8, 8)" in code


def write_network(path: Path) -> None:
    """A network whose logits are the means of the three channels: a black image, once normalised, is class 2."""
    node = [
        helper.make_node("GlobalAveragePool", ["input"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["logits"]),
    ]
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 32, 32])
    found = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])
    model = helper.make_model(
        helper.make_graph([*node], "means", [given], [found]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    onnx.save(model, path)
