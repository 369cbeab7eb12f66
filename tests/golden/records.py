"""Golden records: JSON files beside the tests, what of them is masked, and how a record is compared."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

DATA = Path(__file__).with_name("data")
LIBRARIES = (
    "ax-platform",
    "botorch",
    "cmaes",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "optuna",
    "scipy",
    "torch",
)
"""What the last digits of a result depend on, beside the processor."""


def read(name: str) -> Any:
    """The record of that name."""
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


def write(name: str, record: object) -> None:
    """Write the record of that name anew."""
    text = json.dumps(record, indent=1, ensure_ascii=False, sort_keys=True)
    (DATA / f"{name}.json").write_text(text + "\n", encoding="utf-8")


@cache
def environment() -> dict[str, str]:
    """The processor, as a hash, and the libraries that the last digits depend on."""
    return {
        "processor": hashlib.sha256(_processor().encode()).hexdigest()[:16],
        **{name: importlib.metadata.version(name).partition("+")[0] for name in LIBRARIES},
    }


def elsewhere(processor: str | None = None) -> str:
    """Why numbers may differ in their last digits here from those that were recorded; empty where they may not.

    `processor` is that of a record which was written later than the others, on another one.
    """
    recorded = read("environment")
    recorded["processor"] = processor or recorded["processor"]
    other = [name for name, value in environment().items() if recorded.get(name) != value]
    return f"recorded with another {', '.join(other)}" if other else ""


def other_exporter() -> bool:
    """Whether files may have other nodes and bytes here than those that were recorded."""
    return any(name in elsewhere() for name in ("onnx", "torch"))


def masked(value: Any, patterns: tuple[str, ...], path: str = "") -> Any:
    """The value, where the path (keys joined by dots) fits a pattern its shape alone."""
    if any(fnmatchcase(path, pattern) for pattern in patterns):
        return shape(value)
    if isinstance(value, Mapping):
        return {key: masked(inner, patterns, f"{path}.{key}".lstrip(".")) for key, inner in value.items()}
    if isinstance(value, list):
        return [masked(inner, patterns, f"{path}.{place}".lstrip(".")) for place, inner in enumerate(value)]
    return value


def shape(value: Any) -> Any:
    """Keys and types of a JSON value; of a list the different shapes of its items."""
    if isinstance(value, Mapping):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        shapes = [shape(inner) for inner in value]
        return [one for place, one in enumerate(shapes) if one not in shapes[:place]]
    return f"<{type(value).__name__}>"


def differences(recorded: Any, found: Any, digits: float = 1e-9) -> list[str]:
    """A line for each place where what is found is not what was recorded; floats to that relative difference."""
    return list(_differences(recorded, json.loads(json.dumps(found)), digits, ""))


def _differences(recorded: Any, found: Any, digits: float, path: str) -> Iterator[str]:
    if isinstance(recorded, dict) and isinstance(found, dict):
        for key in sorted({*recorded, *found}):
            if key not in found or key not in recorded:
                yield f"{path}.{key}: {'is missing' if key in recorded else 'is new'}"
            else:
                yield from _differences(recorded[key], found[key], digits, f"{path}.{key}")
    elif isinstance(recorded, list) and isinstance(found, list) and len(recorded) == len(found):
        for place, (one, other) in enumerate(zip(recorded, found, strict=True)):
            yield from _differences(one, other, digits, f"{path}.{place}")
    elif type(recorded) is not type(found) or not _same(recorded, found, digits):
        yield f"{path}: {found!r} was {recorded!r}"


def _same(one: Any, other: Any, digits: float) -> bool:
    if isinstance(one, float):
        return abs(one - other) <= digits * max(1.0, abs(one))
    return bool(one == other)


def _processor() -> str:
    """Name and vector instructions, which choose the kernels."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = dict(line.replace("\t", "").split(":", 1) for line in lines if ":" in line)
    vectors = [flag for flag in facts.get("flags", "").split() if flag.startswith(("avx", "fma", "amx"))]
    return " ".join([facts.get("model name", ""), *sorted(vectors)])
