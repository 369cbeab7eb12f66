"""The model card: what is certified, how good it is, and a snippet that runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from moco.app.deployment import snippet
from moco.report.card import card
from moco.run_folder.manifest import Manifest, NetworkRecord
from moco.run_folder.result import Result
from tests.report.example_run import manifest, result, trials


@pytest.fixture
def example() -> Result:
    return Result.from_json(result(trials()))


def about(**changes: Any) -> Manifest:
    return replace(Manifest.from_json(manifest()), **changes)


def test_the_card_states_verdict_certificate_and_reference(example: Result) -> None:
    text = card(example, about())
    assert "**certified.** ResNet-20 at 0.30x the cost" in text
    assert "> On 4,000 images that the search never saw" in text
    assert "- lower bound: -1.71 pp" in text
    assert re.search(r"\| latency \| 0\.\d+ ms \[0\.\d+, 0\.\d+\] \| 1\.412 ms \| 0\.38x \|", text)


def test_the_card_names_the_delivered_file_and_the_one_that_holds_the_classes(example: Result) -> None:
    described = replace(example, description={"classes": ["cat", "dog"]})
    usual, other = card(described, about()), card(described, about(), file="model.tflite")
    assert "`model.onnx` takes normalised" in usual
    assert "`model.onnx` holds them as metadata" in usual
    assert "model.onnx" not in other
    assert "`model.tflite` takes normalised" in other
    assert "`network.safetensors` holds them as metadata" in other


def test_a_network_without_a_certificate_is_called_uncertified(example: Result) -> None:
    assert "Not certified on unseen images." in card(replace(example, certificate=None), about())


def test_the_trials_are_those_that_were_finished(example: Result) -> None:
    text = card(replace(example, trials=10, distinct=8, feasible=5), about())
    assert "- Trials: 10 finished, 8 distinct, 5 feasible" in text


def test_text_cannot_break_a_table_or_start_markup(example: Result) -> None:
    text = card(replace(example, experiment="a|b\n# c <b>"), about())
    assert text.startswith("# a\\|b # c \\<b>\n")


def test_a_card_without_a_network_has_no_numbers_of_one(example: Result) -> None:
    assert "| top-1 | n/a | 91.90 % |" in card(replace(example, best=None, baselines=()), about())


@pytest.mark.parametrize("known", [True, False])
def test_the_snippet_runs_as_it_stands(example: Result, tmp_path: Path, known: bool) -> None:
    network = about().network if known else replace(about().network, input_shape=None)
    write_network(tmp_path / "model.onnx")
    manifest_of_it = about(network=network)
    code = card(example, manifest_of_it, snippet(manifest_of_it, "model.onnx")).split("```python\n")[1].split("```")[0]
    assert len(code.splitlines()) == 5
    check = "assert labels.shape == (1,) and labels[0] == 2, labels"
    subprocess.run([sys.executable, "-c", code + check], cwd=tmp_path, check=True, timeout=60)


def test_without_normalisation_the_images_go_in_as_they_are() -> None:
    code = snippet(Manifest(network=NetworkRecord(input_shape=(1, 8, 8))), "model.onnx")
    assert code is not None
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
