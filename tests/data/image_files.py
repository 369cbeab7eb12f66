"""Image files of any mode, and folders and parquet files of them, made in a test's own folder."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def picture(seed: int, mode: str = "RGB", height: int = 6, width: int = 8) -> Image.Image:
    """A picture of noise."""
    rng = np.random.default_rng(seed)
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 65536, (height, width)).astype(np.uint16))
    if mode in ("I", "F"):
        return Image.fromarray(rng.integers(0, 9, (height, width)).astype(np.int32 if mode == "I" else np.float32))
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).convert(mode)


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    """The picture as a file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def folder(root: Path, classes: Mapping[str, Sequence[Image.Image]], kind: str = "png") -> Path:
    """Files in one folder a class; names say nothing of the content."""
    for name, images in classes.items():
        (root / name).mkdir(parents=True)
        for number, image in enumerate(images):
            image.save(root / name / f"{number:03}.{kind}")
    return root


def parquet_file(path: Path, images: Sequence[Image.Image], labels: Sequence[Any], names: Any = None) -> Path:
    """Pictures and labels, with names of classes as Hugging Face's `datasets` writes them."""
    table = pa.table({"image": [encoded(image) for image in images], "label": labels})
    if names is not None:
        features = {"label": {"names": names, "_type": "ClassLabel"}, "image": {"_type": "Image"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, path)
    return path
