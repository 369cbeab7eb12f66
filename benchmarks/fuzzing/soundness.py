"""What no input that was taken may hold: judged from its own text, by other code than moco's.

An experiment that loads has only keys that are documented (every top-level key, and those of the sections that belong
to no plug-in), finite numbers, within the bounds below, text without control characters, no key twice and no value but
plain ones; with all defaults spelled out it loads again as the same. A policy that is read is JSON with `format` 1 and
`groups`, without NaN, infinity or a key twice, and keeps 1..of channels and 1..32 bits.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

INF = math.inf
BOUNDS: dict[str, tuple[float, float]] = {
    "seed": (0, 2**53),
    "workers": (1, 10**6),
    "budget.trials": (1, 10**6),
    "budget.seconds": (1e-300, 1e8),
    "budget.answer_seconds": (1e-300, 1e8),
    "budget.processor_seconds": (1e-300, 1e8),
    "budget.patience": (1, 10**6),
    "finalists.share": (1e-300, 1 - 1e-16),
    "finalists.candidates": (1, 10**6),
    "finalists.keep": (1e-300, 1 - 1e-16),
    "finalists.last": (1e-300, 1 - 1e-16),
    "model.num_classes": (1, 10**6),
    "model.train.epochs": (1, 10**6),
    "model.train.batch_size": (1, 10**6),
    "model.train.learning_rate": (1e-300, 100),
    "model.train.weight_decay": (0, 100),
    "data.resize": (1, 16384),
    "data.crop": (1, 16384),
    "data.splits.calibration": (1, 10**6),
    "data.splits.search": (1, 10**6),
    "data.splits.certification": (1, 10**6),
    "certificate.confidence": (0.5, 1 - 1e-16),
    "certificate.attempts": (1, 10**6),
    "certificate.seconds": (1e-300, 1e8),
    "compare.seeds": (1, 10**6),
    "target.threads": (1, 10**4),
    "target.timing.seconds_batch1": (1e-300, 1e8),
    "target.timing.seconds_batch32": (1e-300, 1e8),
    "target.timing.slot_ms": (1e-300, 60_000),
    "target.timing.warmup_calls": (0, 10_000),
    "space.probe_seconds": (1e-300, 1e8),
}
"""Lowest and highest value by key path, as docs/configuration.md has them."""
KEYS: dict[str, frozenset[str]] = {
    "": frozenset(
        [
            "name",
            "seed",
            "model",
            "data",
            "space",
            "recovery",
            "target",
            "objective",
            "searcher",
            "budget",
            "finalists",
            "baselines",
            "workers",
            "compare",
            "certificate",
            "tracking",
            "store",
            "folder",
        ]
    ),
    "model": frozenset(["name", "import", "weights", "num_classes", "options", "train"]),
    "model.train": frozenset(["epochs", "learning_rate", "batch_size", "weight_decay"]),
    "data.splits": frozenset(["calibration", "search", "certification"]),
    "target.timing": frozenset(["seconds_batch1", "seconds_batch32", "slot_ms", "warmup_calls"]),
    "budget": frozenset(["trials", "seconds", "answer_seconds", "processor_seconds", "patience"]),
    "finalists": frozenset(["share", "candidates", "keep", "last", "training"]),
    "compare": frozenset(["searchers", "seeds"]),
    "certificate": frozenset(["confidence", "attempts", "seconds"]),
}


def of_experiment(text: str) -> list[str]:
    """What is nonsense in the text of an experiment that was taken."""
    data = yaml.safe_load(text)
    found = [*_of_values(data)]
    found += [f"the key '{key}' stands twice" for key in _repeated(yaml.compose(text, Loader=yaml.SafeLoader))]
    for path, keys in KEYS.items():
        section = _at(data, path)
        if isinstance(section, Mapping):
            found += [f"unknown key '{key}' in '{path}'" for key in section if key not in keys]
    for path, (low, high) in BOUNDS.items():
        value = _at(data, path)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            found.append(f"{path} = {value!r} outside {low:g}..{high:g}")
    return found


def of_policy(text: str) -> list[str]:
    """What is nonsense in the text of a policy.json that was taken."""
    found: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(items)) < len(items):
            found.append("a key stands twice")
        return dict(items)

    data = json.loads(text, object_pairs_hook=pairs)
    found += _of_values(data)
    if type(data.get("format")) is not int or data["format"] != 1:
        found.append(f"format {data.get('format')!r}")
    for layer, settings in data["groups"].items():
        for name, setting in settings.items():
            if isinstance(setting, Mapping) and {"keep", "of"} <= setting.keys():
                keep, of = setting["keep"], setting["of"]
                if type(keep) is not int or type(of) is not int or not 1 <= keep <= of:
                    found.append(f"{layer}.{name}: keep {keep!r} of {of!r}")
            if "bits" in name and isinstance(setting, int | float) and not 1 <= setting <= 32:
                found.append(f"{layer}.{name}: {setting!r} bits")
    return found


def _of_values(value: Any, where: str = "") -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                yield f"{where}: the key {key!r}"
            yield from _of_values(key, where)
            yield from _of_values(inner, f"{where}.{key}")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _of_values(inner, f"{where}[{place}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{where}: {value}"
    elif isinstance(value, str) and any(unicodedata.category(one) in {"Cc", "Cs"} for one in value):
        yield f"{where}: {value!r} has control characters"
    elif not isinstance(value, str | int | float | None):
        yield f"{where}: a {type(value).__name__}"


def _at(data: Any, path: str) -> Any:
    for key in path.split(".") if path else ():
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


def _repeated(node: yaml.Node | None) -> Iterator[str]:
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        yield from {key for key in keys if keys.count(key) > 1}
        for pair in node.value:
            for part in pair:
                yield from _repeated(part)
    elif isinstance(node, yaml.SequenceNode):
        for part in node.value:
            yield from _repeated(part)
