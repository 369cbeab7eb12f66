"""The contract of `data.import` (docs/data_and_models.md): its example runs, and what breaks it is one line."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from moco.data import DataSets, ImageSet, SourceOptions, from_torch, load_data
from moco.errors import ConfigError, DataError, MocoError
from tests.data.image_files import picture

DOCUMENT = Path(__file__).parents[2] / "docs" / "data_and_models.md"
NEXT = iter(range(10_000))
IMPORTS = "import torch\nfrom torch.utils.data import TensorDataset\n"
IMAGES = IMPORTS + "x, y = torch.rand(4, 1, 3, 3), torch.tensor([0, 1, 0, 1])\n"


def imported(folder: Path, code: str) -> DataSets:
    """What the function `sets` of that code gives; each module has a name of its own, as Python keeps them."""
    name = f"contract_{next(NEXT)}"
    (folder / f"{name}.py").write_text(code, encoding="utf-8")
    return load_data("import", SourceOptions(import_path=f"{name}:sets", folder=folder, allow_import=True))


def test_the_documents_example_runs(tmp_path: Path) -> None:
    text = DOCUMENT.read_text(encoding="utf-8").partition("### Your own data")[2]
    example = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert example is not None

    sets = imported(tmp_path, example.group(1))

    assert (len(sets.train), len(sets.test), sets.train.shape) == (1000, 797, (1, 8, 8))
    assert sets.train.class_names == tuple(f"digit {number}" for number in range(10))
    assert (sets.test.images().min(), sets.test.images().max()) == (0, 1)


@pytest.mark.parametrize("given", ["(train, test)", "[train, test]", "DataSets(from_torch(train), from_torch(test))"])
def test_a_pair_of_sets_is_taken(tmp_path: Path, given: str) -> None:
    code = f"{IMAGES}from moco.data import DataSets, from_torch\ntrain = TensorDataset(x, y)\n"
    sets = imported(tmp_path, f"{code}test = TensorDataset(x + 1, y)\ndef sets():\n    return {given}\n")

    assert (len(sets.train), sets.test.classes) == (4, 2)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def sets(): return 3", r"data\.import: 'contract_\d+:sets' gave a int, expected \(training set, test set\)"),
        ("def sets(): return (1, 2, 3)", r"gave a tuple of 3, expected \(training set, test set\)"),
        ("def sets(): raise KeyError('a')", r"data\.import: 'contract_\d+:sets' failed: KeyError: 'a'"),
        ("def sets(folder): return folder", r"'contract_\d+:sets' failed: TypeError: .*'folder'"),
        (
            "def sets(): return iter([]), iter([])",
            r"data\.import 'contract_\d+:sets' \(train\): expected a map-style data set with a length",
        ),
        (
            IMAGES + "def sets(): return TensorDataset(x, y), TensorDataset(x * float('nan'), y)",
            r"data\.import 'contract_\d+:sets' \(test\), row 0: the image holds values that are not finite",
        ),
    ],
)
def test_what_breaks_the_contract_is_one_line_with_the_function(tmp_path: Path, code: str, message: str) -> None:
    with pytest.raises(MocoError, match=message) as told:
        imported(tmp_path, code)
    assert isinstance(told.value, ConfigError | DataError)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (torch.full((1, 2, 2), 51, dtype=torch.uint8), 0.2),
        (torch.full((1, 2, 2), 13107, dtype=torch.uint16), 0.2),
        (np.full((2, 2), 13107, dtype=np.uint16), 0.2),
        (np.full((2, 2, 1), 51, dtype=np.uint8), 0.2),
        (np.full((1, 2, 2), -3.5), -3.5),
        (Image.fromarray(np.full((2, 2), 13107, dtype=np.uint16)), 0.2),
    ],
)
def test_images_have_the_range_that_the_contract_says(image: Any, expected: float) -> None:
    images = from_torch([(image, 0)]).images()

    assert images.dtype == np.float32
    assert np.allclose(images, np.full((1, 1, 2, 2), expected))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_a_pillow_image_of_no_known_range_is_refused(mode: str) -> None:
    with pytest.raises(DataError, match=rf"mine, row 0: .* \(mode {mode}\), whose range is not known"):
        from_torch([(picture(0, mode), 0)], name="mine")


@pytest.mark.parametrize("kind", [torch.int64, torch.int32, torch.uint32])
def test_integers_of_no_known_range_are_refused(kind: torch.dtype) -> None:
    with pytest.raises(DataError, match=r"row 0: expected a tensor .*, got Tensor \(1, 2, 2\) torch\.u?int"):
        from_torch([(torch.ones(1, 2, 2).to(kind), 0)])


def test_a_row_that_is_a_dictionary_is_refused_by_its_keys() -> None:
    with pytest.raises(DataError, match=r"row 0: expected \(image, label\), got a dict with the keys image, label"):
        from_torch([{"image": torch.rand(1, 2, 2), "label": 0}])


def test_a_loader_is_refused() -> None:
    loader = DataLoader(TensorDataset(torch.rand(4, 1, 2, 2), torch.tensor([0, 1, 0, 1])))
    with pytest.raises(DataError, match="expected a map-style data set with a length, got DataLoader"):
        from_torch(loader)


class Broken:
    """A data set that breaks as it is told."""

    def __init__(self, label: Any = 0, *, length: Any = 4, **attributes: Any) -> None:
        self.image, self.label, self.length = torch.rand(1, 2, 2), label, length
        vars(self).update(attributes)

    def __len__(self) -> Any:
        return self.length() if callable(self.length) else self.length

    def __getitem__(self, row: int) -> Any:
        return self.image, self.label() if callable(self.label) else self.label


class Nameless(Broken):
    """One whose names cannot be read."""

    @property
    def classes(self) -> Any:
        raise RuntimeError("no names")


class Mute:
    """A label that cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("mute")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Broken(length=-1), "mine: its length cannot be told: ValueError"),
        (Broken(length=sys.exit), "mine: its length cannot be told: SystemExit"),
        (Broken(sys.exit), r"mine, row 0: expected \(image, label\), but it failed: SystemExit"),
        (Broken(Mute()), "mine, row 0: .*it failed: RuntimeError: mute"),
        (Broken(iter(range(9)).__next__), "mine, row 0: two reads give two labels, "),
        (Broken(image=torch.rand(1, 2, 2).to_sparse()), "mine, row 0: .* Sparse"),
        (Broken(image=torch.rand(1, 2, 2, device="meta")), "mine, row 0: .* meta tensor"),
        (Broken(image=torch.rand(1, 0, 2)), r"mine, row 0: expected a tensor .*, got Tensor \(1, 0, 2\)"),
        (Broken(image=torch.full((1, 2, 2), 1e300, dtype=torch.float64)), "mine, row 0: the image holds values that"),
        (Nameless(), "mine: its `classes` cannot be read: RuntimeError: no names"),
        (Broken(length=10_001, targets=iter([0])), "mine: more than 10000 images must have `targets`"),
        (Broken(length=10_001, targets=[[0], [0, 1]]), "mine: expected `targets`, .*failed: ValueError"),
        (Broken(length=10_001, targets=[1] * 10_001), "mine, row 0: the label is 0, but 1 in `targets`; "),
    ],
)
def test_whatever_a_data_set_does_is_one_line(given: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_torch(given, name="mine")


def test_floats_of_any_width_are_taken() -> None:
    for kind in (torch.bfloat16, torch.float16, torch.float64):
        assert from_torch(Broken(image=torch.full((1, 2, 2), 0.5, dtype=kind))).images().max() == 0.5


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda rows: None, r"own: images cannot be read: TypeError|expected images of the shape \(2, 1, 2, 2\)"),
        (lambda rows: np.zeros((1, 2, 2)), r"own: expected images of the shape \(2, 1, 2, 2\), .* gave \(1, 2, 2\)"),
        (lambda rows: sys.exit(0), "own: images cannot be read: SystemExit: 0"),
    ],
)
def test_an_image_set_of_the_users_own_is_checked_when_it_is_read(read: Any, message: str) -> None:
    own = ImageSet("own", np.array([0, 1]), (1, 2, 2), 2, "hash", read)
    with pytest.raises(DataError, match=message):
        own.images()
    with pytest.raises(DataError, match=r"own: expected an array \(images,\) of integers as the labels"):
        ImageSet("own", np.array([0.0, 1.0]), (1, 2, 2), 2, "hash", read)
