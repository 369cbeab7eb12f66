"""The keys of `data` that say which classes are taken and from where the search split is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moco.data.split_data import split_data
from moco.errors import ConfigError
from moco.experiment.build import plan_of
from moco.experiment.identity import resolved
from moco.experiment.loading import experiment_of

MINIMAL: dict[str, Any] = {
    "name": "some",
    "model": {"name": "digits_resnet"},
    "space": {"filter_pruning": {}},
    "target": {"runtime": "onnxruntime"},
    "objective": {"protocol": "accuracy-guaranteed", "floor": "-1 pp"},
}
CLASSES = {"source": "digits", "classes": [6, 1], "splits": {"search_from": "train", "search": 50}}


def of(**data: Any) -> Any:
    return experiment_of({**MINIMAL, "data": {"source": "digits", **data}})


def test_what_is_not_asked_is_not_written(tmp_path: Path) -> None:
    assert resolved(of())["data"] == {"source": "digits", "splits": {}}
    plain, asked = (plan_of(of(**more), tmp_path).recording.settings for more in ({}, {"classes": [0, 1]}))
    assert plain != asked


def test_classes_and_the_search_split_reach_the_images(tmp_path: Path) -> None:
    spec = plan_of(of(**CLASSES), tmp_path).data
    data = split_data(spec)
    assert (spec.classes, spec.search_from) == ((6, 1), "train")
    assert (data.train.classes, data.splits.sizes["search"]) == (2, 50)
    assert np.array_equal(data.images("search")[0], data.train.images(data.splits.search))
    again = experiment_of(resolved(of(**CLASSES)))
    assert plan_of(again, tmp_path).data == spec


def test_a_name_and_a_label_may_stand_side_by_side(tmp_path: Path) -> None:
    assert plan_of(of(classes=["cat", 3]), tmp_path).data.classes == ("cat", 3)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"classes": [-1, 2]}, r"data\.classes"),
        ({"classes": [True, False]}, r"data\.classes"),
        ({"classes": 3}, r"data\.classes"),
        ({"splits": {"search_from": "trian"}}, r"data\.splits\.search_from: .*'train'"),
        ({"source": "mnist_5K"}, r"data\.source: .*'mnist_5k'"),
    ],
)
def test_a_slip_is_refused_with_its_key(data: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        of(**data)
