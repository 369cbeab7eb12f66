"""What a parquet file of images says of itself, without decoding them: for a first look at data, not for a search."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from moco.data.parquet import IMAGE_COLUMNS, LABEL_COLUMNS
from moco.errors import DataError


@dataclass(frozen=True)
class ParquetPreview:
    """The columns that hold images and labels, how many rows and different labels, and the first encoded images."""

    columns: tuple[str, str]
    rows: int
    classes: int
    first: tuple[bytes, ...]


def preview(path: Path, count: int) -> ParquetPreview:
    """A first look at a file, with `count` of its images; a DataError where it is no such file.

    Columns are found by their usual names, else they are the first that can hold images or labels.
    """
    try:
        with pq.ParquetFile(path) as file:
            columns = _columns(path, file.schema_arrow)
            batch = next(file.iter_batches(count, columns=[columns[0]]), None)
            labels = file.read(columns=[columns[1]]).column(0)
            values = [] if batch is None else batch.column(0).to_pylist()
            encoded = (value["bytes"] if isinstance(value, dict) else value for value in values)
            return ParquetPreview(columns, file.metadata.num_rows, len(labels.unique()), tuple(filter(None, encoded)))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: expected a folder of images or a parquet file: {error}") from None


def _columns(path: Path, schema: pa.Schema) -> tuple[str, str]:
    kinds = {name: schema.field(name).type for name in schema.names}
    usual = [next((name for name in names if name in kinds), None) for names in (IMAGE_COLUMNS, LABEL_COLUMNS)]
    image = usual[0] or next((name for name, kind in kinds.items() if _holds_images(kind)), None)
    label = usual[1] or next((name for name, kind in kinds.items() if pa.types.is_integer(kind)), None)
    if image is None or label is None:
        lacking = "encoded images (bytes)" if image is None else "labels (integers)"
        raise DataError(f"{path}: no column of {lacking} among {', '.join(schema.names)}")
    return image, label


def _holds_images(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" for field in kind)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
