"""Some classes of a set: the right images, numbered as asked, and a network's outputs as it was trained with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moco.data import DataSets, load_data, of_classes
from moco.data.split_data import DataSpec, split_data
from moco.errors import ConfigError


def named(names: tuple[str, ...]) -> DataSets:
    sets = load_data("digits")
    return DataSets(*(replace(one, class_names=names) for one in (sets.train, sets.test)))


DIGITS = tuple(f"digit {n}" for n in range(10))


def test_the_images_are_those_of_the_classes_in_the_order_asked() -> None:
    whole = load_data("digits")
    part = of_classes(whole, [7, 0, 3])
    assert part.train.classes == part.test.classes == 3
    for here, there in ((part.train, whole.train), (part.test, whole.test)):
        for number, digit in enumerate((7, 0, 3)):
            found = here.images(np.flatnonzero(here.labels == number))
            assert np.array_equal(found, there.images(np.flatnonzero(there.labels == digit)))


def test_one_image_is_read_by_its_new_row() -> None:
    whole = load_data("digits").test
    part = of_classes(load_data("digits"), [4, 9]).test
    row = np.flatnonzero(np.isin(whole.labels, [4, 9]))[5]
    assert np.array_equal(part.images(np.array([5])), whole.images(np.array([row])))


def test_classes_are_also_called_by_name() -> None:
    part = of_classes(named(DIGITS), ["digit 8", 1])
    assert part.train.class_names == ("digit 8", "digit 1")
    assert part.train.content_hash == of_classes(load_data("digits"), [8, 1]).train.content_hash
    assert part.train.content_hash != of_classes(load_data("digits"), [1, 8]).train.content_hash


def test_a_search_has_as_many_classes_and_says_which() -> None:
    data = split_data(DataSpec("digits", classes=(2, 5)))
    assert data.train.classes == 2
    assert set(data.images("search")[1]) == {0, 1}
    (line,) = data.warnings
    assert line.endswith("2 = 0, 5 = 1")


def test_a_network_with_an_output_for_each_label_keeps_the_labels() -> None:
    data = split_data(DataSpec("digits", classes=(2, 5))).for_outputs(10)
    assert set(data.images("search")[1]) == {2, 5}
    named_set = split_data(DataSpec("python", classes=("digit 2", "digit 5")), named(DIGITS)).for_outputs(10)
    assert set(named_set.images("search")[1]) == {2, 5}


def test_the_first_classes_are_not_numbered_anew() -> None:
    data = split_data(DataSpec("digits", classes=(0, 1, 2, 3)))
    assert data.warnings == ()
    assert set(data.train.labels) == {0, 1, 2, 3}


def test_images_that_stand_twice_are_found_among_the_classes() -> None:
    sets = load_data("digits")
    copied = of_classes(DataSets(sets.train, replace(sets.train, content_hash="another")), [1, 6])
    lines = split_data(DataSpec("python", allow_duplicates=True), copied).notes
    assert "are also in the training set" in lines[0]
    assert "(100.00%" in lines[0]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ([3], r"data\.classes: expected at least two classes, got 1"),
        ([3, 4, 3], r"data\.classes: the class 3 is wanted more than once"),
        ([3, 11], r"data\.classes: digits \(train\) has no label 11; it has 0 to 9"),
        (["three", 4], r"data\.classes: the classes of digits \(train\) have no names; give labels, not 'three'"),
    ],
)
def test_classes_that_are_not_there_are_refused(wanted: list[int | str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        of_classes(load_data("digits"), wanted)


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"has no class 'digt 4'; did you mean 'digit 4'\?"):
        of_classes(named(DIGITS), ["digt 4", 1])


def test_a_class_without_images_is_refused() -> None:
    sets = load_data("digits")
    without = replace(sets.test, labels=np.where(sets.test.labels == 9, 8, sets.test.labels))
    with pytest.raises(ConfigError, match=r"data\.classes: digits \(test\) has no image of the class 9"):
        of_classes(DataSets(sets.train, without), [1, 9])
