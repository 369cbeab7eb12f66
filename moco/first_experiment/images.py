"""Which images lie in a folder: a training and a test set as folders of a folder a class, or as parquet files."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from moco.data.parquet import IMAGE_COLUMNS, LABEL_COLUMNS
from moco.data.parquet_preview import preview
from moco.errors import ConfigError

TRAIN = ("train", "training", "trn")
TEST = ("test", "testing", "val", "valid", "validation", "eval")
SUFFIXES = {".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"}  # as torchvision reads them
LOOKED_AT = 64  # images whose size is read


@dataclass(frozen=True)
class FoundSet:
    """One of the two sets, and what its files say of themselves."""

    path: Path
    images: int
    classes: int | None
    sizes: frozenset[tuple[int, int]]  # (width, height) of the images looked at
    modes: frozenset[str]  # and how they are stored, such as RGB, or L for grey
    columns: tuple[str, str] | None = None  # of a parquet file: of the image and of the label


@dataclass(frozen=True)
class FoundImages:
    """The section `data`; without sets it is the digits that moco brings."""

    source: str
    train: FoundSet | None = None
    test: FoundSet | None = None
    found: tuple[str, ...] = ()
    guessed: tuple[str, ...] = ()

    @property
    def sizes(self) -> frozenset[tuple[int, int]]:
        """Sizes of the images looked at, (width, height)."""
        return frozenset(size for part in (self.train, self.test) if part is not None for size in part.sizes)

    @property
    def all_rgb(self) -> bool:
        """Whether the images looked at are stored as RGB, all of them."""
        return all(part.modes <= {"RGB"} for part in (self.train, self.test) if part is not None)

    @property
    def classes(self) -> int | None:
        """The number of classes; None where it cannot be told."""
        counts = [part.classes for part in (self.train, self.test) if part is not None and part.classes is not None]
        return max(counts, default=None)


def images_of(places: Sequence[Path], train: Path | None, test: Path | None) -> FoundImages:
    """The two sets: as given, else the first pair in the places, else in this folder; digits where there is none.

    A ConfigError where a place or a given path holds none, or only one of the two.
    """
    for path in (*places, train, test):
        if path is not None and not path.exists():
            raise ConfigError(f"{path}: no such folder or file")
    if (train is None) != (test is None) and not places:
        lacking = "--test" if test is None else "--train"
        raise ConfigError(f"a training and a test set are needed, and only one is given; name the other with {lacking}")
    pair = _pair(places or (Path(),))
    train, test = train or (pair[0] if pair else None), test or (pair[1] if pair else None)
    if train is None or test is None:
        return _digits(places)
    sets = _looked_at(train), _looked_at(test)
    if (sets[0].columns is None) != (sets[1].columns is None):
        raise ConfigError(f"{train} and {test}: expected two folders of images or two parquet files, got one of each")
    told = tuple(_told(what, part) for what, part in zip(("training", "test"), sets, strict=True))
    guessed = () if sets[0].columns is None else _columns_guessed(sets[0])
    return FoundImages("imagefolder" if sets[0].columns is None else "parquet", *sets, found=told, guessed=guessed)


def _digits(places: Sequence[Path]) -> FoundImages:
    if any(path.suffix != ".safetensors" for path in places):
        raise ConfigError(
            f"{', '.join(map(str, places))}: no training and test set found; expected folders train/ and test/ with a "
            "folder a class, or parquet files with these words in their names, or --train and --test"
        )
    return FoundImages("digits", guessed=("no images found here: the digits that moco brings stand for yours",))


def _pair(places: Sequence[Path]) -> tuple[Path, Path] | None:
    """The first training and test set in the places and in the folders within them."""
    files = [path for path in places if path.suffix == ".parquet"]
    folders = [folder for place in places if place.is_dir() for folder in (place, *_folders(place))]
    for candidates in (files, *((*_folders(folder), *sorted(folder.glob("*.parquet"))) for folder in folders)):
        for kind in (Path.is_dir, Path.is_file):
            train, test = (_first([one for one in candidates if kind(one)], words) for words in (TRAIN, TEST))
            if train is not None and test is not None:
                return train, test
    return None


def _first(paths: Iterable[Path], words: Sequence[str]) -> Path | None:
    """The path whose name has the earliest of the words; a folder must hold folders of images."""
    usable = [path for path in paths if path.is_file() or next(_class_folders(path), None) is not None]
    named = {word: path for path in reversed(usable) for word in re.split(r"[-_. ]+", path.stem.lower())}
    return next((named[word] for word in words if word in named), None)


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError:
        return []


def _class_folders(folder: Path) -> Iterator[Path]:
    return (inner for inner in _folders(folder) if next(_files(inner), None) is not None)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def _looked_at(path: Path) -> FoundSet:
    return _folder(path) if path.is_dir() else _parquet(path)


def _folder(path: Path) -> FoundSet:
    by_class = [sorted(_files(folder)) for folder in _class_folders(path)]
    files = [file for part in by_class for file in part]
    if not files:
        raise ConfigError(f"{path}: expected a folder of images for each class, found none")
    return FoundSet(path, len(files), len(by_class), *_kinds(files[:: max(len(files) // LOOKED_AT, 1)]))


def _parquet(path: Path) -> FoundSet:
    found = preview(path, LOOKED_AT)
    return FoundSet(path, found.rows, found.classes, *_kinds(map(io.BytesIO, found.first)), found.columns)


def _kinds(files: Iterable[Path | io.BytesIO]) -> tuple[frozenset[tuple[int, int]], frozenset[str]]:
    """Sizes and modes of those that can be opened; a search tells of the others."""
    sizes, modes = set(), set()
    for file in files:
        try:
            with Image.open(file) as image:
                sizes.add(image.size)
                modes.add(image.mode)
        except (OSError, UnidentifiedImageError):
            continue
    return frozenset(sizes), frozenset(modes)


def _told(what: str, part: FoundSet) -> str:
    sizes = sorted(part.sizes)
    size = f", {sizes[0][0]}x{sizes[0][1]} pixels" if len(sizes) == 1 else f", of {len(sizes)} sizes" if sizes else ""
    classes = "" if part.classes is None else f" in {part.classes} classes"
    columns = "" if part.columns is None else f", columns {part.columns[0]} and {part.columns[1]}"
    return f"{part.images} {what} images{classes} in {part.path}{size}{columns}"


def _columns_guessed(part: FoundSet) -> tuple[str, ...]:
    assert part.columns is not None
    usual = part.columns[0] in IMAGE_COLUMNS and part.columns[1] in LABEL_COLUMNS
    return () if usual else (f"that column '{part.columns[0]}' holds the images and '{part.columns[1]}' the labels",)
