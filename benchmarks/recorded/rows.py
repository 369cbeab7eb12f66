"""The recorded rows: JSON lines while recording; then a Parquet file, its provenance and a single-layer study."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = Path(__file__).resolve().parents[2] / "experiments" / "recorded"
NAMES = ("resnet20", "digits")
METRICS = (
    "top1_error", "top5_error", "latency_ms", "size_mb", "packed_size_mb", "parameters", "macs", "bops",
)  # fmt: skip
ERRORS = ("top1_error", "latency_ms")
"""Metrics whose standard error is recorded, in columns `<metric>_sem`."""


@dataclass(frozen=True)
class Recorded:
    """All evaluations of one network.

    Attributes:
        columns: by name, one value a row: parameters, metrics, standard errors, `source`, `seconds`, `sha256`.
        about: provenance: network, data, splits, machine, versions, reference.
    """

    columns: Mapping[str, np.ndarray]
    about: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.columns["top1_error"])

    def points(self, names: list[str]) -> np.ndarray:
        """Values of these parameters, (rows, parameters)."""
        return np.column_stack([self.columns[name] for name in names])


def load(name: str, folder: Path = FOLDER) -> Recorded:
    """The packed recording of that name."""
    table = pq.read_table(folder / f"{name}_prune_bits.parquet")
    columns = {column: table[column].to_numpy() for column in table.column_names}
    return Recorded(columns, json.loads((folder / f"{name}_prune_bits.json").read_text(encoding="utf-8")))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a recording under way; a last line that a kill cut short is dropped, also from the file."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    return [json.loads(line) for line in whole.splitlines()]


def pack(lines: list[dict[str, Any]], about: Mapping[str, Any], name: str, folder: Path = FOLDER) -> Path:
    """Path of the Parquet file that holds the rows; integers and 32-bit floats, compressed."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = {}
    for column in lines[0]:
        column_values = [line[column] for line in lines]
        kind = pa.float32() if isinstance(column_values[0], float) else None
        columns[column] = pa.array(column_values, type=kind)
    path = folder / f"{name}_prune_bits.parquet"
    pq.write_table(pa.table(columns), path, compression="zstd")
    kept = {key: value for key, value in about.items() if key != "sensitivity"}
    write_json(path.with_suffix(".json"), {**kept, "rows": len(lines)})
    write_json(folder / f"{name}_sensitivity.json", about["sensitivity"])
    return path


def write_json(path: Path, content: Any) -> None:
    """Write the content as a file that people can read."""
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
