"""From an experiment to a network and its data: repeatable, warned of, kept apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from moco.data import DataSets, load_data
from moco.data.splits import make_splits
from moco.errors import DataError
from moco.experiment import build
from moco.experiment.loading import experiment_of
from moco.models import trained
from moco.models.trained import network_hash
from moco.run.job import Job
from tests.app.tiny import SPLITS, settings


@pytest.fixture(scope="module")
def digits() -> DataSets:
    return load_data("digits")


def built(given: dict[str, Any], digits: DataSets, out: Path) -> Job:
    return build.build_job(experiment_of(given), out, build.Overrides(data=digits))


def test_a_network_without_weights_is_the_same_each_time_and_warned_of(digits: DataSets, tmp_path: Path) -> None:
    first = built(settings(), digits, tmp_path / "run")
    torch.randn(3)
    job = built(settings(), digits, tmp_path / "run")

    assert network_hash(job.network) == network_hash(first.network)
    assert any("the network's weights are random" in warning for warning in job.warnings)
    other = built(settings(seed=1), digits, tmp_path / "run")
    assert network_hash(other.network) != network_hash(first.network)


def test_a_network_is_trained_on_the_training_split_only(
    digits: DataSets, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(trained, "train", lambda network, images, labels, **_: seen.extend([images, labels]))
    built(settings(model={"train": {"epochs": 1}}), digits, tmp_path / "run")
    rows = make_splits(digits.train.labels, digits.test.labels, SPLITS, 0).train

    assert len(rows) == 1000 - SPLITS["calibration"]
    assert np.array_equal(seen[0], digits.train.images(rows))
    assert np.array_equal(seen[1], digits.train.labels[rows])


def test_a_test_set_that_is_the_training_set_is_refused(digits: DataSets, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="hold the same images"):
        build.build_job(experiment_of(settings()), tmp_path, build.Overrides(data=DataSets(digits.train, digits.train)))


def test_splits_that_are_not_given_fit_a_small_set(digits: DataSets, tmp_path: Path) -> None:
    given = settings()
    given["data"] = {"source": "digits"}
    sizes = built(given, digits, tmp_path / "run").data.splits.sizes
    assert sizes == {"train": 500, "calibration": 500, "search": 398, "certification": 399}
    given["data"] = {"source": "digits", "splits": {"search": 600}}
    assert built(given, digits, tmp_path / "run").data.splits.sizes["certification"] == 197
