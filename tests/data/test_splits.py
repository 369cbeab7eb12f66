"""Splits: stratified, seeded, disjoint, and clear about what does not fit (W05)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moco.data.splits import Splits, check_disjoint, index_hash, make_splits
from moco.errors import ConfigError, DataError

TRAIN = np.repeat(np.arange(4), 25)
TEST = np.repeat(np.arange(4), 20)
SIZES = {"calibration": 20, "search": 20, "certification": 40}


def test_sizes_are_those_asked_and_train_takes_the_rest() -> None:
    splits = make_splits(TRAIN, TEST, SIZES, seed=0)

    assert splits.sizes == {"train": 80, "calibration": 20, "search": 20, "certification": 40}


def test_each_split_has_the_classes_in_proportion() -> None:
    splits = make_splits(TRAIN, TEST, SIZES, seed=0)

    assert np.bincount(TRAIN[splits.calibration]).tolist() == [5, 5, 5, 5]
    assert np.bincount(TEST[splits.search]).tolist() == [5, 5, 5, 5]
    assert np.bincount(TEST[splits.certification]).tolist() == [10, 10, 10, 10]


def test_training_and_calibration_make_up_the_training_set() -> None:
    splits = make_splits(TRAIN, TEST, SIZES, seed=0)

    assert np.array_equal(np.sort(np.concatenate([splits.train, splits.calibration])), np.arange(100))


def test_indices_are_sorted_so_that_reading_is_sequential() -> None:
    splits = make_splits(TRAIN, TEST, SIZES, seed=0)

    assert all(np.all(np.diff(part) > 0) for part in (splits.train, splits.calibration, splits.search))


@given(
    labels=st.lists(st.integers(0, 4), min_size=2, max_size=80),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_labels_give_disjoint_splits_within_one_image_of_proportion(
    labels: list[int], share: float, seed: int
) -> None:
    test = np.array(labels)
    search = min(max(int(share * len(test)), 1), len(test) - 1)
    sizes = {"calibration": 1, "search": search, "certification": len(test) - search}

    splits = make_splits(TRAIN, test, sizes, seed)

    assert not set(splits.search) & set(splits.certification)
    expected = np.bincount(test) * search / len(test)
    assert np.abs(np.bincount(test[splits.search], minlength=len(expected)) - expected).max() <= 1


def test_the_same_seed_gives_the_same_splits_and_another_seed_others() -> None:
    first = make_splits(TRAIN, TEST, SIZES, seed=1)

    assert make_splits(TRAIN, TEST, SIZES, seed=1).hashes == first.hashes
    assert make_splits(TRAIN, TEST, SIZES, seed=2).hashes["search"] != first.hashes["search"]


def test_splits_are_the_same_in_every_process_and_version() -> None:
    # A golden value: a change of it makes every certificate so far unrepeatable.
    golden = [0, 3, 4, 6, 19, 24, 29, 30, 36, 38, 41, 45, 48, 49, 57, 61, 65, 68, 71, 77]

    assert make_splits(TRAIN, TEST, SIZES, seed=0).search.tolist() == golden


def test_the_search_split_does_not_depend_on_the_size_of_the_certification_split() -> None:
    smaller = make_splits(TRAIN, TEST, {**SIZES, "certification": 8}, seed=0)

    assert np.array_equal(smaller.search, make_splits(TRAIN, TEST, SIZES, seed=0).search)


def test_the_hash_follows_the_indices_and_not_their_type() -> None:
    assert index_hash(np.array([1, 2], dtype=np.int32)) == index_hash(np.array([1, 2], dtype=np.int64))
    assert index_hash(np.array([1, 2])) != index_hash(np.array([1, 3]))


def test_overlapping_splits_are_refused() -> None:
    splits = make_splits(TRAIN, TEST, SIZES, seed=0)
    leaked = replace(splits, search=np.append(splits.search, splits.certification[0]))

    with pytest.raises(DataError, match=r"'search' and 'certification' share 1 images, the first is image \d+"):
        check_disjoint(leaked)


def test_a_repeated_image_is_refused() -> None:
    part = np.array([3, 3])
    with pytest.raises(DataError, match="split 'train' holds image 3 more than once"):
        check_disjoint(Splits(part, np.array([1]), np.array([0]), np.array([1])))


def test_the_same_index_in_the_training_and_the_test_set_is_another_image() -> None:
    check_disjoint(Splits(np.array([0]), np.array([1]), np.array([0]), np.array([1])))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"calibration": 101}, r"data\.splits\.calibration: 101 images asked, the training set has 100"),
        ({"search": 81}, r"data\.splits\.search: 81 images asked, the test set has 80"),
        ({"certification": 61}, r"data\.splits\.certification: 61 images asked, the test set has 80, 20 of them"),
        ({"search": 0}, r"data\.splits\.search: expected at least 1 image, got 0"),
        ({"certify": 3}, r"data\.splits: expected the sizes of calibration, search, certification; got .*certify"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_with_the_key(change: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_splits(TRAIN, TEST, {**SIZES, **change}, seed=0)


def test_a_search_split_of_the_training_set_leaves_the_test_set_to_the_certificate() -> None:
    splits = make_splits(TRAIN, TEST, {"calibration": 12, "search": 20, "certification": 80}, 0, "train")

    assert splits.sizes == {"train": 68, "calibration": 12, "search": 20, "certification": 80}
    parts = [splits.train, splits.calibration, splits.search]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(100))
    assert np.bincount(TRAIN[splits.search]).tolist() == [5, 5, 5, 5]
    assert np.bincount(TRAIN[splits.calibration]).tolist() == [3, 3, 3, 3]
    assert all(np.all(np.diff(part) > 0) for part in parts)
    assert splits.from_train == ("train", "calibration", "search")


def test_a_search_split_of_the_training_set_depends_on_its_own_size_only() -> None:
    few, many = (
        make_splits(TRAIN, TEST, {"calibration": n, "search": 20, "certification": n}, 3, "train") for n in (4, 40)
    )

    assert np.array_equal(few.search, many.search)


def test_the_same_indices_of_another_set_have_another_hash() -> None:
    splits = make_splits(TRAIN, TEST, SIZES, seed=0)
    moved = replace(splits, search_from="train")

    assert moved.hashes["search"] != splits.hashes["search"]
    assert {**moved.hashes, "search": ""} == {**splits.hashes, "search": ""}


def test_images_of_the_training_set_are_in_one_of_its_three_splits() -> None:
    splits = make_splits(TRAIN, TEST, {"calibration": 12, "search": 20, "certification": 80}, 0, "train")
    shared = replace(splits, search=splits.calibration)

    with pytest.raises(DataError, match="splits 'calibration' and 'search' share 12 images"):
        check_disjoint(shared)


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ({"search": 101}, r"data\.splits\.search: 101 images asked, the training set has 100$"),
        (
            {"search": 60, "calibration": 41},
            r"data\.splits\.calibration: 41 images asked, the training set has 100, 60 of them in data\.splits\.search",
        ),
        ({"certification": 81}, r"data\.splits\.certification: 81 images asked, the test set has 80$"),
    ],
)
def test_a_split_that_the_training_set_cannot_fill_is_refused(sizes: dict[str, int], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        make_splits(TRAIN, TEST, {**SIZES, **sizes}, 0, "train")
