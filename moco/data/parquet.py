"""Images in parquet files, in the layout that data-set hubs use: encoded bytes in one column, the label in another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from moco.data.content_hashes import ContentHashes, hashes_of
from moco.data.decoding import EncodedImages, Reading, content_hash, existing
from moco.data.image_set import ImageSet, Normalization
from moco.data.labels import Labels, numbered
from moco.data.pixels import Resizing
from moco.errors import DataError, nearest

IMAGE_COLUMNS = ("img", "image", "bytes")
LABEL_COLUMNS = ("label", "labels", "fine_label")


def load(
    path: str | Path,
    *,
    normalize: Normalization | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    resizing: Resizing | None = None,
    channels: int | None = None,
) -> ImageSet:
    """The images of one file; a DataError where the file or a column is missing, or a row is malformed.

    `normalize` is applied to pixels in [0, 1]. `image_column` holds encoded bytes, or a struct that holds them as
    `bytes`, `label_column` integers from 0, words or booleans; None takes the first of the usual names. `channels` of
    None are those of the images.
    """
    reading = Reading(resizing or Resizing(), channels, normalize)
    table = _read(existing(path, "train or data.test"))
    labels = _labels(table, _column(table, label_column, LABEL_COLUMNS, path), path)
    encoded = _encoded(table, _column(table, image_column, IMAGE_COLUMNS, path), path)
    rows = np.arange(len(labels.numbers))
    reader = EncodedImages(str(path), lambda row: _bytes(encoded, row), reading.resizing)
    digest = content_hash(labels.numbers, _hashed(encoded, labels))
    hashes = ContentHashes("file", rows, lambda asked: hashes_of(_bytes(encoded, int(row)) for row in asked))
    known = ImageSet(
        str(path), labels.numbers, (3, 1, 1), labels.classes, digest, reader, None, labels.names, labels.were_names
    )
    return reading.of(reader, known, hashes)


def _read(path: Path) -> Any:
    if not path.is_file():
        raise DataError(f"{path}: expected a parquet file; it is a folder, or no regular file")
    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a readable parquet file: {error}") from error


def _column(table: Any, wanted: str | None, usual: tuple[str, ...], path: str | Path) -> str:
    """Name of the column to read: the wanted one, or the first of the usual names."""
    for name in usual if wanted is None else (wanted,):
        if name in table.column_names:
            return name
    asked = wanted or " or ".join(usual)
    raise DataError(f"{path}: no column '{asked}'{nearest(wanted or usual[0], table.column_names)}")


def _labels(table: Any, column: str, path: str | Path) -> Labels:
    values = table.column(column)
    if not len(values):
        raise DataError(f"{path}: expected at least one image, the file has no rows")
    kind = values.type
    if pa.types.is_dictionary(kind):
        values, kind = values.cast(kind.value_type), kind.value_type
    words = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if not (pa.types.is_integer(kind) or pa.types.is_boolean(kind) or words):
        raise DataError(f"{path}: column '{column}' holds {kind}, expected integers from 0, words or true and false")
    if values.null_count:
        row = values.is_null().to_pylist().index(True)
        raise DataError(f"{path}, row {row}: the label in column '{column}' is missing")
    return numbered(values.to_pylist(), str(path), _class_names(table.schema, column))


def _class_names(schema: Any, column: str) -> tuple[str, ...] | None:
    """Names of the classes that integers stand for, as Hugging Face's `datasets` writes them into the file."""
    with suppress(KeyError, TypeError, ValueError):
        names = json.loads(schema.metadata[b"huggingface"])["info"]["features"][column]["names"]
        usable = isinstance(names, list) and names and all(isinstance(name, str) for name in names)
        if usable and len(set(names)) == len(names):  # classes are matched by name: two of one name are none
            return tuple(names)
    return None


def _hashed(encoded: Any, labels: Labels) -> Iterator[bytes]:
    """What the content's hash is over beside the labels: the images, and words that labels were."""
    yield from (_bytes(encoded, row) for row in range(len(labels.numbers)))
    if labels.were_names:
        yield from (name.encode() for name in labels.names or ())


def _encoded(table: Any, column: str, path: str | Path) -> Any:
    """The column of encoded bytes, the field `bytes` of a struct being taken out."""
    values = table.column(column).combine_chunks()
    if pa.types.is_struct(values.type):
        fields = [field.name for field in values.type]
        if "bytes" not in fields:
            raise DataError(f"{path}: column '{column}' has the fields {', '.join(fields)}; expected 'bytes'")
        values = values.field("bytes")
    if not (pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type)):
        raise DataError(f"{path}: column '{column}' holds {values.type}, expected encoded images (bytes)")
    return values


def _bytes(encoded: Any, row: int) -> bytes:
    """Encoded bytes of a row; empty where the value is missing, which no decoder takes."""
    return encoded[row].as_py() or b""
