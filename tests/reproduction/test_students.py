"""T4.2: who is taught by whom, and how."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from moco.reproduction.cards.students import ALONE, DISTILLED, HINTED, classes
from moco.reproduction.setting import Setting

EXPERIMENT = Path(__file__).parents[2] / "experiments" / "distill_resnet20_to_resnet14.yaml"


def test_the_full_scale_trains_a_resnet14_as_the_experiment_does() -> None:
    given = yaml.safe_load(EXPERIMENT.read_text(encoding="utf-8"))
    found = next(one for one in classes(Setting(True, 0, Path())) if one.teacher.model == given["model"]["name"])

    (student,), (way,) = found.students, found.ways
    assert (student.model, dict(student.options)) == (given["student"]["model"], given["student"]["options"])
    assert way == DISTILLED
    for name, value in given["student"]["training"]["distillation"].items():
        assert getattr(found.plan, name) == value, name


@pytest.mark.parametrize("full", [False, True])
def test_a_scale_has_students_that_learn_in_all_three_ways(full: bool) -> None:
    """Q09 compares nothing else."""
    (compared,) = [one for one in classes(Setting(full, 0, Path())) if len(one.ways) > 1]
    assert compared.ways == (ALONE, DISTILLED, HINTED)
