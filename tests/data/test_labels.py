"""One numbering of classes for both sets: numbers with gaps, words, booleans, names of folders and of files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, Subset, TensorDataset

from moco.data import DataSets, SourceOptions, load_data, parquet
from moco.data.labels import numbering
from moco.data.sources import as_data_sets
from moco.data.split_data import DataSpec, SplitData, split_data
from moco.errors import DataError
from tests.data.image_files import folder, parquet_file, picture


def of_labels(
    tmp_path: Path, train: Sequence[Any], test: Sequence[Any], names: Any = None, test_names: Any = None
) -> DataSets:
    """Parquet files with these labels."""
    paths = {}
    for number, (part, labels, of_part) in enumerate((("train", train, names), ("test", test, test_names or names))):
        images = [picture(100 * number + seed) for seed in range(len(labels))]
        paths[part] = parquet_file(tmp_path / f"{part}.parquet", images, labels, of_part)
    return load_data("parquet", SourceOptions(**paths))


def of_folders(tmp_path: Path, train: Sequence[str], test: Sequence[str]) -> DataSets:
    """Folders of these names, an image in each."""
    paths = {
        part: folder(tmp_path / part, {name: [picture(len(part) + place)] for place, name in enumerate(names)})
        for part, names in (("train", train), ("test", test))
    }
    return load_data("imagefolder", SourceOptions(**paths))


class Labelled(Dataset[Any]):
    """Images from Python with any labels."""

    def __init__(self, labels: Sequence[Any], seed: int = 0) -> None:
        self.images, self.labels = torch.rand(len(labels), 1, 4, 4, generator=torch.manual_seed(seed)), labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> Any:
        return self.images[row], self.labels[row]


def split(sets: DataSets) -> SplitData:
    return split_data(DataSpec("python", calibration=1, search=1, certification=1), sets)


def test_labels_from_0_stay_and_say_nothing(tmp_path: Path) -> None:
    sets = of_labels(tmp_path, [0, 1, 2], [2, 0])

    assert (sets.train.classes, sets.test.classes, sets.test.labels.tolist()) == (3, 3, [2, 0])
    assert numbering(sets.train) == ()


@pytest.mark.parametrize(
    ("train", "test", "numbered", "text"),
    [
        ([1, 2, 3], [3, 1], [2, 0], "classes 0 to 2, as the network's outputs must be: 1 = 0, 2 = 1, 3 = 2"),
        ([0, 5, 9], [9, 5], [2, 1], "classes 0 to 2, as the network's outputs must be: 0 = 0, 5 = 1, 9 = 2"),
    ],
)
def test_labels_with_gaps_are_numbered_over_both_sets(
    tmp_path: Path, train: list[int], test: list[int], numbered: list[int], text: str
) -> None:
    sets = of_labels(tmp_path, train, test)

    assert (sets.train.classes, sets.test.classes) == (3, 3)
    assert sets.test.labels.tolist() == numbered
    assert numbering(sets.train)[0].endswith(text)


@pytest.mark.parametrize(("outputs", "labels", "lines"), [(3, [0, 1, 2], 1), (4, [1, 2, 3], 0), (1000, [1, 2, 3], 0)])
def test_a_network_with_an_output_for_each_label_takes_them_as_they_are(
    tmp_path: Path, outputs: int, labels: list[int], lines: int
) -> None:
    """A part of ImageNet keeps ImageNet's numbers."""
    data = split(of_labels(tmp_path, [1, 2, 3], [1, 3, 2])).for_outputs(outputs)

    assert data.train.labels.tolist() == labels
    assert len(data.warnings) == lines


def test_a_label_that_the_training_set_lacks_is_said(tmp_path: Path) -> None:
    sets = of_labels(tmp_path, [0, 1], [0, 2, 1])

    assert sets.notes[0].endswith("train.parquet has the label 2 of the test set")


def test_words_are_numbered_in_their_order(tmp_path: Path) -> None:
    sets = of_labels(tmp_path, ["dog", "cat", "ant"], ["dog", "cat"])

    assert sets.train.class_names == sets.test.class_names == ("ant", "cat", "dog")
    assert sets.test.labels.tolist() == [2, 1]
    assert "'ant' = 0, 'cat' = 1, 'dog' = 2" in split(sets).warnings[0]


def test_words_that_are_numbers_are_ordered_as_numbers(tmp_path: Path) -> None:
    assert of_labels(tmp_path, ["10", "9", "1"], ["9"]).train.class_names == ("1", "9", "10")


def test_booleans_are_two_classes(tmp_path: Path) -> None:
    sets = of_labels(tmp_path, [True, False], [True])

    assert (sets.test.labels.tolist(), sets.test.class_names) == ([1], ("False", "True"))


def test_a_word_that_the_training_set_lacks_is_refused(tmp_path: Path) -> None:
    expected = r"test\.parquet: the training set .*train\.parquet has no class 'Cat'; did you mean 'cat'\?"

    with pytest.raises(DataError, match=expected):
        of_labels(tmp_path, ["cat", "dog"], ["Cat", "dog"])


def test_names_of_classes_are_read_as_the_hub_writes_them(tmp_path: Path) -> None:
    sets = of_labels(tmp_path, [0, 1], [1, 0], ["ant", "bee", "cat"])

    assert (sets.train.class_names, sets.train.classes) == (("ant", "bee", "cat"), 3)
    assert numbering(sets.train) == ()


def test_names_in_another_order_are_matched_and_said(tmp_path: Path) -> None:
    sets = of_labels(tmp_path, [0, 1], [0, 1], ["ant", "bee"], ["bee", "ant"])

    assert sets.test.labels.tolist() == [1, 0]
    assert "stand in another order than in" in sets.notes[0]
    assert "matched by name, in the training set's order ant, bee" in sets.notes[0]


def test_folders_are_matched_by_name_where_the_test_set_lacks_one(tmp_path: Path) -> None:
    """torchvision numbers each folder by itself: 'cat' would be class 1 of the test set and 2 of the training set."""
    sets = of_folders(tmp_path, ["ant", "bee", "cat"], ["ant", "cat"])

    assert sets.test.labels.tolist() == [0, 2]
    assert sets.test.class_names == ("ant", "bee", "cat")
    assert sets.notes[0].endswith("has no image of the class 'bee'")


@pytest.mark.parametrize("name", ["Bee", "wasp"])
def test_a_folder_that_the_training_set_lacks_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=rf"has no class '{name}'.*; classes are compared by name"):
        of_folders(tmp_path, ["ant", "bee"], ["ant", name])


def test_labels_from_python_may_be_words_and_booleans() -> None:
    sets = as_data_sets(Labelled(["b", "a", "c"]), Labelled(["c"], 1))

    assert (sets.test.labels.tolist(), sets.test.class_names) == ([2], ("a", "b", "c"))
    booleans = as_data_sets(Labelled([torch.tensor(True), np.bool_(False)]), Labelled([True], 1))
    assert booleans.test.labels.tolist() == [1]


def test_labels_from_python_that_start_at_1_are_numbered() -> None:
    assert as_data_sets(Labelled([1, 2, 3]), Labelled([3], 1)).test.labels.tolist() == [2]


def test_labels_of_two_kinds_are_refused_with_the_row() -> None:
    with pytest.raises(DataError, match=r"^train, row 1: expected an integer label, or a word as all others"):
        as_data_sets(Labelled([0, "a", 1]), Labelled([0], 1))


def test_names_of_a_torchvision_set_are_kept_and_those_of_a_part_of_it() -> None:
    whole = TensorDataset(torch.rand(4, 1, 4, 4, generator=torch.manual_seed(0)), torch.tensor([0, 1, 2, 0]))
    whole.classes = ["ant", "bee", "cat"]
    sets = as_data_sets(Subset(whole, [0, 1]), Subset(whole, [2, 3]))

    assert sets.train.class_names == ("ant", "bee", "cat")
    assert (sets.train.classes, sets.test.labels.tolist()) == (3, [2, 0])


def test_classes_that_no_image_is_of_need_no_outputs() -> None:
    """A set that was filtered to two of CIFAR-10's classes still names ten."""
    whole = TensorDataset(torch.rand(4, 1, 4, 4, generator=torch.manual_seed(0)), torch.tensor([0, 1, 0, 1]))
    whole.classes = [f"class {number}" for number in range(10)]
    data = split(as_data_sets(Subset(whole, [0, 1]), Subset(whole, [2, 3])))

    assert (data.train.classes, data.least_outputs) == (10, 2)
    assert data.for_outputs(2).test.class_names == ("class 0", "class 1")


@pytest.mark.parametrize(("numbers", "words"), [([0, 1], ["cat", "dog"]), ([1, 2], ["1", "2"])])
def test_integers_in_one_set_and_words_in_the_other_are_refused(numbers: list[int], words: list[str]) -> None:
    message = r"the labels of test are words, such as '\w+', those of train integers: which integer is which word"
    with pytest.raises(DataError, match=message):
        as_data_sets(Labelled(numbers), Labelled(words))


def test_zeros_and_ones_beside_booleans_are_the_same_labels() -> None:
    sets = as_data_sets(Labelled([0, 1]), Labelled([True, False]))
    assert (sets.test.labels.tolist(), sets.train.class_names) == ([1, 0], ("False", "True"))


def test_an_integer_beyond_64_bits_is_refused_with_its_row() -> None:
    with pytest.raises(
        DataError, match=r"^train, row 1: expected an integer label of at most 4611686018427387904, got"
    ):
        as_data_sets(Labelled([0, np.uint64(2**63)]), Labelled([0]))


def test_names_that_do_not_fit_the_labels_are_left_out_and_said() -> None:
    labelled = Labelled([0, 1, 2])
    labelled.classes = ["a", "b"]  # type: ignore[attr-defined]
    sets = as_data_sets(labelled, Labelled([0, 1, 2], 1))
    assert sets.train.class_names is None
    assert "its `classes` are 2, its labels of 3 classes: the names are left out" in sets.train.notes[0]


def test_names_that_stand_twice_are_none(tmp_path: Path) -> None:
    parquet_file(tmp_path / "a.parquet", [picture(0), picture(1)], [0, 1], ["cat", "cat"])
    assert parquet.load(tmp_path / "a.parquet").class_names is None
