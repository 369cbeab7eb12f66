"""Baselines of the real world: made beside a search, measured as the delivered network is, and never in its way."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from moco.errors import CompressionError, ConfigError
from moco.experiment.build import build_job, plan_of
from moco.experiment.loading import experiment_of
from moco.export.static_quantization import statically_quantized
from moco.run.delivery import Finisher
from moco.run.job import Prepared, prepare
from moco.run.rivals import Rivals
from moco.run_folder.result import Result, Rival
from tests.app.tiny import moco, one_line, read, settings

FEW = {"budget": {"trials": 2}}


@pytest.fixture(scope="module")
def prepared(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prepared]:
    """A search that is ready for its first trial."""
    folder = tmp_path_factory.mktemp("baselines")
    experiment = experiment_of(settings(model={"weights": str(weights)}))
    with closing(prepare(build_job(experiment, folder / "run"), folder / "files")) as found:
        yield found


def rivals_of(prepared: Prepared, out: Path, *baselines: Any) -> Rivals:
    plan = plan_of(experiment_of(settings(baselines=list(baselines))), out)
    job = replace(prepared.job, plan=replace(prepared.job.plan, baselines=plan.baselines))
    return Rivals(replace(prepared, job=job), out)


def beside_nothing(rivals: Rivals, out: Path) -> tuple[Rival, ...]:
    """What they show where the search delivered nothing."""
    with closing(Finisher(rivals.prepared, out, [])) as finisher:
        return rivals.beside(None, finisher)


@pytest.fixture
def search(experiment: Any, tmp_path: Path) -> Any:
    """Runs a tiny search with these baselines and gives its result.json."""

    def run(*baselines: Any, more: tuple[str, ...] = (), **sections: Any) -> dict[str, Any]:
        yaml = experiment(**{**FEW, **sections}, baselines=list(baselines))
        done = moco("search", yaml, "--out", tmp_path / "run", *more)
        assert done.exit_code == 0, done.output
        return {**read(tmp_path / "run" / "result.json"), "output": done.output}

    return run


def test_a_search_measures_the_runtimes_own_int8_as_what_it_delivers(finished: Path) -> None:
    result = read(finished / "result.json")
    (rival,) = result["rivals"]
    content = (finished / rival["file"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == rival["sha256"]
    operators = {node.op_type for node in onnx.load_from_string(content).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators
    assert rival["metrics"]["size_mb"] == len(content) / 1e6 < 0.5 * result["reference"]["size_mb"]
    assert rival["intervals"]["cost"][0] <= rival["metrics"]["cost"] <= rival["intervals"]["cost"][1]
    assert rival["unseen"]["lower_bound"] <= rival["unseen"]["estimate"] <= 0.05
    assert 0 < rival["processor_s"] < result["processor_s"]
    assert Result.from_json(result).to_json() == result
    assert "Baselines on the certification images" in (finished / "report.html").read_text(encoding="utf-8")
    assert "quantize_static" in (finished.parent / "stdout.txt").read_text(encoding="utf-8")


def test_a_sibling_is_made_in_float_and_in_int8(prepared: Prepared, weights: Path, tmp_path: Path) -> None:
    rivals = rivals_of(prepared, tmp_path, {"model": "digits_resnet", "weights": str(weights)})
    whole, int8 = beside_nothing(rivals, tmp_path)
    reference = prepared.evaluator.reference.evaluation.metrics
    assert (whole.name, int8.name) == ("digits_resnet", "digits_resnet int8")
    assert whole.metrics["top1_error"] == reference["top1_error"].value
    assert int8.metrics["bops"] < 0.1 * whole.metrics["bops"] == 0.1 * reference["bops"].value
    assert "trained elsewhere" in (whole.note or "")
    assert whole.holds
    assert whole.better  # than no network at all


@pytest.mark.parametrize(
    ("baseline", "words"),
    [
        (
            {"model": "digits_resnet", "num_classes": 12},
            r"^baselines\[0\]: 'digits_resnet' gives 12 logits .*; expected a network .*\(1, 8, 8\) and 10 classes",
        ),
        ({"model": "cifar_resnet20"}, r"^baselines\[0\]: the network takes images of 3 channels .* give another one"),
        ({"model": "digits_resnet", "weights": "absent"}, r"^baselines\[0\]: weights: .*absent.*; expected a network"),
        (
            {"by_hand": {"drop": 5, "epochs": 1}},
            r"^baselines\[0\]\.by_hand\.drop: the network has 3 residual branches .*, got 5; ask for at most 3$",
        ),
    ],
)
def test_what_cannot_be_made_of_this_network_is_one_line(
    prepared: Prepared, tmp_path: Path, baseline: Any, words: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        rivals_of(prepared, tmp_path, baseline).check()
    assert re.search(words, str(refused.value)), refused.value


def test_that_line_comes_before_the_search(experiment: Any, tmp_path: Path) -> None:
    yaml = experiment(baselines=[{"model": "digits_resnet", "num_classes": 12}])
    assert one_line(moco("search", yaml, "--out", tmp_path / "run"), 2).startswith("baselines[0]: ")
    assert not (tmp_path / "run").exists()


def test_one_that_fails_is_a_line_and_the_others_are_shown(prepared: Prepared, weights: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved.safetensors"
    moved.write_bytes(weights.read_bytes())
    rivals = rivals_of(prepared, tmp_path, {"model": "digits_resnet", "weights": str(moved)}, "quantize_static")
    rivals.check()
    moved.unlink()  # while the search ran
    assert [rival.name for rival in beside_nothing(rivals, tmp_path)] == ["quantize_static"]
    (line,) = [text for text in rivals.warnings if "timed with a warning" not in text]
    assert line.startswith("baselines[0]: 'digits_resnet' is left out of the report: baselines[0]: weights: ")


def test_a_file_that_the_runtime_cannot_quantize_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "float.onnx").write_bytes(b"no graph")
    with pytest.raises(CompressionError, match=r"^ONNX Runtime's quantize_static fails: \w+"):
        statically_quantized(tmp_path / "float.onnx", np.zeros((4, 1, 8, 8), np.float32), tmp_path)


def test_what_was_made_is_kept_unless_its_file_has_changed(prepared: Prepared, tmp_path: Path) -> None:
    made: list[str] = []

    def sha256s() -> list[str | None]:
        rivals = rivals_of(prepared, tmp_path, "quantize_static")
        rivals.progress = made.append
        return [rival.sha256 for rival in beside_nothing(rivals, tmp_path)]

    first = sha256s()
    assert sha256s() == first
    assert len(made) == 1
    (tmp_path / "baselines" / "quantize_static" / "model.onnx").write_bytes(b"nothing")
    assert sha256s() == first
    assert len(made) == 2


@pytest.mark.slow
def test_a_resumed_search_has_the_same_baselines_and_makes_none_again(search: Any, tmp_path: Path) -> None:
    search("quantize_static")
    again = search("quantize_static", more=("--resume",), budget={"trials": 3})
    assert "making the baseline" not in again["output"]
    assert len(again["rivals"]) == 1
    assert search(more=("--resume",), budget={"trials": 4})["rivals"] == []


@pytest.mark.slow
def test_what_is_made_by_hand_lacks_a_branch_and_is_trained(search: Any, tmp_path: Path) -> None:
    result = search({"by_hand": {"drop": 1, "processor_seconds": 3.0}}, "quantize_static")
    told = [text for text in result["warnings"] if "by_hand" in text]
    assert all("was timed with a warning" in text for text in told)  # timings may be doubted on a busy machine
    by_hand, static = result["rivals"]
    assert by_hand["metrics"]["parameters"] < static["metrics"]["parameters"]
    assert by_hand["metrics"]["size_mb"] < static["metrics"]["size_mb"]
    assert by_hand["processor_s"] > 3.0
    assert by_hand["metrics"]["top1_error"] < 0.3
