"""A search on several runtimes: each its own run folder and delivery, and what they deliver timed in turn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moco.run_folder.reading import read_run
from tests.app.tiny import moco, one_line, write

RUNTIMES = ("openvino", "onnxruntime")
FAST = {"budget": {"trials": 4}, "certificate": {"seconds": 0.05}}


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runtimes")
    done = moco("search", write(folder / "tiny.yaml", **FAST), "--targets", ",".join(RUNTIMES), "--out", folder / "run")
    assert done.exit_code in {0, 3}, done.output
    return folder / "run"


@pytest.mark.slow
def test_each_runtime_has_a_run_folder_of_its_own(searched: Path) -> None:
    assert [read_run(searched / name).manifest.hardware["runtime"] for name in RUNTIMES] == list(RUNTIMES)
    assert all((searched / name / "report.html").exists() for name in RUNTIMES)


@pytest.mark.slow
def test_what_they_deliver_is_timed_in_turn_relative_to_the_first(searched: Path) -> None:
    found = json.loads((searched / "runtimes.json").read_text(encoding="utf-8"))
    first, second = found["side_by_side"]["latency_ms"]
    assert [first["runtime"], second["runtime"]] == list(RUNTIMES)
    assert second["value"] == pytest.approx(first["value"] * second["ratio"]["value"])
    assert [profile["metrics"]["size_mb"]["value"] for profile in found["profiles"]] == [
        (searched / name / "best" / "model.onnx").stat().st_size / 1e6 for name in RUNTIMES
    ]
    assert all(note.startswith(name) for note, name in zip(found["notes"], RUNTIMES, strict=True))
    assert "Side by side" in (searched / "runtimes.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_search_that_is_over_is_not_run_again(searched: Path) -> None:
    before = [(searched / name / "trials.json").read_bytes() for name in RUNTIMES]
    again = moco(
        "search", searched.parent / "tiny.yaml", "--targets", ",".join(RUNTIMES), "--out", searched, "--resume"
    )
    assert again.exit_code in {0, 3}, again.output
    assert [(searched / name / "trials.json").read_bytes() for name in RUNTIMES] == before


def test_an_unknown_runtime_is_refused_before_any_search(tmp_path: Path) -> None:
    done = moco("search", write(tmp_path / "tiny.yaml"), "--targets", "onnxruntime,openvin", "--out", tmp_path / "run")
    assert "did you mean 'openvino'" in one_line(done, 2)
    assert not (tmp_path / "run").exists()
