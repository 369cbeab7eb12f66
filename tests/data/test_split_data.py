"""The splits of a specification: which images each holds, and the sizes where none are given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moco.data import DataSets, load_data
from moco.data.split_data import DataSpec, split_data
from moco.errors import DataError


def test_a_search_split_of_the_training_set_is_a_fifth_of_it() -> None:
    data = split_data(DataSpec("digits", search_from="train"))
    assert data.splits.sizes == {"train": 400, "calibration": 400, "search": 200, "certification": 797}


def test_its_images_are_of_the_training_set_and_in_no_other_split() -> None:
    data = split_data(DataSpec("digits", search_from="train", calibration=100))
    whole = load_data("digits").train
    images, labels = data.images("search")
    assert np.array_equal(images, whole.images(data.splits.search))
    assert np.array_equal(labels, whole.labels[data.splits.search])
    for other in ("train", "calibration", "certification"):
        flat = np.concatenate([images, data.images(other)[0]]).reshape(-1, 64)
        assert len(np.unique(flat, axis=0)) == len(flat)
    assert data.set_of("certification") is data.test


def test_it_is_said_that_a_network_may_have_seen_them() -> None:
    (line,) = split_data(DataSpec("digits", search_from="train", search=150)).warnings
    assert line.startswith("the search split is 150 images of the training set: a network that was trained on them")
    assert split_data(DataSpec("digits", search_from="test")).warnings == ()


def test_images_that_stand_twice_in_the_training_set_are_found() -> None:
    sets = load_data("digits")
    twice = np.arange(len(sets.train)) // 2
    train = replace(
        sets.train,
        labels=sets.train.labels[twice],
        read=lambda rows: sets.train.read(twice[rows]),
        hashes=replace(sets.train.hashes, of=lambda rows: sets.train.hashes.of(twice[rows])),
    )
    doubled = DataSets(train, sets.test)
    told = r"\d+ of 200 search images of digits \(train\) are also among its other images"
    with pytest.raises(DataError, match=told):
        split_data(DataSpec("python", search_from="train"), doubled)
    lines = split_data(DataSpec("python", search_from="train", allow_duplicates=True), doubled).notes
    assert len(lines) == 2


def test_a_test_set_that_copies_the_training_set_is_refused() -> None:
    sets = load_data("digits")
    copied = DataSets(sets.train, replace(sets.train, content_hash="another"))
    with pytest.raises(DataError, match=r"1000 of 1000 certification images of .* are also in the training set"):
        split_data(DataSpec("python", search_from="train"), copied)
