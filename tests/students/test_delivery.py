"""What `moco distill` leaves in its folder is what it says, and an interrupted run ends as one that was not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file

from moco.errors import RunFolderError
from moco.experiment.student import distilled, load_student
from moco.models import build_model
from moco.recovery.checkpoint import Checkpoint, Progress
from moco.run.job import Prepared
from moco.run_folder.seal import check_seal
from moco.students.record import read_record
from moco.students.training import Teaching
from tests.app.tiny import one_line
from tests.golden.experiment import moco
from tests.students.conftest import Finished
from tests.students.lessons import STUDENT, lesson


def logits_of(path: Path, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path))
    return np.asarray(session.run(["logits"], {"input": images})[0])


def test_each_file_has_the_accuracy_that_is_told_of_it(finished: Finished, prepared: Prepared) -> None:
    images, labels = prepared.job.data.images("certification")
    [seed] = finished.record.seeds
    assert [Path(str(file.file)).name for file in seed.files] == ["model.onnx", "model_int8.onnx"]
    for file in seed.files:
        right = logits_of(finished.out / str(file.file), images).argmax(1) == labels
        low, high = file.accuracy_interval
        assert file.accuracy == pytest.approx(right.mean())
        assert low < file.accuracy < high
        assert file.change_pp == pytest.approx(100 * (file.accuracy - finished.record.teacher.accuracy))


def test_the_student_has_learned_and_holds_the_floor(finished: Finished) -> None:
    assert finished.record.delivered.accuracy > 0.85  # chance is 0.1
    assert finished.record.holds
    losses = finished.record.chosen.losses
    assert len(losses) == 12
    assert losses[-1] < losses[0]
    assert finished.record.processor_s > finished.record.chosen.processor_s > 0


def test_the_delivered_weights_are_those_of_the_delivered_file(finished: Finished, prepared: Prepared) -> None:
    images = prepared.job.data.images("certification")[0][:50]
    network = build_model("digits_resnet6")
    network.load_state_dict(load_file(finished.out / "best" / "network.safetensors"), strict=False)
    with torch.no_grad():
        given = network(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(logits_of(finished.out / "seed0" / "model.onnx", images), given, atol=1e-3)
    chosen = finished.out / str(finished.record.delivered.file)
    assert (finished.out / "best" / "model.onnx").read_bytes() == chosen.read_bytes()


def test_the_folder_is_that_of_a_delivery(finished: Finished) -> None:
    best = finished.out / "best"
    assert {path.name for path in best.iterdir()} == {
        "SHA256SUMS", "card.md", "certificate.json", "model.onnx", "network.safetensors",
    }  # fmt: skip
    check_seal(best)
    assert read_record(finished.out) == finished.record
    assert json.loads((best / "certificate.json").read_text()) == finished.record.certificate.to_json()
    assert list(finished.out.glob("seed*/training*")) == []
    assert str(finished.record.certificate.statement) in (finished.out / "student.txt").read_text()


def test_the_card_says_what_is_certified_and_beside_what(finished: Finished) -> None:
    card = (finished.out / "best" / "card.md").read_text()
    assert "**certified.**" in card
    assert f"| MACs | 525,632 | {int(finished.record.teacher.metrics['macs']):,} |" in card
    assert 'onnxruntime.InferenceSession("model.onnx")' in card


def test_a_finished_run_is_read_and_not_trained_again(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Teaching, "train", None)
    experiment = load_student(finished.experiment, allow_import=True)
    again = distilled(experiment, finished.out, resume=True, modules=finished.experiment.parent)
    assert again == finished.record


def test_an_interrupted_training_ends_at_the_same_bytes(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []

    def write(checkpoint: Checkpoint, progress: Progress, write: Any = Checkpoint.write) -> None:
        write(checkpoint, progress)
        written.append(len(progress.losses))
        if len(written) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr("moco.recovery.checkpoint.EPOCH_SECONDS", 0.0)
    monkeypatch.setattr(Checkpoint, "write", write)
    path, out = lesson(tmp_path), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        distilled(load_student(path, allow_import=True), out, modules=tmp_path)
    assert len(list(out.glob("seed0/training-*.safetensors"))) == 1
    assert written == [15, 30, 45, 60]  # an epoch is 15 steps of 64 images
    with pytest.raises(RunFolderError, match="--resume"):
        distilled(load_student(path, allow_import=True), out, modules=tmp_path)

    record = distilled(load_student(path, allow_import=True), out, resume=True, modules=tmp_path)
    assert written[4] == 75, "it goes on from the last whole epoch"
    assert record.chosen.losses == finished.record.chosen.losses
    assert [file.sha256 for file in record.chosen.files] == [file.sha256 for file in finished.record.chosen.files]
    name = "seed0/network.safetensors"
    assert (out / name).read_bytes() == (finished.out / name).read_bytes()


def test_students_that_miss_the_floor_are_told_and_the_best_is_delivered(tmp_path: Path) -> None:
    student = {**STUDENT, "seeds": 2, "training": {"fine_tuning": {"epochs": 1, "learning_rate": 0.001}}}
    path = lesson(tmp_path, student=student, seed=3)
    done = moco("distill", path, "--allow-import", "--out", tmp_path / "run", "--quiet")
    record = read_record(tmp_path / "run")
    assert done.exit_code == 3
    assert done.stdout.strip().endswith("not certified")
    assert [seed.seed for seed in record.seeds] == [3, 4]
    assert record.seeds[0].losses != record.seeds[1].losses
    assert record.certificate.holds is False
    assert len(record.certificate.attempts) == 2  # as many as the experiment allows


def test_another_student_does_not_go_on_in_the_folder(finished: Finished, tmp_path: Path) -> None:
    shutil.copytree(finished.out, out := tmp_path / "run")
    given = ("distill", finished.experiment, "--allow-import", "--out", out)
    assert "holds results already" in one_line(moco(*given), 2)
    told = one_line(moco(*given, "--resume", "--set", "student.training.distillation.temperature=2"), 2)
    assert "belongs to another run: other student" in told


def test_a_search_is_not_written_over(finished: Finished, tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text("{}")
    given = ("distill", finished.experiment, "--allow-import", "--out", tmp_path)
    assert "holds a search" in one_line(moco(*given, "--resume"), 2)
    assert "holds results already" in one_line(moco(*given), 2)
    (tmp_path / "result.json").unlink()
    (tmp_path / "student.json").write_text("{}")
    assert "holds results already" in one_line(
        moco("search", finished.experiment, "--allow-import", "--out", tmp_path), 2
    )
