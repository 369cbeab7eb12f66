"""Searching in stages: the folders, the front of all of them, and going on where it was interrupted."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from moco.errors import RunFolderError
from moco.evaluation.evaluator import Evaluator
from moco.metrics import PACKED_SIZE, TOP1_ERROR
from moco.report.stages_page import stages_page
from moco.run_folder.stages import FrontPoint, StagesRecord
from moco.stages.fronts import front_of
from moco.stages.search import search_in_stages
from moco.stages.staged import staged_experiment
from tests.app.tiny import moco, one_line, read
from tests.stages.conftest import Finished

HERE = "stages.json"


def test_each_stage_has_a_run_folder_and_all_have_one_record_and_page(finished: Finished) -> None:
    names = ["stage-1-channels", "stage-2-weights", "stage-3-bits"]
    assert sorted(path.name for path in finished.out.iterdir()) == [*names, "stages.html", HERE]
    for name in names:
        assert (finished.out / name / "best" / "network.safetensors").is_file()
        assert (finished.out / name / "report.html").is_file()
    record = StagesRecord.from_json(read(finished.out / HERE))
    assert record == finished.record
    assert (record.planned, record.delivered) == (("channels", "weights", "bits"), "stage-3-bits/best")
    assert record.certificate is not None
    assert record.holds is True


def _networks(finished: Finished) -> list[tuple[int, int, float, float]]:
    """Stage, trial, packed size and error of each network that keeps its stage's bounds."""
    found = []
    for stage in finished.record.stages:
        for trial in read(finished.out / stage.folder / "trials.json"):
            if trial["feasible"] and trial["distinct"]:
                metrics = trial["evaluation"]["metrics"]
                found.append((stage.number, trial["number"], metrics[PACKED_SIZE][0], metrics[TOP1_ERROR][0]))
    return found


def test_the_front_is_of_all_stages_over_size_and_accuracy(finished: Finished) -> None:
    networks = _networks(finished)
    beaten = {
        one[:2]
        for one in networks
        for other in networks
        if other[2] <= one[2] and other[3] <= one[3] and other[2:] != one[2:]
    }
    expected = {one[2:] for one in networks if one[:2] not in beaten}
    front = finished.record.front
    assert {(point.metrics[PACKED_SIZE], point.metrics[TOP1_ERROR]) for point in front} == expected
    assert [point.metrics[PACKED_SIZE] for point in front] == sorted(point.metrics[PACKED_SIZE] for point in front)
    sizes = [stage.best.metrics[PACKED_SIZE] for stage in finished.record.stages if stage.best is not None]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == 3


def test_a_network_that_another_stage_beats_is_not_on_the_front() -> None:
    def point(stage: int, size: float, error: float) -> FrontPoint:
        return FrontPoint(stage=stage, trial=0, metrics={PACKED_SIZE: size, TOP1_ERROR: error})

    small, middle, large, beaten = point(3, 0.1, 0.3), point(2, 0.2, 0.2), point(1, 0.5, 0.1), point(1, 0.4, 0.2)
    assert front_of([large, beaten, middle, small]) == (small, middle, large)


def test_the_page_tells_accuracies_as_such_and_what_each_stage_kept(finished: Finished) -> None:
    page = (finished.out / "stages.html").read_text(encoding="utf-8")
    assert page == stages_page(finished.record)
    assert "top-1 accuracy" in page
    assert "top-1 error" not in page
    assert "top-1 before recovery" in page
    assert "3 bits kept as it was found, by number of layers: channel pruning" in page


def test_the_stages_before_the_last_tested_one_network_each(finished: Finished) -> None:
    for stage in finished.record.stages[:2]:
        log = read(finished.out / stage.folder / "certification.json")
        assert [len(answer["tried"]) for answer in log["answers"].values()] == [1]


def _found(record: StagesRecord) -> dict[str, Any]:
    """What does not depend on how long it took."""
    data = record.to_json()
    for stage in data["stages"]:
        stage.pop("processor_s")
    return data


def _interrupt(monkeypatch: pytest.MonkeyPatch, at: int, times: int) -> None:
    """Press Ctrl-C so often while that network is evaluated, counted over all stages."""
    evaluate, calls = Evaluator.evaluate, []

    def pressed(self: Evaluator, policy: Any) -> Any:
        calls.append(policy)
        if len(calls) == at:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
        return evaluate(self, policy)

    monkeypatch.setattr(Evaluator, "evaluate", pressed)


@pytest.mark.slow
def test_a_search_that_was_cut_off_goes_on_to_the_same_end(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        _interrupt(patch, at=6, times=2)  # in the second stage, of four networks each
        assert moco("search", finished.path, "--out", out).exit_code == 1
    assert (out / "stage-1-channels" / "result.json").is_file()
    assert not (out / "stage-2-weights" / "result.json").exists()
    assert not (out / HERE).exists()
    first = (out / "stage-1-channels" / "result.json").read_bytes()

    assert moco("search", finished.path, "--out", out, "--resume").exit_code == 0

    assert (out / "stage-1-channels" / "result.json").read_bytes() == first  # it was over
    assert _found(StagesRecord.from_json(read(out / HERE))) == _found(finished.record)


@pytest.mark.slow
def test_a_stage_that_its_user_ends_is_the_last_until_it_is_resumed(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        _interrupt(patch, at=2, times=1)
        said = moco("search", finished.path, "--out", out)
    assert said.exit_code == 3
    (note,) = read(out / HERE)["notes"]
    assert note == "stage 1 'channels' was ended by its user; --resume goes on with it"
    assert (read(out / HERE)["delivered"], read(out / HERE)["holds"]) == (None, None)
    assert sorted(path.name for path in out.iterdir()) == ["stage-1-channels", "stages.html", HERE]
    assert "1 of 3 stages; stage 1" in (out / "stages.html").read_text(encoding="utf-8")

    assert moco("search", finished.path, "--out", out, "--resume").exit_code == 0
    assert _found(StagesRecord.from_json(read(out / HERE))) == _found(finished.record)


def test_stages_that_are_over_stay_and_the_last_is_ended_anew(finished: Finished, tmp_path: Path) -> None:
    """Nothing is evaluated; paths in a stage's settings are absolute, so the folder has to stay where it is."""
    before = {path: path.read_bytes() for path in finished.out.glob("stage-[12]*/result.json")}
    again = search_in_stages(staged_experiment(finished.path), finished.out, folder=finished.path.parent, resume=True)
    assert _found(again) == _found(finished.record)
    assert {path: path.read_bytes() for path in before} == before


def test_a_folder_of_other_stages_is_not_gone_on_with(finished: Finished) -> None:
    other = staged_experiment(finished.path, ("stages.channels.space.channel_pruning.keep=[0.5, 0.9]",))
    with pytest.raises(RunFolderError, match=r"belongs to another experiment \('tiny\.channels'\): other settings"):
        search_in_stages(other, finished.out, folder=finished.path.parent, resume=True)


def test_a_handed_on_file_that_was_changed_is_refused(finished: Finished, tmp_path: Path) -> None:
    out = shutil.copytree(finished.out, tmp_path / "run")
    policy = out / "stage-1-channels" / "best" / "policy.json"
    policy.write_text(json.dumps(json.loads(policy.read_text()) | {"network": "other"}))
    with pytest.raises(RunFolderError, match=r"policy\.json: is not the file that was delivered"):
        search_in_stages(staged_experiment(finished.path), out, folder=finished.path.parent, resume=True)


def test_without_resume_a_held_folder_is_refused(finished: Finished) -> None:
    line = one_line(moco("search", finished.path, "--out", finished.out), 2)
    assert "--resume" in line
