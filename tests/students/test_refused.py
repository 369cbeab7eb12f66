"""What does not fit is told in one line before anything is trained, with the key and the nearest valid name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.app.tiny import one_line
from tests.golden.experiment import moco
from tests.students.lessons import lesson


def student(**training: Any) -> dict[str, Any]:
    return {"student": {"model": "digits_resnet6", "training": training}}


def refused(folder: Path, **sections: Any) -> str:
    """The one line of a run that begins no training."""
    out = folder / "run"
    line = one_line(moco("distill", lesson(folder, **sections), "--allow-import", "--out", out), 2)
    assert not list(out.glob("seed*"))
    return line


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"student": None}, "student: is missing"),
        ({"student": {"modle": "digits_resnet6"}}, "student.modle: unknown key; did you mean 'model'?"),
        ({"student": {"model": "digits_resnet7"}}, "unknown model 'digits_resnet7'; did you mean 'digits_resnet"),
        (student(distilation={}), "did you mean 'distillation'?"),
        (
            student(distillation={"temprature": 2}),
            "student.training.distillation.temprature: unknown key; did you mean 'temperature'?",
        ),
        (
            student(distillation={"temperature": -1.0}),
            "student.training.distillation.temperature: expected a finite number above 0, got -1.0",
        ),
        (student(quantization_aware={}), "'quantization_aware' trains no student"),
        (student(distillation={"seconds": 5.0}), "write it as student.processor_seconds"),
        (
            {"student": {"model": "digits_resnet6", "num_classes": 5}},
            "student: the network gives (1, 5), digits (train) has 10 classes",
        ),
        ({"student": {"model": "cifar_resnet8"}}, "student: the network takes images of 3 channels"),
        ({"student": {"model": "digits_resnet6", "weights": "no.safetensors"}}, "no.safetensors"),
        (
            student(fitnets={"hint": "outre"}),
            "student.training.fitnets.hint: the original network has no layer 'outre'; did you mean 'outer'?",
        ),
        (
            student(fitnets={"hint": "linear"}),
            "student.training.fitnets.hint: 'linear' of the original network gives no feature map",
        ),
        (
            student(fitnets={"hint": "outer", "guided": "layer1.0.conv3"}),
            "student.training.fitnets.guided: the network that is trained has no layer 'layer1.0.conv3'; did you mean",
        ),
        (
            {"model": {"import": None, "name": "digits_resnet", "weights": "nothing.safetensors"}},
            "nothing.safetensors",
        ),
        ({"model": {"import": None, "name": "digits_resnet"}}, "model: expected 'weights' or 'train'"),
        ({"objective": {"floor": "-0.01 pp"}}, "data.splits.certification"),
    ],
)  # fmt: skip
def test_it_is_told_before_the_training(sections: dict[str, Any], told: str, tmp_path: Path) -> None:
    assert told in refused(tmp_path, **sections)


def test_images_without_labels_are_refused(tmp_path: Path) -> None:
    images = [{"bytes": b"", "path": None}] * 4
    pq.write_table(pa.table({"img": images}), tmp_path / "bare.parquet")
    bare = str(tmp_path / "bare.parquet")
    out = tmp_path / "run"
    path = lesson(tmp_path, data={"source": "parquet", "train": bare, "test": bare})
    assert "label" in one_line(moco("distill", path, "--allow-import", "--out", out), 1)
    assert not list(out.glob("seed*"))


def test_a_search_passes_the_section_over(tmp_path: Path) -> None:
    path = lesson(tmp_path, student={"model": "digits_resnet6"}, budget={"trials": 1})
    assert moco("search", path, "--allow-import", "--out", tmp_path / "run").exit_code == 0
    assert not list((tmp_path / "run").glob("seed*"))
