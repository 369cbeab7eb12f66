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
from moco.run.job import network_hash
from tests.app.tiny import SPLITS, settings


@pytest.fixture(scope="module")
def digits() -> DataSets:
    return load_data("digits")


def test_a_network_without_weights_is_the_same_each_time_and_warned_of(digits: DataSets, tmp_path: Path) -> None:
    experiment = experiment_of(settings())
    first = build.build_network(experiment, digits)
    torch.randn(3)
    job = build.build_job(experiment, tmp_path / "run", build.Overrides(data=digits))

    assert network_hash(job.network) == network_hash(first)
    assert any("the network's weights are random" in warning for warning in job.warnings)
    other = build.build_network(experiment_of(settings(seed=1)), digits)
    assert network_hash(other) != network_hash(first)


def test_a_network_is_trained_on_the_training_split_only(digits: DataSets, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(build, "train", lambda network, images, labels, **_: seen.extend([images, labels]))
    build.build_network(experiment_of(settings(model={"train": {"epochs": 1}})), digits)
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
    sizes = build.build_job(experiment_of(given), tmp_path / "run", build.Overrides(data=digits)).split_sizes
    assert sizes == {"calibration": 500, "search": 398, "certification": 399}
    given["data"] = {"source": "digits", "splits": {"search": 600}}
    assert (
        build.build_job(experiment_of(given), tmp_path / "run", build.Overrides(data=digits)).split_sizes[
            "certification"
        ]
        == 197
    )
